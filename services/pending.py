"""Acquires provisionings that wait in ACCEPTED: queued ones, and ones that an operational error stopped."""

from __future__ import annotations

from datetime import datetime, timedelta

from models.errors import DayBudgetUsed, SubmissionPaused
from models.provisioning import LeaseOwner, Provisioning
from services.context import app_context

RETRY_BLOCKED_AFTER = timedelta(minutes=10)
"""How long a provisioning that an operational error stopped waits before it is tried again."""


async def acquire_next_pending(owner: LeaseOwner, started_at: datetime) -> Provisioning | None:
    """Return the next pending provisioning with its lease acquired, or None if there are no more.

    None is taken while a pause stands or the day has no budget: neither are recordings checked in vain then, nor
    events appended. If a pause waits for a probe, one provisioning is taken.

    Concurrent owners, on any number of machines, each get a different provisioning.

    Args:
        owner: The lease owner.
        started_at: When the owner's run started; provisionings that changed later are left to the next run.

    Raises:
        DatabaseError: The ledger cannot be read or written.

    """
    async with app_context() as context:
        limits = await context.limits.read(context.guard)
        try:
            limits.require()
            if limits.pauses:
                await context.limits.reserve_probe(context.guard, owner.id)
        except (SubmissionPaused, DayBudgetUsed):
            return None
        blocked_before = context.clock.now() - RETRY_BLOCKED_AFTER
        provisioning = await context.leases.acquire_next_pending(
            owner, context.lease_duration, started_at=started_at, blocked_before=blocked_before
        )
        if provisioning is None and limits.pauses:
            await context.limits.return_probe(owner.id)
        return provisioning
