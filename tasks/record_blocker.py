"""The task that records the operational error that stopped a provisioning."""

from __future__ import annotations

from prefect import task

from models.errors import OperationalError
from models.provisioning import LeaseOwner
from models.reason import Reason
from services.context import app_context
from services.prefect_options import TASK_OPTIONS


@task(**TASK_OPTIONS)
async def record_blocker(provisioning_id: str, error: OperationalError, owner: LeaseOwner) -> None:
    """Record the error as the reason of the provisioning, whose status stays as it is.

    Raises:
        LeaseLost: The owner's lease was lost.
        DatabaseError: The ledger cannot be written.

    """
    reason = Reason.from_error(error)
    async with app_context() as context:
        provisioning = await context.lease_manager.refresh(provisioning_id, owner)
        if reason not in provisioning.reasons:
            await context.ledger.transition(provisioning, owner, error.message, reasons=[reason])
