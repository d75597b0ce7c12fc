"""The task that resolves a submission without a response: adopts its avatar or marks the submission as lost.

To adopt an avatar is to record an avatar that was found at Argil by its submission id.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from prefect import task

from models.argil_avatar import Avatar
from models.errors import ArgilUnreachable, PollFailed
from models.provisioning import UNRESOLVED, LeaseOwner, Provisioning, Status, Submission, SubmissionState
from models.reason import Reason
from services.context import AppContext, app_context
from services.duplicates import report_duplicate
from services.prefect_options import TASK_OPTIONS
from services.run_log import log_to_run
from services.submissions import record_created_avatar

POLLS_PER_GRACE_PERIOD = 10
MIN_POLL_SECONDS = 0.2
MAX_POLL_SECONDS = 5.0
LOOKUP_TIMEOUT = timedelta(minutes=10)
"""Time since the last successful poll after which the run stops with an operational error."""
LOST_SUBMISSIONS_PER_STOP = 3
"""Each time this many submissions of a provisioning were lost, its run stops with an operational error."""

# LOST is included, because Argil's list can show an avatar after the grace period.
_ADOPTABLE_STATES = {SubmissionState.UNKNOWN, SubmissionState.LOST}


@task(**TASK_OPTIONS)
async def resolve_submission(provisioning: Provisioning, owner: LeaseOwner) -> Provisioning:
    """Resolve the submission of a provisioning in SUBMITTING.

    Polls the list of private avatars until one has a submission id of this provisioning, or until a poll after the
    grace period finds none.

    Returns:
        The provisioning in TRAINING (adopted), or in ACCEPTED (lost; it can be submitted again).

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
        ArgilUnreachable: Every poll failed for LOOKUP_TIMEOUT, or LOST_SUBMISSIONS_PER_STOP more submissions were
            lost.
        StaleVersion: Another owner changed the provisioning.
        DatabaseError: The ledger cannot be read or written.

    """
    async with app_context() as context:
        submissions = await context.ledger.list_submissions(provisioning.id)
        latest = _latest_unresolved(submissions)
        if latest.state is SubmissionState.PENDING:
            provisioning = await context.ledger.resolve_submission(
                provisioning,
                owner,
                "the lease owner crashed after it recorded the submission, which may have been sent",
                latest,
                SubmissionState.UNKNOWN,
            )
            submissions = await context.ledger.list_submissions(provisioning.id)
            latest = _latest_unresolved(submissions)
        submissions_by_id = {
            submission.id: submission for submission in submissions if submission.state in _ADOPTABLE_STATES
        }
        if avatars := await _poll_for_avatar(context, provisioning, submissions_by_id, latest):
            return await _adopt(context, provisioning, owner, submissions_by_id, avatars)
        return await _mark_lost(context, provisioning, owner, submissions, latest)


def _latest_unresolved(submissions: list[Submission]) -> Submission:
    """Return the latest unresolved submission; every provisioning in SUBMITTING has one."""
    return next(submission for submission in reversed(submissions) if submission.state in UNRESOLVED)


async def _poll_for_avatar(
    context: AppContext, provisioning: Provisioning, submissions_by_id: dict[str, Submission], latest: Submission
) -> list[Avatar]:
    """Return the avatars with one of the submission ids, oldest submission first; none after the grace period."""
    grace_period = timedelta(seconds=context.settings.avatars_lookup_grace_seconds)
    interval = min(max(grace_period.total_seconds() / POLLS_PER_GRACE_PERIOD, MIN_POLL_SECONDS), MAX_POLL_SECONDS)
    last_success_at = context.clock.now()
    while True:
        started_at = context.clock.now()
        retry_after = 0.0
        try:
            avatars = await context.argil.list_avatars()
        except PollFailed as error:
            if started_at - last_success_at > LOOKUP_TIMEOUT:
                raise ArgilUnreachable(
                    f"a submission got no response, and the lookup of its avatar failed: {error}",
                    hint=f"wait until Argil responds, then run `avatars resume {provisioning.id}`",
                ) from None
            retry_after = error.retry_after_seconds or 0.0
        else:
            last_success_at = started_at
            if matching := [avatar for avatar in avatars if avatar.submission_id in submissions_by_id]:
                return sorted(matching, key=lambda avatar: submissions_by_id[avatar.submission_id or ""].ordinal)
            if started_at >= latest.state_changed_at + grace_period:
                return []
        await context.clock.sleep(max(interval, retry_after))


async def _adopt(
    context: AppContext,
    provisioning: Provisioning,
    owner: LeaseOwner,
    submissions_by_id: dict[str, Submission],
    avatars: list[Avatar],
) -> Provisioning:
    first, *others = avatars
    submission = submissions_by_id[first.submission_id or ""]
    message = f"Argil created avatar {first.id} for the submission; found by its submission id and adopted"
    log_to_run("%s", message)
    adopted = await record_created_avatar(context, provisioning, owner, submission, first, message)
    for duplicate in others:
        await report_duplicate(context, adopted, owner, duplicate)
    return adopted


async def _mark_lost(
    context: AppContext,
    provisioning: Provisioning,
    owner: LeaseOwner,
    submissions: list[Submission],
    latest: Submission,
) -> Provisioning:
    lost_count = sum(submission.state is SubmissionState.LOST for submission in submissions) + 1
    message = "no avatar has the submission id after the grace period: the submission is presumed lost"
    error = ArgilUnreachable(
        f"{lost_count} submissions got no response and are presumed lost",
        hint=f"check the connection to Argil with `avatars doctor`, then run `avatars resume {provisioning.id}`",
    )
    must_stop = lost_count % LOST_SUBMISSIONS_PER_STOP == 0
    log_to_run("%s", message, level=logging.WARNING)
    lost = await context.ledger.resolve_submission(
        provisioning,
        owner,
        message,
        latest,
        SubmissionState.LOST,
        new_status=Status.ACCEPTED,
        reasons=[Reason.from_error(error)] if must_stop else [],
    )
    if must_stop:
        raise error
    return lost
