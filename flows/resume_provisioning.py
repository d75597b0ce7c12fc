"""The flow `resume-provisioning`: continues one provisioning, or re-opens it for a retry or a retrain."""

from __future__ import annotations

import contextlib
from typing import Literal

from prefect import flow
from prefect.client.schemas.objects import State

from flows.engine.final_state import final_state_for_error
from flows.engine.run_context import lease_owner_for_run, run_name_for
from flows.engine.state_machine import run_to_completion
from flows.engine.suspension import WaitMode, suspend, was_resumed, watch_timeout
from models.errors import AvatarsError
from models.provisioning import Status
from models.recording_secrets import protect_urls
from services.context import app_context
from services.outcome_states import final_state_for
from services.prefect_options import FLOW_OPTIONS
from tasks.find_provisioning import find_provisioning
from tasks.reopen_provisioning import reopen_provisioning
from tasks.retrain_provisioning import retrain_provisioning
from tasks.retry_provisioning import retry_provisioning

ResumeAction = Literal["resume", "retry", "retrain"]


@flow(name="resume-provisioning", flow_run_name=run_name_for("resume"), **FLOW_OPTIONS)
async def resume_provisioning(
    provisioning_id: str,
    wait: WaitMode = "suspend",
    action: ResumeAction = "resume",
    reason: str = "",
    dataset_video: str | None = None,
    consent_video: str | None = None,
) -> State:
    """Continue a provisioning from its current status. A terminal one is re-opened first, if the action allows it.

    A run re-opens at most once, also if it is retried or starts again.

    Args:
        provisioning_id: The id or reference of the provisioning.
        wait: What the run does during the training. `suspend`: it suspends itself, needs no process, and is
            resumed when the training ends. `block`: its process keeps polling. `none`: it ends after the
            submission, and `reconcile-avatars` completes the provisioning.
        action: `resume` re-opens TIMED_OUT, CANCELLED and VANISHED where they stopped. `retry` re-opens REJECTED.
            Both are free. `retrain` submits TRAINING_FAILED, SUBMISSION_FAILED or VANISHED again, which may be
            charged.
        reason: For `retrain`: who decided and why; stored in the ledger.
        dataset_video: For `retrain`: the HTTPS URL of another dataset video, if it was recorded again.
        consent_video: For `retrain`: the HTTPS URL of another consent video.

    """
    owner = lease_owner_for_run("resume-provisioning")
    try:
        async with app_context():
            provisioning = await find_provisioning(provisioning_id)
            if not await was_resumed():  # an outcome recorded during the suspension is reported, not re-opened
                given = [url for url in (dataset_video, consent_video) if url is not None]
                with protect_urls(given) if given else contextlib.nullcontext():
                    if action == "retry":
                        provisioning = await retry_provisioning(provisioning, owner)
                    elif action == "retrain":
                        provisioning = await retrain_provisioning(
                            provisioning, owner, reason, dataset_video, consent_video
                        )
                    else:
                        provisioning = await reopen_provisioning(provisioning, owner, clears_absence=True)
            provisioning = await run_to_completion(provisioning, owner, watch_timeout(wait))
        if provisioning.status is Status.TRAINING and wait == "suspend":
            await suspend(provisioning, owner)
    except AvatarsError as error:
        return final_state_for_error(error)
    return final_state_for(provisioning)
