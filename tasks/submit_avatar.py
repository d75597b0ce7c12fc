"""The task that creates the avatar at Argil: record the submission, send it, record the response."""

from __future__ import annotations

import logging

from prefect import task

from models.argil.avatar import CreateRequest
from models.errors import (
    ArgilUnavailable,
    NetworkUnavailable,
    RecordingChanged,
    StoreUnavailable,
    SubmissionBudgetUsed,
    SubmissionOutcomeUnknown,
    SubmissionRejected,
)
from models.limits import pause_after
from models.provisioning import LeaseOwner, Provisioning, Status, Submission, SubmissionState
from models.reason import Reason
from models.recordings.recording_secrets import protect_request
from services.admission import wait_out_rate_pause
from services.context import AppContext, app_context
from services.prefect_api.prefect_options import TASK_OPTIONS
from services.recordings.recording_links import RecordingLinks
from services.run_log import log_about_one
from services.submissions import (
    build_create_request,
    callback_url,
    limit_problem,
    record_created_avatar,
    submitted_recordings,
)
from services.voices.voice_cloning import cloned_voice_id


@task(**TASK_OPTIONS)
async def submit_avatar(provisioning: Provisioning, owner: LeaseOwner) -> Provisioning:
    """Record one submission, send it and record its outcome.

    The POST is sent at most MAX_CREATE_ATTEMPTS times (clients/argil.py), and again only if Argil certainly did not
    accept it.

    Returns:
        The provisioning in TRAINING, in SUBMISSION_FAILED, in SUBMITTING if it is unknown whether Argil created
        the avatar, or in ACCEPTED if a recording changed after it was checked.

    Raises:
        ArgilUnavailable: Argil created nothing; the provisioning is ACCEPTED again, with the reason.
        SubmissionBudgetUsed: AVATARS_SUBMISSION_LIMIT allows no other submission.
        DayBudgetUsed: AVATARS_MAX_CREATES_PER_DAY is used up.
        BatchBudgetUsed: AVATARS_MAX_CREATES_PER_BATCH is used up.
        SubmissionPaused: A pause stands.
        StoreUnavailable: A store gives no access to a recording, or no URL can be signed. Argil created nothing.
        NetworkUnavailable: This machine resolves no host names, and a recording is in a store.
        LeaseLost: The owner's lease was lost before an attempt.
        StaleVersion: Another owner changed the provisioning before the POST, or before its result was recorded. In
            the second case the submission stays PENDING and is resolved later.
        DatabaseError: The ledger cannot be written.

    """
    async with app_context() as context:
        recordings = submitted_recordings(provisioning.request)
        with protect_request(provisioning.request), RecordingLinks(context, provisioning, recordings) as links:
            return await _submit(context, provisioning, owner, links)


async def _submit(
    context: AppContext, provisioning: Provisioning, owner: LeaseOwner, links: RecordingLinks
) -> Provisioning:
    if problem := await limit_problem(context, provisioning):
        raise SubmissionBudgetUsed(
            f"nothing more is submitted: {problem}",
            hint=f"raise AVATARS_SUBMISSION_LIMIT, then run `avatars resume {provisioning.id}`",
        )

    voice_id = await cloned_voice_id(context, provisioning)

    async def begin() -> tuple[Provisioning, Submission]:
        await links.renew()
        return await context.ledger.begin_submission(
            provisioning, owner, "a submission was recorded", context.guard
        )

    try:
        current, submission = await wait_out_rate_pause(context, begin)
    except RecordingChanged as error:
        return await context.ledger.transition(provisioning, owner, f"{error.message}; it is checked again")
    return await _send(context, current, submission, owner, links, voice_id)


async def _send(
    context: AppContext,
    current: Provisioning,
    submission: Submission,
    owner: LeaseOwner,
    links: RecordingLinks,
    voice_id: str | None,
) -> Provisioning:
    ledger = context.ledger

    async def renew_lease() -> None:
        await context.leases.renew(current.id, owner, context.lease_duration, version=current.version)

    async def build_request() -> CreateRequest:
        return build_create_request(
            current.request,
            submission.id,
            await links.take(),
            callback_url(context.settings, submission.id),
            voice_id,
        )

    try:
        avatar = await context.argil.create_avatar(build_request, before_each_attempt=renew_lease)
    except SubmissionRejected as error:
        return await ledger.resolve_submission(
            current,
            owner,
            error.message,
            submission,
            SubmissionState.NOT_CREATED,
            new_status=Status.SUBMISSION_FAILED,
            http_status=error.status,
            response=error.body,
            reasons=[Reason.from_error(error)],
        )
    except RecordingChanged as error:
        return await ledger.resolve_submission(
            current,
            owner,
            f"{error.message}; it is checked again",
            submission,
            SubmissionState.NOT_CREATED,
            new_status=Status.ACCEPTED,
            reasons=[],
        )
    except (ArgilUnavailable, StoreUnavailable, NetworkUnavailable) as error:
        await ledger.resolve_submission(
            current,
            owner,
            error.message,
            submission,
            SubmissionState.NOT_CREATED,
            new_status=Status.ACCEPTED,
            reasons=[Reason.from_error(error)],
            pause=(cause, context.guard) if (cause := pause_after(error)) is not None else None,
        )
        raise
    except SubmissionOutcomeUnknown as error:
        log_about_one(
            "%s: the avatar is looked up before anything is sent again", error.message, level=logging.WARNING
        )
        return await ledger.resolve_submission(
            current, owner, error.message, submission, SubmissionState.UNKNOWN, response=error.response
        )
    return await record_created_avatar(
        context, current, owner, submission, avatar, f"Argil created avatar {avatar.id}"
    )
