"""The task that records the outcome of a training that no branch handles."""

from __future__ import annotations

from prefect import task

from models.provisioning import LeaseOwner, Provisioning, Status
from services.context import app_context
from services.outcomes import transition_to_terminal
from services.prefect_api.prefect_options import TASK_OPTIONS


@task(**TASK_OPTIONS)
async def record_outcome(provisioning: Provisioning, status: Status, owner: LeaseOwner) -> Provisioning:
    """Return the provisioning READY or TIMED_OUT. Raises StaleVersion and DatabaseError."""
    async with app_context() as context:
        return await transition_to_terminal(context, provisioning, owner, status)
