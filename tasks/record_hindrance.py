"""Records what keeps a provisioning from going on until its operator mends it."""

from __future__ import annotations

from prefect import task

from models.errors import OperatorError
from models.provisioning import Driver
from models.reason import Reason
from tasks.options import TASK
from tasks.runtime import runtime


@task(**TASK)
async def record_hindrance(provisioning_id: str, error: OperatorError, driver: Driver) -> None:
    """Note the reason where the provisioning stands, unless it is there already.

    Raises LeaseHeld where another driver has taken over, and DatabaseError.
    """
    reason = Reason.of(error)
    async with runtime() as active:
        seen = await active.leases.claim(provisioning_id, driver, active.lease)
        if reason not in seen.reasons:
            await active.ledger.record(seen, driver, error.message, reasons=[reason])
