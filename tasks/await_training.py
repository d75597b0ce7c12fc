"""Watches an avatar's training against its stored deadline."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

from prefect import task

from clients.training_watch import WatchEnd
from models.avatar import Avatar, AvatarStatus
from models.errors import AvatarsError
from models.provisioning import Driver, Provisioning
from tasks.lease import unless_taken_away
from tasks.narrate import narrate
from tasks.options import TASK
from tasks.runtime import runtime

KNOWN = frozenset(AvatarStatus)


@task(**TASK)
async def await_training(
    provisioning: Provisioning, driver: Driver, patience_seconds: float | None
) -> tuple[Provisioning, WatchEnd]:
    """Watch until the training has settled, its deadline has passed, the avatar is gone, or patience ends.

    Returns the provisioning, still in TRAINING, with Argil's last status, and how the watch ended; what Argil says
    of a finished avatar is left to `record_end` to write. The deadline counts from the stored creation time, so a
    restart does not reset it. Patience None lasts to the deadline;
    0 is one look. Raises ArgilUnauthorized, LeaseHeld, StaleVersion, DatabaseError.
    """
    if provisioning.avatar_id is None or provisioning.training_since is None:
        raise AvatarsError(f"provisioning {provisioning.id} is in TRAINING without an avatar")
    async with runtime() as active:
        seen = provisioning
        told: set[str] = set()

        async def note(avatar: Avatar) -> None:
            nonlocal seen
            if avatar.status not in KNOWN and avatar.status not in told:
                told.add(avatar.status)
                narrate(
                    "Argil says %r, which it does not document: watching on", avatar.status, level=logging.WARNING
                )
            else:
                narrate("Argil says %s of avatar %s", avatar.status, avatar.id)
            if avatar.status == AvatarStatus.IDLE:  # recorded together with the end that it is
                seen = replace(seen, raw_status=avatar.status, avatar=avatar.raw)
            elif avatar.status != seen.raw_status or avatar.is_settled:
                seen = await active.ledger.record(
                    seen,
                    driver,
                    f"Argil says {avatar.status}",
                    raw_status=avatar.status,
                    avatar=avatar.raw,
                )

        timeout = timedelta(seconds=active.settings.avatars_training_timeout_seconds)
        since = provisioning.training_since
        deadline = until = since + timeout
        if patience_seconds is not None:
            until = min(deadline, active.clock.now() + timedelta(seconds=patience_seconds))
        watching = active.watch.until_end(provisioning.avatar_id, since, until, note)
        end = await unless_taken_away(active, provisioning.id, driver, watching)
    if end is WatchEnd.TIMED_OUT and until < deadline:
        return seen, WatchEnd.STILL_TRAINING
    return seen, end
