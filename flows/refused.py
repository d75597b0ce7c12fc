"""The flow `refused`: the branch for avatars that Argil's moderation refused."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.engine.branch_flow import branch_run_name, record_branch_outcomes
from models.provisioning import Status
from services.prefect_api.prefect_options import FLOW_OPTIONS
from tasks.record_refusal import record_refusal

NAME = "refused"


@flow(name=NAME, flow_run_name=branch_run_name(NAME), **FLOW_OPTIONS)
async def refused(provisioning_ids: list[str]) -> State:
    """Record and publish refused avatars, and quarantine their recordings. Nothing is submitted again.

    Acts only on provisionings whose stored raw status is REFUSED, so a second run changes nothing.
    """
    return await record_branch_outcomes(
        provisioning_ids, record_refusal, actor=NAME, terminal_status=Status.REFUSED
    )
