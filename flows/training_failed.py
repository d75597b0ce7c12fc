"""The flow `training-failed`: the branch for avatars that failed to train."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.engine.branch_flow import record_branch_outcomes
from models.provisioning import Status
from services.prefect_options import FLOW_OPTIONS
from tasks.record_training_failure import record_training_failure


@flow(name="training-failed", **FLOW_OPTIONS)
async def training_failed(provisioning_ids: list[str]) -> State:
    """Apply the retrain limit to failed trainings; record and publish those that are not retrained.

    Acts only on provisionings whose stored raw status is TRAINING_FAILED, so a second run changes nothing.
    """
    return await record_branch_outcomes(
        provisioning_ids, record_training_failure, actor="training-failed", terminal_status=Status.TRAINING_FAILED
    )
