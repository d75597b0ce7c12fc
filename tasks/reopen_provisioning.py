"""The task that re-opens a provisioning where it stopped."""

from __future__ import annotations

from prefect import task

from models.provisioning import LeaseOwner, Provisioning
from services import reopening
from services.context import app_context
from services.prefect_options import TASK_OPTIONS


@task(**TASK_OPTIONS)
async def reopen_provisioning(
    provisioning: Provisioning, owner: LeaseOwner, reason: str = "", *, clears_absence: bool = False
) -> Provisioning:
    """Return a TIMED_OUT, CANCELLED or VANISHED provisioning in the status where it stopped, any other unchanged.

    `clears_absence` is set if a person asked for it: the 404s so far of a training then no longer count.

    Raises:
        InvalidRequest: The reason breaks a rule.
        ProvisioningErased: It was erased.
        StaleVersion: Another owner changed it since it was read.
        DatabaseError: The ledger cannot be read or written.

    """
    async with app_context() as context:
        return await reopening.resume(context.ledger, provisioning, owner, reason, clears_absence=clears_absence)
