"""The flow `resume-provisioning`: continues one provisioning, or re-opens it for a retry or a retrain."""

from __future__ import annotations

import contextlib
from typing import Literal

from prefect import flow
from prefect.client.schemas.objects import State

from flows.engine.final_state import final_state_for_error
from flows.engine.run_context import lease_owner_for_run, name_run_after, run_name_for
from flows.engine.state_machine import run_to_completion
from flows.engine.suspension import WaitMode, suspend, was_resumed, watch_timeout
from models.errors import AvatarsError, InvalidRequest
from models.provisioning import LeaseOwner, Provisioning, Status
from models.recordings.recording_secrets import protect_urls
from services.context import app_context
from services.prefect_api.prefect_options import FLOW_OPTIONS
from services.runs.outcome_states import final_state_for
from services.runs.superseded_runs import leave_report_to_later_attempt
from tasks.find_provisioning import find_provisioning
from tasks.reopen_provisioning import reopen_provisioning
from tasks.retrain_provisioning import retrain_provisioning
from tasks.retry_provisioning import retry_provisioning

ResumeAction = Literal["resume", "retry", "retrain"]


@flow(name="resume-provisioning", flow_run_name=run_name_for("resume", verb_parameter="action"), **FLOW_OPTIONS)
async def resume_provisioning(
    provisioning_id: str,
    action: ResumeAction = "resume",
    reason: str = "",
    dataset_video: str = "",
    consent_video: str = "",
    image: str = "",
    voice_id: str = "",
    voice_sample: str = "",
    wait: WaitMode = "suspend",
) -> State:
    """Continue a provisioning from its current status. A terminal one is re-opened first, if the action allows it.

    A run re-opens at most once, also if it is retried or starts again. Start a new run to re-open again.

    Args:
        provisioning_id: Id or reference of the provisioning.
        action: `resume` continues TIMED_OUT, CANCELLED and VANISHED where they stopped. `retry` checks and submits
            REJECTED again, for which nothing was sent and nothing paid. `retrain` submits TRAINING_FAILED,
            SUBMISSION_FAILED or VANISHED again, which may be charged. After an earlier submission it also takes
            REJECTED, and ACCEPTED with other recordings or another voice.
        reason: Who decided and why; stored in the ledger. `retrain` requires it.
        dataset_video: For `retrain` only: Address of another dataset video. Empty to keep the one of the request.
        consent_video: For `retrain` only: Address of another consent video. Empty to keep the one of the request.
        image: For `retrain` of an image request only: Address of another image. Empty to keep its image.
        voice_id: For `retrain` of an image request only: Id of another voice at Argil. It replaces the voice or the
            voice sample. Empty to keep it.
        voice_sample: For `retrain` of an image request only: Address of another voice sample, from which Argil
            clones a voice. It replaces the voice or the voice sample. Empty to keep it.
        wait: What the run does during the training. `suspend`: it suspends itself, needs no process, and is
            resumed when the training ends. `block`: its process keeps polling. `none`: it ends after the
            submission, and `reconcile-avatars` completes the provisioning.

    """
    owner = lease_owner_for_run("resume-provisioning")
    recordings = {
        "dataset_video": dataset_video,
        "consent_video": consent_video,
        "image": image,
        "voice_sample": voice_sample,
    }
    given = [url for url in recordings.values() if url]
    changes = {**recordings, "voice_id": voice_id}
    try:
        async with app_context():
            provisioning = await find_provisioning(provisioning_id)
            await name_run_after(provisioning, action)
            if not await was_resumed():  # an outcome recorded during the suspension is reported, not re-opened
                with protect_urls(given) if given else contextlib.nullcontext():
                    provisioning = await _reopen(provisioning, owner, action, reason, changes)
            provisioning = await run_to_completion(provisioning, owner, watch_timeout(wait))
        if provisioning.status is Status.TRAINING and wait == "suspend":
            await suspend(provisioning, owner)
    except AvatarsError as error:
        await leave_report_to_later_attempt(owner)
        return final_state_for_error(error)
    return final_state_for(provisioning)


async def _reopen(
    provisioning: Provisioning, owner: LeaseOwner, action: ResumeAction, reason: str, changes: dict[str, str]
) -> Provisioning:
    if action == "retrain":
        return await retrain_provisioning(provisioning, owner, reason, **changes)
    if problems := [
        (name, f"`{action}` takes no changes of the request") for name, text in changes.items() if text
    ]:
        raise InvalidRequest(problems, hint="choose `retrain`, or make a corrected request with the same reference")
    if action == "retry":
        return await retry_provisioning(provisioning, owner, reason)
    return await reopen_provisioning(provisioning, owner, reason, by_person=True)
