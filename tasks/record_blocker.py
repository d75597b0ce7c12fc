"""The task that records the operational error that stopped a provisioning."""

from __future__ import annotations

from prefect import task

from models.errors import OperationalError
from models.provisioning import LeaseOwner, Provisioning
from models.reason import Reason
from services.context import app_context
from services.prefect_api.prefect_options import TASK_OPTIONS


@task(**TASK_OPTIONS)
async def record_blocker(provisioning_id: str, error: OperationalError, owner: LeaseOwner) -> Provisioning:
    """Record the error as the reason of the provisioning, whose status stays as it is.

    An unchanged reason appends no event.

    Returns:
        The provisioning. If it is terminal, for example because a person cancelled it meanwhile, nothing is written
        and its reasons remain.

    Raises:
        LeaseLost: The owner's lease was lost.
        DatabaseError: The ledger cannot be written.

    """
    reason = Reason.from_error(error)
    async with app_context() as context:
        provisioning = await context.lease_manager.refresh(provisioning_id, owner)
        if provisioning.status.is_terminal:
            return provisioning
        if reason in provisioning.reasons:
            return await context.ledger.touch(provisioning)
        return await context.ledger.transition(provisioning, owner, error.message, reasons=[reason])
