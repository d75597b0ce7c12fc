"""Decides which avatars that Argil answers with 404 are gone: models/argil/vanished.py has the rule.

The ledger stores since when Argil answers 404, so any process can decide, and none has to wait.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from clients.shared_list import ListedAccount
from models.argil.avatar import Avatar
from models.argil.vanished import is_gone, is_mass_absence
from models.errors import AvatarsMissing, ConcurrencyError, PollFailed
from models.provisioning import LeaseOwner, Provisioning, Status
from models.reason import Reason
from services.context import AppContext
from services.outcomes import transition_to_terminal
from services.run_log import log_to_run


async def decide_absence(context: AppContext, provisioning: Provisioning, owner: LeaseOwner) -> Provisioning:
    """Return a provisioning with a lasting 404 in VANISHED, or in TRAINING if its avatar is not gone after all.

    If nothing proves that the avatar is gone, the training deadline still ends it in TIMED_OUT, which later polls
    resolve.

    Raises:
        AvatarsMissing: The 404s do not prove that the avatar is gone; nothing changed.
        ArgilUnauthorized: Argil rejects the API key.
        StaleVersion: Another owner changed the provisioning since it was read.
        DatabaseError: The ledger cannot be read or written.

    """
    since = (await context.ledger.get(provisioning.id)).not_found_since
    if since is None:  # cleared by a process that received the avatar
        return dataclasses.replace(provisioning, not_found_since=None)
    try:
        listed = await _fetch_proof(context, provisioning, since)
    except AvatarsMissing:
        if not _is_overdue(context, provisioning):
            raise
        return await transition_to_terminal(context, provisioning, owner, Status.TIMED_OUT)
    if provisioning.avatar_id in listed.account.avatar_ids:
        await context.ledger.clear_not_found([provisioning.id])
        return dataclasses.replace(provisioning, not_found_since=None)
    if not is_gone(since, listed.started_at, context.clock.now(), _gone_after(context)):
        return provisioning
    return await transition_to_terminal(context, provisioning, owner, Status.VANISHED)


async def record_polls(
    context: AppContext,
    owner: LeaseOwner,
    polled: Sequence[tuple[Provisioning, Avatar | None]],
    unlisted_at: datetime | None,
) -> set[str]:
    """Store for provisionings without a lease which of their avatars Argil answers with 404.

    Args:
        context: The context of this process.
        owner: The writer of the events.
        polled: The provisionings with their avatars; None for a 404.
        unlisted_at: The start of the list call that does not contain the absent ones; None if it proves nothing.

    Returns:
        The ids of the provisionings whose avatar is gone. In a mass absence there are none; the reason is stored
        with those that would be gone otherwise.

    """
    now = context.clock.now()
    absent = [item for item, avatar in polled if avatar is None and item.status is Status.TRAINING]
    # A time ahead of the clock was stored before the clock was set back.
    first_404s = [item.id for item in absent if item.not_found_since is None or item.not_found_since > now]
    await context.ledger.record_not_found(first_404s, now)
    gone = [item for item in absent if is_gone(item.not_found_since, unlisted_at, now, _gone_after(context))]
    # Before the answers of this pass clear theirs: a gateway may recover in the middle of it.
    in_training, not_found = await context.ledger.count_absences() if gone else (0, 0)
    await _record_presence(context, owner, [item for item, avatar in polled if avatar is not None])
    if not is_mass_absence(in_training, not_found):
        return {item.id for item in gone}
    error = _missing("for more than half of the avatars in training")
    log_to_run("%s: %d of %d", error.message, not_found, in_training, level=logging.ERROR)
    for item in gone:
        await _record_reason(context, owner, item, error)
    return set()


async def _record_presence(context: AppContext, owner: LeaseOwner, present: Sequence[Provisioning]) -> None:
    await context.ledger.clear_not_found([item.id for item in present if item.not_found_since is not None])
    for item in present:
        if item.status is Status.TRAINING and item.reasons:
            await _record_reason(context, owner, item, None)


async def _record_reason(
    context: AppContext, owner: LeaseOwner, provisioning: Provisioning, error: AvatarsMissing | None
) -> None:
    """Replace the reasons of a provisioning without a lease; unchanged ones append no event."""
    reasons = [] if error is None else [Reason.from_error(error)]
    if reasons == provisioning.reasons:
        return
    message = f"Argil returns avatar {provisioning.avatar_id} again" if error is None else error.message
    try:
        await context.ledger.transition(provisioning, owner, message, reasons=reasons)
    except ConcurrencyError:
        log_to_run("provisioning %s changed while it was polled: left to its lease owner", provisioning.id)


async def _fetch_proof(context: AppContext, provisioning: Provisioning, since: datetime) -> ListedAccount:
    """Return a complete account list that is later than the first 404. Raises AvatarsMissing."""
    if is_mass_absence(*await context.ledger.count_absences()):
        raise _missing("for more than half of the avatars in training")
    try:
        listed = await context.shared_list.fetch(not_before=since)
    except PollFailed as error:
        raise _missing(f"for avatar {provisioning.avatar_id}, and the list call failed: {error}") from None
    account = listed.account
    if account.incomplete_because and provisioning.avatar_id not in account.avatar_ids:
        raise _missing(f"for avatar {provisioning.avatar_id}, and {account.incomplete_because}")
    return listed


def _missing(what: str) -> AvatarsMissing:
    return AvatarsMissing(
        f"Argil answers 404 {what}",
        hint="check ARGIL_API_URL, the API key and its workspace with `avatars doctor`; polling continues",
    )


def _gone_after(context: AppContext) -> timedelta:
    return timedelta(seconds=context.settings.avatars_gone_after_seconds)


def _is_overdue(context: AppContext, provisioning: Provisioning) -> bool:
    timeout = timedelta(seconds=context.settings.avatars_training_timeout_seconds)
    started_at = provisioning.training_started_at
    return started_at is not None and started_at + timeout <= context.clock.now()
