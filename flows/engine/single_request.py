"""Runs one request of any kind to its outcome: what the flows of single requests share."""

from __future__ import annotations

from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from flows.engine.final_state import final_state_for_error
from flows.engine.run_context import lease_owner_for_run
from flows.engine.state_machine import run_to_completion
from flows.engine.suspension import WaitMode, suspend, watch_timeout
from models.errors import AvatarsError
from models.provisioning import Status
from models.recordings.recording_secrets import protect_request
from models.request import AvatarRequest
from services.context import app_context
from services.runs.outcome_states import final_state_for
from services.runs.superseded_runs import leave_report_to_later_attempt
from tasks.get_or_create_provisioning import get_or_create_provisioning


async def run_request(request: AvatarRequest, wait: WaitMode, flow_name: str) -> State:
    """Record the request, or attach to the provisioning of its reference, and return the final state of the run."""
    owner = lease_owner_for_run(flow_name)
    try:
        with protect_request(request):
            async with app_context():
                provisioning = await get_or_create_provisioning(
                    request, request.reference or str(flow_run.id), owner
                )
                provisioning = await run_to_completion(provisioning, owner, watch_timeout(wait))
            if provisioning.status is Status.TRAINING and wait == "suspend":
                await suspend(provisioning, owner)
    except AvatarsError as error:
        await leave_report_to_later_attempt(owner)
        return final_state_for_error(error)
    return final_state_for(provisioning)
