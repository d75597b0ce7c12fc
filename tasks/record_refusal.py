"""Records that moderation refused an avatar, and quarantines its recordings."""

from __future__ import annotations

from prefect import task

from models.avatar import AvatarStatus
from models.provisioning import Driver, Provisioning, Status
from tasks.options import TASK
from tasks.record_end import end
from tasks.runtime import runtime


@task(**TASK)
async def record_refusal(provisioning_id: str, driver: Driver) -> Provisioning:
    """Return the provisioning REFUSED, both its recordings in quarantine.

    Acts only where the ledger says that Argil said REFUSED; else it comes back as it is. Raises
    UnknownProvisioning, StaleVersion, DatabaseError.
    """
    async with runtime() as active:
        seen = await active.ledger.get(provisioning_id)
        if seen.status is not Status.TRAINING or seen.raw_status != AvatarStatus.REFUSED:
            return seen
        # First: a crash between the two then repeats both, and never leaves a refusal without its quarantine.
        await active.quarantine.put(seen)
        return await end(active, seen, driver, Status.REFUSED)
