"""The flow `provision-avatar`: runs one request until its outcome is recorded."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from flows.engine.final_state import final_state_for_error
from flows.engine.run_context import lease_owner_for_run
from flows.engine.state_machine import run_to_completion
from flows.engine.suspension import WaitMode, suspend, watch_timeout
from models.errors import AvatarsError
from models.provisioning import Status
from models.recording_secrets import protect_request
from models.request import ProvisioningRequest
from services.context import app_context
from services.outcome_states import final_state_for
from services.prefect_options import FLOW_OPTIONS
from services.superseded_runs import leave_report_to_later_attempt
from tasks.get_or_create_provisioning import get_or_create_provisioning


@flow(name="provision-avatar", flow_run_name="{request.name}", **FLOW_OPTIONS)
async def provision_avatar(request: ProvisioningRequest, wait: WaitMode = "suspend") -> State:
    """Create one avatar from two recordings.

    Without a reference, the flow run id is used, so a resumed or retried run attaches to its own provisioning.
    The final state is named after the outcome; the ledger holds the details.

    Args:
        request: The avatar's name, its two recordings, and optional metadata.
        wait: What the run does during the training. `suspend`: it suspends itself, needs no process, and is
            resumed when the training ends. `block`: its process keeps polling. `none`: it ends after the
            submission, and `reconcile-avatars` completes the provisioning.

    """
    owner = lease_owner_for_run("provision-avatar")
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
