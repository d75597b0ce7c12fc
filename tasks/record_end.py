"""Records how a training ended, where no branch of its own is taken."""

from __future__ import annotations

from prefect import task

from models.outcomes import OUTCOMES
from models.provisioning import Driver, Provisioning, Status
from models.reason import Reason
from tasks.options import TASK
from tasks.runtime import Runtime, runtime


async def end(active: Runtime, seen: Provisioning, driver: Driver, status: Status) -> Provisioning:
    """Move to an end and give its meaning as the reason: Argil itself gives none."""
    outcome = OUTCOMES[status]
    reason = Reason(code=outcome.event or status, message=outcome.meaning, hint=outcome.next_step_of(seen.id))
    if status is not Status.READY:
        return await active.ledger.record(seen, driver, outcome.meaning, to=status, reasons=[reason])
    why = f"Argil says {seen.raw_status}: {outcome.meaning}"
    return await active.ledger.record(
        seen, driver, why, to=status, reasons=[], raw_status=seen.raw_status, avatar=seen.avatar
    )


@task(**TASK)
async def record_end(provisioning: Provisioning, status: Status, driver: Driver) -> Provisioning:
    """Return the provisioning READY, TIMED_OUT or VANISHED. Raises StaleVersion and DatabaseError."""
    async with runtime() as active:
        return await end(active, provisioning, driver, status)
