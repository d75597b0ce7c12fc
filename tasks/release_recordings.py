"""The task that releases the recordings of a refused avatar from quarantine."""

from __future__ import annotations

from prefect import task

from models.provisioning import LeaseOwner, Provisioning
from services.context import app_context
from services.prefect_api.prefect_options import TASK_OPTIONS


@task(**TASK_OPTIONS)
async def release_recordings(key: str, reason: str, owner: LeaseOwner) -> tuple[Provisioning, int]:
    """Release the recordings of a provisioning and return it and how many.

    Args:
        key: The id or reference of the provisioning.
        reason: Why a person released them; it is recorded.
        owner: The run that releases them.

    Raises:
        InvalidRequest: The reason is empty, too long or contains an invisible character.
        UnknownProvisioning: No provisioning has this id or reference.
        DatabaseError: The quarantine cannot be written.

    """
    async with app_context() as context:
        provisioning = await context.ledger.get(key)
        return provisioning, len(await context.quarantine.release(provisioning, reason, owner))
