"""Claims what waits in ACCEPTED: queued, or left there until its operator has mended something."""

from __future__ import annotations

from datetime import datetime, timedelta

from models.provisioning import Driver, Provisioning
from tasks.runtime import runtime

PATIENCE_WITH_HINDERED = timedelta(minutes=10)
"""What an operator must mend is tried again no sooner than this."""


async def claim_pending(driver: Driver, began: datetime) -> Provisioning | None:
    """Return the next one, claimed for this driver; None where nothing waits that was there when its run began.

    Any number of drivers may ask at once, on any number of machines: each gets another one. Raises DatabaseError.
    """
    async with runtime() as active:
        tried_before = active.clock.now() - PATIENCE_WITH_HINDERED
        return await active.leases.claim_waiting(driver, active.lease, began=began, tried_before=tried_before)
