"""Adopts avatars that were made elsewhere: compares the account list with the ledger and records them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from clients.argil import ArgilClient
from models.adoption import Adoption, AdoptionResult, adopt_request
from models.argil.account_list import AccountList
from models.argil.avatar import Avatar
from models.errors import AvatarIsOurs, AvatarNotListed, InvalidRequest, RequestError
from models.provisioning import LeaseOwner
from models.reports.account_report import our_submission_id, read_avatars
from store.account_avatars import find_known_ids
from store.ledger import Ledger


class RequestedAdoption(NamedTuple):
    """The id of an avatar at Argil and the reference that it gets. `place` names it in a problem."""

    place: str
    avatar_id: str
    reference: str


@dataclass(frozen=True)
class AdoptionReport:
    """One result per requested adoption, and the number of avatars made elsewhere that remain unknown."""

    results: Sequence[AdoptionResult]
    remaining_count: int


async def adopt(
    ledger: Ledger,
    argil: ArgilClient,
    requested: Sequence[RequestedAdoption],
    owner: LeaseOwner,
    *,
    is_preview: bool = False,
) -> AdoptionReport:
    """Adopt the avatars, or none of them if there is a problem with one; sends one list call and creates nothing.

    Args:
        ledger: The ledger.
        argil: The client of the account.
        requested: The avatars and their references; each occurs once.
        owner: The writer.
        is_preview: Write nothing.

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
        PollFailed: The account cannot be listed.
        DatabaseError: The ledger cannot be read or written.

    """
    account = await argil.list_account()
    avatars = read_avatars(account)
    checked = [await _check(ledger, account, avatars.get(item.avatar_id), item) for item in requested]
    adoptions = [item for item in checked if isinstance(item, Adoption)]
    has_problem = len(adoptions) < len(checked)
    recorded = iter(await ledger.adopt(adoptions, owner, is_preview=is_preview or has_problem))
    results = [next(recorded) if isinstance(item, Adoption) else AdoptionResult(problem=item) for item in checked]
    others = {avatar_id for avatar_id, avatar in avatars.items() if our_submission_id(avatar) is None}
    known = await find_known_ids(ledger.database, others, [])
    previewed = {item.avatar.id for item in adoptions} if is_preview else set()
    return AdoptionReport(results, len(others - known.avatar_ids - known.duplicate_ids - previewed))


async def _check(
    ledger: Ledger, account: AccountList, avatar: Avatar | None, item: RequestedAdoption
) -> Adoption | RequestError:
    if avatar is None:
        because = f" ({account.incomplete_because})" if account.incomplete_because else ""
        return AvatarNotListed(
            f"the account list does not contain avatar {item.avatar_id!r} with a status{because}",
            hint="compare the id with `avatars account`; the list may omit an avatar for minutes",
        )
    if (submission_id := our_submission_id(avatar)) is not None:
        return await _ours(ledger, avatar, submission_id)
    try:
        request = adopt_request(avatar, item.reference)
    except InvalidRequest as error:
        return error
    return Adoption(item.place, request.reference or "", request, avatar)


async def _ours(ledger: Ledger, avatar: Avatar, submission_id: str) -> AvatarIsOurs:
    known = await ledger.find_by_submission_ids([submission_id])
    if known:
        return AvatarIsOurs(
            f"avatar {avatar.id} was created by provisioning {known[0].id} of this ledger",
            hint=f"it is on record already: see `avatars show {known[0].id}`",
        )
    return AvatarIsOurs(
        f"avatar {avatar.id} was created by a submission of this service that the ledger does not know: "
        f"{submission_id}",
        hint="it is not adopted, because its request could be submitted again: run `avatars reconcile`, then the "
        'request or batch again (docs/backup.md, "After a restore")',
    )
