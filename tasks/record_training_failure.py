"""The task that applies the retrain policy to a failed training."""

from __future__ import annotations

from prefect import task

from models.argil.avatar import AvatarStatus
from models.provisioning import LeaseOwner, Provisioning, Status
from models.request import RequestKind
from services.context import app_context
from services.outcomes import transition_to_terminal
from services.prefect_api.prefect_options import TASK_OPTIONS


@task(**TASK_OPTIONS)
async def record_training_failure(provisioning_id: str, owner: LeaseOwner) -> Provisioning:
    """Return the provisioning TRAINING_FAILED, or ACCEPTED for a retrain while AVATARS_RETRAIN_LIMIT allows one.

    A provisioning that is not in TRAINING or whose latest status at Argil is not TRAINING_FAILED is returned
    unchanged. Calling it twice therefore has the effect of calling it once.

    Raises:
        UnknownProvisioning: No provisioning has this id.
        StaleVersion: Another owner changed the provisioning since it was read.
        DatabaseError: The ledger cannot be read or written.

    """
    async with app_context() as context:
        provisioning = await context.ledger.get(provisioning_id)
        if provisioning.status is not Status.TRAINING or provisioning.raw_status != AvatarStatus.TRAINING_FAILED:
            return provisioning
        # An adopted avatar has no recordings that could be submitted.
        limit = 0 if provisioning.kind is RequestKind.ADOPTED else context.settings.avatars_retrain_limit
        if provisioning.retrain_count >= limit:
            return await transition_to_terminal(context, provisioning, owner, Status.TRAINING_FAILED)
        return await context.ledger.transition(
            provisioning,
            owner,
            f"avatar {provisioning.avatar_id} failed to train: retrain {provisioning.retrain_count + 1} of {limit}",
            new_status=Status.ACCEPTED,
            retrain_count=provisioning.retrain_count + 1,
            avatar_id=None,
            training_started_at=None,
        )
