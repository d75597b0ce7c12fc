"""The task that re-opens a failed provisioning for another submission, which may cost money."""

from __future__ import annotations

from prefect import task

from models.errors import StaleVersion
from models.provisioning import LeaseOwner, Provisioning
from services import retraining
from services.context import app_context
from services.prefect_options import TASK_OPTIONS


@task(**TASK_OPTIONS)
async def retrain_provisioning(
    provisioning: Provisioning,
    owner: LeaseOwner,
    reason: str,
    dataset_video: str = "",
    consent_video: str = "",
    image: str = "",
    voice_id: str = "",
    voice_sample: str = "",
) -> Provisioning:
    """Return the provisioning in ACCEPTED, or in TRAINING with an earlier avatar.

    services/retraining.py has the rules and the errors.

    """
    async with app_context() as context:
        while True:
            try:
                return await retraining.retrain(
                    context,
                    provisioning,
                    owner,
                    reason,
                    dataset_video,
                    consent_video,
                    image,
                    voice_id,
                    voice_sample,
                )
            except StaleVersion:  # another caller wrote in between: decide again
                provisioning = await context.ledger.get(provisioning.id)
