"""The flow `training-failed`: the branch for avatars that failed to train."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.engine.branch_flow import branch_run_name, record_branch_outcomes
from models.provisioning import Status
from services.prefect_api.prefect_options import FLOW_OPTIONS
from tasks.record_training_failure import record_training_failure

NAME = "training-failed"


@flow(name=NAME, flow_run_name=branch_run_name(NAME), **FLOW_OPTIONS)
async def training_failed(provisioning_ids: list[str]) -> State:
    """Apply the retrain limit to failed trainings; record and publish those that are not retrained.

    Acts only on provisionings whose stored raw status is TRAINING_FAILED, so a second run changes nothing.
    """
    return await record_branch_outcomes(
        provisioning_ids, record_training_failure, actor=NAME, terminal_status=Status.TRAINING_FAILED
    )
