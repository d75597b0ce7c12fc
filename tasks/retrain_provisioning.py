"""The task that re-opens a failed provisioning for another submission, which may cost money."""

from __future__ import annotations

from prefect import task

from models.errors import StaleVersion
from models.provisioning import LeaseOwner, Provisioning
from services import retraining
from services.context import app_context
from services.prefect_api.prefect_options import TASK_OPTIONS


@task(**TASK_OPTIONS)
async def retrain_provisioning(
    provisioning: Provisioning, owner: LeaseOwner, reason: str, **changes: str
) -> Provisioning:
    """Return the provisioning in ACCEPTED, or in TRAINING with an earlier avatar.

    services/retraining.py has the arguments, the rules and the errors.
    """
    async with app_context() as context:
        while True:
            try:
                return await retraining.retrain(context, provisioning, owner, reason, **changes)
            except StaleVersion:  # another caller wrote in between: decide again
                provisioning = await context.ledger.get(provisioning.id)
