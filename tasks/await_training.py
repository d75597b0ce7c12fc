"""The task that waits until Argil has trained an avatar, up to a deadline that counts from the stored start."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from prefect import task

from clients.training_monitor import MonitorResult
from models.argil.avatar import DOCUMENTED_STATUSES, Avatar, AvatarStatus, read_extras
from models.errors import AvatarsError
from models.provisioning import LeaseOwner, Provisioning
from models.request_fields import SUBMISSION_ID_EXTRA
from services.context import app_context
from services.prefect_api.prefect_options import TASK_OPTIONS
from services.run_log import log_about_one, log_to_run


@task(**TASK_OPTIONS)
async def await_training(
    provisioning: Provisioning, owner: LeaseOwner, timeout_seconds: float | None
) -> tuple[Provisioning, MonitorResult]:
    """Wait until the training is terminal, its deadline passes, 404s have lasted, or the timeout passes.

    The deadline is the stored start of the training plus AVATARS_TRAINING_TIMEOUT_SECONDS. A restart does not
    extend it.

    Args:
        provisioning: A provisioning in TRAINING.
        owner: The owner of its lease.
        timeout_seconds: How long to wait at most; None waits until the deadline, 0 polls once.

    Returns:
        The provisioning, still in TRAINING, with Argil's latest status, and why the wait ended. Only
        `record_outcome` writes the status IDLE of a finished avatar to the ledger.

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
        LeaseLost: The owner's lease was lost.
        StaleVersion: Another owner changed the provisioning.
        DatabaseError: The ledger cannot be written.

    """
    if provisioning.avatar_id is None or provisioning.training_started_at is None:
        raise AvatarsError(f"provisioning {provisioning.id} is in TRAINING without an avatar id or start time")
    async with app_context() as context:
        current = provisioning
        warned_statuses: set[str] = set()

        async def record_change(avatar: Avatar) -> None:
            nonlocal current
            if avatar.status not in DOCUMENTED_STATUSES and avatar.status not in warned_statuses:
                warned_statuses.add(avatar.status)
                log_about_one(
                    "Argil reports the undocumented status %r: polling continues",
                    avatar.status,
                    level=logging.WARNING,
                )
            else:
                log_to_run("Argil reports %s for avatar %s", avatar.status, avatar.id)
            if avatar.status == AvatarStatus.IDLE:  # recorded together with the terminal status
                current = replace(current, raw_status=avatar.status, avatar_snapshot=avatar.raw)
            elif avatar.status != current.raw_status or avatar.is_terminal or current.reasons:
                # The reasons are those of an operational error, which is over.
                current = await context.ledger.transition(
                    current,
                    owner,
                    f"Argil reports {avatar.status}",
                    raw_status=avatar.status,
                    reasons=[],
                    avatar_snapshot=avatar.raw,
                )

        async def record_absence(since: datetime | None) -> None:
            nonlocal current
            if since is None:
                log_to_run("Argil returns avatar %s again", provisioning.avatar_id)
                await context.ledger.clear_not_found([provisioning.id])
            else:
                log_about_one("Argil answers 404 for avatar %s", provisioning.avatar_id, level=logging.WARNING)
                await context.ledger.record_not_found([provisioning.id], since)
            current = replace(current, not_found_since=since)

        training_timeout = timedelta(seconds=context.settings.avatars_training_timeout_seconds)
        # A start ahead of the clock was stored before the clock was set back; it must not extend the deadline.
        training_started_at = min(provisioning.training_started_at, context.clock.now())
        deadline = wait_deadline = training_started_at + training_timeout
        if timeout_seconds is not None:
            wait_deadline = min(deadline, context.clock.now() + timedelta(seconds=timeout_seconds))
        monitoring = context.training_monitor.wait_until_terminal(
            provisioning.avatar_id,
            training_started_at,
            wait_deadline,
            record_change,
            _submission_id(provisioning),
            min_interval_seconds=context.settings.min_poll_seconds(provisioning.kind),
            not_found_since=provisioning.not_found_since,
            on_absence=record_absence,
        )
        result = await context.lease_manager.run_while_leased(provisioning.id, owner, monitoring)
    if result is MonitorResult.TIMED_OUT and wait_deadline < deadline:
        return current, MonitorResult.STILL_TRAINING
    return current, result


def _submission_id(provisioning: Provisioning) -> str | None:
    """Return the correlation key that Argil returned when the avatar was recorded, None if it returned none."""
    extras = read_extras((provisioning.avatar_snapshot or {}).get("extras"))
    return (extras or {}).get(SUBMISSION_ID_EXTRA)
