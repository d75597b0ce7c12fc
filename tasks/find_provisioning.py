"""The task that finds a provisioning by its id or reference."""

from __future__ import annotations

from prefect import task

from models.provisioning import Provisioning
from services.context import app_context
from services.prefect_api.prefect_options import TASK_OPTIONS


@task(**TASK_OPTIONS)
async def find_provisioning(key: str) -> Provisioning:
    """Return the provisioning with this id or reference. Raises UnknownProvisioning and DatabaseError."""
    async with app_context() as context:
        return await context.ledger.get(key)
