"""The flow `resume-provisioning`: continues one provisioning from its current status."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.engine.final_state import final_state_for_error
from flows.engine.run_context import lease_owner_for_run, run_name_for
from flows.engine.state_machine import run_to_completion
from flows.engine.suspension import WaitMode, suspend, was_resumed, watch_timeout
from models.errors import AvatarsError
from models.provisioning import Status
from services.context import app_context
from services.outcome_states import final_state_for
from services.prefect_options import FLOW_OPTIONS
from tasks.find_provisioning import find_provisioning
from tasks.reopen_provisioning import reopen_provisioning


@flow(name="resume-provisioning", flow_run_name=run_name_for("resume"), **FLOW_OPTIONS)
async def resume_provisioning(provisioning_id: str, wait: WaitMode = "suspend") -> State:
    """Continue a provisioning from its current status. TIMED_OUT and CANCELLED ones are re-opened first.

    Args:
        provisioning_id: The id or reference of the provisioning.
        wait: What the run does during the training. `suspend`: it suspends itself, needs no process, and is
            resumed when the training ends. `block`: its process keeps polling. `none`: it ends after the
            submission, and `reconcile-avatars` completes the provisioning.

    """
    owner = lease_owner_for_run("resume-provisioning")
    try:
        async with app_context():
            provisioning = await find_provisioning(provisioning_id)
            if not await was_resumed():  # an outcome recorded during the suspension is reported, not re-opened
                provisioning = await reopen_provisioning(provisioning, owner)
            provisioning = await run_to_completion(provisioning, owner, watch_timeout(wait))
        if provisioning.status is Status.TRAINING and wait == "suspend":
            await suspend(provisioning, owner)
    except AvatarsError as error:
        return final_state_for_error(error)
    return final_state_for(provisioning)
