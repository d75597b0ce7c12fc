"""The task that records that Argil's moderation refused an avatar and quarantines its recordings."""

from __future__ import annotations

from prefect import task

from models.argil.avatar import AvatarStatus
from models.provisioning import LeaseOwner, Provisioning, Status
from services.context import app_context
from services.outcomes import transition_to_terminal
from services.prefect_api.prefect_options import TASK_OPTIONS


@task(**TASK_OPTIONS)
async def record_refusal(provisioning_id: str, owner: LeaseOwner) -> Provisioning:
    """Return the provisioning REFUSED, with all recordings in quarantine.

    A provisioning that is not in TRAINING or whose latest status at Argil is not REFUSED is returned unchanged.

    Raises:
        UnknownProvisioning: No provisioning has this id.
        StaleVersion: Another owner changed the provisioning since it was read.
        DatabaseError: The ledger cannot be read or written.

    """
    async with app_context() as context:
        provisioning = await context.ledger.get(provisioning_id)
        if provisioning.status is not Status.TRAINING or provisioning.raw_status != AvatarStatus.REFUSED:
            return provisioning
        # The quarantine is first: a crash between the two writes repeats both and never leaves a refused
        # provisioning without its quarantine.
        await context.quarantine.add(provisioning)
        return await transition_to_terminal(context, provisioning, owner, Status.REFUSED)
