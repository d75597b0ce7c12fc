"""The task that re-opens a rejected provisioning: free, because nothing was sent."""

from __future__ import annotations

from prefect import task

from models.errors import StaleVersion
from models.provisioning import LeaseOwner, Provisioning
from services import reopening
from services.context import app_context
from services.prefect_api.prefect_options import TASK_OPTIONS


@task(**TASK_OPTIONS)
async def retry_provisioning(provisioning: Provisioning, owner: LeaseOwner, reason: str = "") -> Provisioning:
    """Return a REJECTED provisioning in ACCEPTED, unless its recordings may not be read.

    Raises:
        InvalidRequest: The reason breaks a rule.
        NotReopenable: It has another terminal status.
        ProvisioningErased: It was erased.
        DatabaseError: The ledger cannot be read or written.

    """
    async with app_context() as context:
        while True:
            try:
                return await reopening.retry(
                    context.ledger, context.quarantine, provisioning, owner, context.settings.sources, reason
                )
            except StaleVersion:  # another caller wrote in between: decide again
                provisioning = await context.ledger.get(provisioning.id)
