"""The task that looks up the voices of avatars that became READY."""

from __future__ import annotations

from prefect import task

from models.provisioning import LeaseOwner, Provisioning
from services.context import app_context
from services.prefect_api.prefect_options import TASK_OPTIONS
from services.voices.voices import look_up_voices


@task(**TASK_OPTIONS)
async def find_voices(owner: LeaseOwner, batch_id: str | None = None) -> list[Provisioning]:
    """Return the provisionings whose voice was found and is not announced yet. Raises DatabaseError."""
    async with app_context() as context:
        return await look_up_voices(context, owner, batch_id=batch_id)
