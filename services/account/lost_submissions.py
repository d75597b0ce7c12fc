"""Recovers submissions that the ledger lost: it continues with their avatars instead of submitting again.

A submission id proves the request that it belongs to (models/submission_ids.py). A ledger that was restored from a
backup, or a new one, therefore recognizes the avatars of its requests once they are on record again. Avatars that a
person decided to ignore, and those of earlier versions, are left as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from models.argil.avatar import Avatar, AvatarStatus
from models.argil.avatar_list import AvatarList
from models.argil.unknown_avatars import MAX_UNDECIDED, UnknownAvatar
from models.errors import (
    AvatarNotFound,
    AvatarTaken,
    BatchCancelled,
    PollFailed,
    ProvisioningErased,
    RequestError,
    StaleVersion,
)
from models.manifest.validation import ManifestRow
from models.provisioning import LeaseOwner, Provisioning
from models.recordings.recording_secrets import protect_request
from models.submission_ids import request_tag, tag_of
from services.context import AppContext
from services.reopening import open_request
from services.run_log import log_to_run

_RANKS = {AvatarStatus.IDLE: 0, AvatarStatus.TRAINING_FAILED: 2}
"""Of several avatars of one request the usable one is recorded first, then those in training or refused."""


async def recover_listed(context: AppContext, avatars: AvatarList, owner: LeaseOwner) -> int:
    """Recover the lost submissions of the provisionings of the ledger; return their number.

    Args:
        context: The context of this process.
        avatars: The account list that was compared with the ledger just now.
        owner: The writer.

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
        DatabaseError: The ledger cannot be read or written.

    """
    if not (lost := await _read_undecided(context)):
        return 0
    recovered = 0
    for tag, provisioning_id in (await context.ledger.find_ids_by_tag(lost.keys())).items():
        recovered += await _recover(context, provisioning_id, lost[tag], avatars, owner)
    return recovered


async def recover_rows(context: AppContext, rows: Iterable[ManifestRow], owner: LeaseOwner) -> int:
    """Recover the lost submissions of rows whose provisionings the ledger may not have; return their number.

    A row without a lost submission is not recorded.

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
        DatabaseError: The ledger cannot be read or written.

    """
    lost = await _read_undecided(context)
    recovered = 0
    for row in rows if lost else ():
        request = row.request
        if request is None or request.reference is None:
            continue
        if (unknown := lost.get(request_tag(request.reference, request.fingerprint))) is None:
            continue
        with protect_request(request):
            try:
                provisioning, _ = await open_request(
                    context.ledger, context.quarantine, request, request.reference, owner, context.settings.sources
                )
            except RequestError:
                continue  # the row itself reports it
            except BatchCancelled:
                return recovered  # so does each row
            recovered += await _recover(context, provisioning.id, unknown, AvatarList([]), owner)
    return recovered


async def recover_submission_of(context: AppContext, provisioning: Provisioning, owner: LeaseOwner) -> Provisioning:
    """Return the provisioning in TRAINING if the ledger lost a submission of it, otherwise unchanged.

    Args:
        context: The context of this process.
        provisioning: A provisioning in ACCEPTED.
        owner: The owner of its lease.

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
        StaleVersion: Another owner changed it.
        DatabaseError: The ledger cannot be read or written.

    """
    unknown = await context.unknown_avatars.list_undecided_of(_tag(provisioning))
    for avatar in await _fetch(context, unknown, AvatarList([])):
        provisioning = await _record(context, provisioning, avatar, owner)
    return provisioning


async def _read_undecided(context: AppContext) -> dict[str, list[UnknownAvatar]]:
    """Return the undecided avatars by the tag of their submission."""
    by_tag: dict[str, list[UnknownAvatar]] = {}
    for unknown in await context.unknown_avatars.list_undecided(MAX_UNDECIDED):
        by_tag.setdefault(tag_of(unknown.submission_id), []).append(unknown)
    return by_tag


async def _recover(
    context: AppContext,
    provisioning_id: str,
    unknown: Sequence[UnknownAvatar],
    listed: AvatarList,
    owner: LeaseOwner,
) -> int:
    recovered = 0
    for avatar in await _fetch(context, unknown, listed):
        provisioning = await context.ledger.get(provisioning_id)
        if tag_of(avatar.submission_id or "") != _tag(provisioning):
            return recovered  # another request replaced the one that was found
        try:
            await _record(context, provisioning, avatar, owner)
        except (StaleVersion, ProvisioningErased, AvatarTaken) as error:
            log_to_run("provisioning %s: a submission was not recovered: %s", provisioning_id, error.message)
            return recovered  # what remains is found again: nothing is submitted meanwhile
        recovered += 1
    return recovered


async def _record(
    context: AppContext, provisioning: Provisioning, avatar: Avatar, owner: LeaseOwner
) -> Provisioning:
    recorded = await context.ledger.recover_submission(provisioning, owner, avatar.submission_id or "", avatar)
    log_to_run(
        "avatar %s is of a submission that this ledger lost: recorded for provisioning %s",
        avatar.id,
        recorded.id,
        level=logging.WARNING,
    )
    return recorded


async def _fetch(context: AppContext, unknown: Sequence[UnknownAvatar], listed: AvatarList) -> list[Avatar]:
    """Return the avatars that Argil still has, the one to continue with first. Raises ArgilUnauthorized."""
    avatars: list[Avatar] = []
    for item in unknown:
        if item.avatar_id is None:
            continue  # it stays unknown until the list has a usable id
        avatar = listed.get(item.avatar_id)
        if avatar is None or avatar.submission_id != item.submission_id:
            try:
                avatar = await context.argil.get_avatar(item.avatar_id, item.submission_id)
            except (PollFailed, AvatarNotFound):
                continue
        if avatar.submission_id == item.submission_id:
            avatars.append(avatar)
    now = context.clock.now()
    return sorted(avatars, key=lambda avatar: (_rank(avatar), avatar.created_by(now)))


def _tag(provisioning: Provisioning) -> str:
    return request_tag(provisioning.reference, provisioning.request_fingerprint)


def _rank(avatar: Avatar) -> int:
    return next((rank for status, rank in _RANKS.items() if avatar.status == status), 1)
