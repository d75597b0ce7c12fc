"""Compares an account list with the ledger and reports the differences."""

from __future__ import annotations

from models.argil.account_list import AccountList
from models.argil.avatar import Avatar, replace_unstorable_characters
from models.argil.unknown_avatars import MAX_NAME_CHARACTERS
from models.errors import ArgilUnavailable, PollFailed
from models.limits import LimitState
from models.reports.account_report import (
    AccountAvatar,
    AccountReport,
    Differences,
    UnusedUploads,
    our_submission_id,
    read_avatars,
)
from models.submission_ids import tag_of
from services.context import AppContext
from store.account_avatars import KnownIds, find_known_ids, find_missing, list_duplicates
from store.ledger import Ledger
from store.uploads import UploadRepository


async def compare_account(
    ledger: Ledger, uploads: UploadRepository, account: AccountList, limit: int
) -> AccountReport:
    """Return how the account differs from the ledger.

    The list must have been read before the ledger: a submission is committed before it is sent.

    Args:
        ledger: The ledger.
        uploads: The uploads on record.
        account: The account list.
        limit: How many differences of each kind, and uploads, are named. The counts include all of them.

    Raises:
        DatabaseError: The ledger cannot be read.

    """
    avatars = read_avatars(account)
    keys = {avatar_id: key for avatar_id, avatar in avatars.items() if (key := our_submission_id(avatar))}
    known = await find_known_ids(ledger.database, avatars.keys(), set(keys.values()))
    unknown = [avatar for avatar in avatars.values() if not _is_known(avatar, keys.get(avatar.id), known)]
    unknown.sort(key=lambda avatar: avatar.id)
    ours = [avatar for avatar in unknown if avatar.id in keys]
    others = [avatar for avatar in unknown if avatar.id not in keys]
    by_tag = await ledger.find_ids_by_tag({tag_of(keys[avatar.id]) for avatar in ours}) if ours else {}
    named = [
        AccountAvatar(
            avatar.id,
            _name(avatar),
            avatar.status,
            keys[avatar.id],
            by_tag.get(tag_of(keys[avatar.id])),
            is_ignored=keys[avatar.id] in known.ignored_submission_ids,
        )
        for avatar in ours[:limit]
    ]
    missing_count, missing = await find_missing(ledger.database, avatars.keys(), limit)
    return AccountReport(
        avatar_count=len(avatars),
        unreadable_count=len(account.items) - len(account.avatars),
        incomplete_because=account.incomplete_because,
        ours=Differences(len(ours), named),
        ignored_count=sum(keys[avatar.id] in known.ignored_submission_ids for avatar in ours),
        others=Differences(
            len(others), [AccountAvatar(avatar.id, _name(avatar), avatar.status) for avatar in others[:limit]]
        ),
        missing=Differences(missing_count, missing),
        duplicates=Differences(
            len(known.duplicate_ids), await list_duplicates(ledger.database, known.duplicate_ids, limit)
        ),
        uploads=UnusedUploads(await uploads.count_unused(), await uploads.unused_uploads(limit) if limit else ()),
    )


async def describe_account(context: AppContext, limits: LimitState) -> list[str]:
    """List the account once and return how it differs from the ledger, one line each, without personal data.

    Args:
        context: The context of this process.
        limits: The pauses: the account is not listed while Argil limits the rate of requests.

    Raises:
        DatabaseError: The ledger cannot be read or written.

    """
    if limits.pauses_requests:
        return ["the account was not listed, because Argil limits the rate of requests"]
    try:
        account = await context.argil.list_account()
    except (PollFailed, ArgilUnavailable) as error:
        return [f"the account could not be listed: {error.message}"]
    report = await compare_account(context.ledger, context.uploads, account, limit=0)
    return [
        *report.describe(),
        *(["`avatars account` names them"] if report.has_drift or report.uploads.count else []),
    ]


def _is_known(avatar: Avatar, submission_id: str | None, known: KnownIds) -> bool:
    return (
        avatar.id in known.avatar_ids
        or avatar.id in known.duplicate_ids
        or (submission_id is not None and submission_id in known.submission_ids)
    )


def _name(avatar: Avatar) -> str:
    return replace_unstorable_characters(avatar.name or "")[:MAX_NAME_CHARACTERS]
