"""The task that resolves a submission without a response: adopts its avatar or marks the submission as lost.

To adopt an avatar is to record an avatar that was found at Argil by its submission id.
"""

from __future__ import annotations

from datetime import timedelta

from prefect import task

from clients.shared_list import MAX_AGE_SECONDS
from models.argil.account_list import SoughtAvatar
from models.argil.avatar import Avatar
from models.errors import ArgilUnreachable, PollFailed, SubmissionUnresolved
from models.provisioning import UNRESOLVED, LeaseOwner, Provisioning, Submission, SubmissionState
from services.account.absent_avatars import record_absent_avatar
from services.context import AppContext, app_context
from services.prefect_api.prefect_options import TASK_OPTIONS
from services.submissions import adopt_avatars

POLLS_PER_GRACE_PERIOD = 10
MIN_POLL_SECONDS = 0.2
MAX_POLL_SECONDS = 5.0
FAILURES_BEFORE_BACKOFF = 20
"""After this many consecutive failed polls, the wait doubles with each further one."""
MAX_FAILED_POLL_SECONDS = 60.0
"""The longest wait after a failed poll, unless the interval or Retry-After is longer."""
LOOKUP_TIMEOUT_SECONDS = 600.0
"""Time since the last successful poll after which the run stops with an operational error."""
SHARED_SHARE = 0.5
"""A lookup uses the list of another one that started within this share of its own wait."""
MAX_INCONCLUSIVE_GRACE_PERIODS = 3
"""After this many grace periods without a list that proves anything, the run stops with an operational error."""

# LOST is included, because Argil's list can show an avatar after the grace period.
_ADOPTABLE_STATES = {*UNRESOLVED, SubmissionState.LOST}


@task(**TASK_OPTIONS)
async def resolve_submission(
    provisioning: Provisioning, owner: LeaseOwner, patience_seconds: float = LOOKUP_TIMEOUT_SECONDS
) -> Provisioning:
    """Resolve the submission of a provisioning in SUBMITTING.

    Polls the list of private avatars until one has a submission id of this provisioning, or until a list that was
    requested a grace period after the first one proves that none has. Only this process's monotonic clock measures
    that period: the wall clock may have stepped since the submission. The lookups of a process share their lists.

    Args:
        provisioning: The provisioning as last read.
        owner: The owner of the lease.
        patience_seconds: Time since the last successful poll after which the run stops with an operational error.
            A scheduled run passes 0: its next one looks again.

    Returns:
        The provisioning in TRAINING (adopted), in ACCEPTED (lost; it can be submitted again), or in
        SUBMISSION_FAILED (Argil had reported an error).

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
        ArgilUnreachable: Every poll failed for `patience_seconds`, or too many submissions were lost.
        SubmissionUnresolved: No list proves whether the avatar exists; nothing changed.
        UnintelligibleResponse: The response was not Argil's and no avatar exists; the provisioning is ACCEPTED.
        StaleVersion: Another owner changed the provisioning.
        DatabaseError: The ledger cannot be read or written.

    """
    async with app_context() as context:
        submissions = await context.ledger.list_submissions(provisioning.id)
        latest = _latest_unresolved(provisioning, submissions)
        may_be_in_transit = latest.state is SubmissionState.PENDING
        absence_after = context.settings.avatars_lookup_grace_seconds
        if may_be_in_transit:
            # After a step of the clock a lease only seems to have expired, and the request of a process that ended
            # may be held by a proxy. So it stays PENDING until a list decides: if this lookup is interrupted, the
            # next one waits for the whole time again.
            absence_after += context.lease_duration.total_seconds()
        submissions_by_id = {
            submission.id: submission
            for submission in submissions
            if submission.state in _ADOPTABLE_STATES
            and submission.request_fingerprint == provisioning.request_fingerprint
        }
        avatars = await _poll_for_avatar(
            context, provisioning, submissions_by_id, latest, absence_after, patience_seconds
        )
        if may_be_in_transit:
            provisioning = await context.ledger.resolve_submission(
                provisioning,
                owner,
                "the lease owner crashed after it recorded the submission, which may have been sent",
                latest,
                SubmissionState.UNKNOWN,
            )
        if avatars:
            return await adopt_avatars(context, provisioning, owner, submissions_by_id, avatars)
        return await record_absent_avatar(context, provisioning, owner, submissions, latest)


def _latest_unresolved(provisioning: Provisioning, submissions: list[Submission]) -> Submission:
    """Return the latest unresolved submission of the current request; every provisioning in SUBMITTING has one."""
    return next(
        submission
        for submission in reversed(submissions)
        if submission.state in UNRESOLVED and submission.request_fingerprint == provisioning.request_fingerprint
    )


async def _poll_for_avatar(
    context: AppContext,
    provisioning: Provisioning,
    submissions_by_id: dict[str, Submission],
    latest: Submission,
    absence_after: float,
    patience_seconds: float,
) -> list[Avatar]:
    """Return the avatars with one of the submission ids; none if none exists.

    Args:
        context: The composition root.
        provisioning: A provisioning in SUBMITTING.
        submissions_by_id: Its submissions whose avatars may be adopted.
        latest: Its unresolved submission.
        absence_after: Seconds after the first successful list from which on a list proves that no avatar exists.
        patience_seconds: Seconds without a successful list after which the lookup stops.
    """
    grace_seconds = context.settings.avatars_lookup_grace_seconds
    interval = min(max(absence_after / POLLS_PER_GRACE_PERIOD, MIN_POLL_SECONDS), MAX_POLL_SECONDS)
    inconclusive_after = grace_seconds * MAX_INCONCLUSIVE_GRACE_PERIODS
    # By the wall clock, which may be wrong: to stop without a change is harmless.
    is_old = context.clock.now() >= latest.state_changed_at + timedelta(seconds=inconclusive_after)
    submitted_at = min(submission.created_at for submission in submissions_by_id.values())
    sought = SoughtAvatar(submissions_by_id, provisioning.name, submitted_at)
    first_list_at: float | None = None
    last_success_at = context.clock.monotonic()
    failures = 0
    # The first list must have been requested after this lookup began: the grace period counts from it.
    max_age, max_failure_age = 0.0, MAX_AGE_SECONDS
    while True:
        polled_at = context.clock.monotonic()
        wait = interval
        try:
            listed = await context.shared_list.fetch_newer(max_age, max_failure_age)
        except PollFailed as error:
            if polled_at - last_success_at >= patience_seconds:
                raise ArgilUnreachable(
                    f"a submission got no response, and the lookup of its avatar failed: {error}",
                    hint=f"wait until Argil responds, then run `avatars resume {provisioning.id}`",
                ) from None
            failures += 1
            backoff = interval * 2.0 ** min(max(failures - FAILURES_BEFORE_BACKOFF, 0), 30)
            wait = max(interval, min(backoff, MAX_FAILED_POLL_SECONDS), error.retry_after_seconds or 0.0)
        else:
            failures = 0
            account, started_at = listed.account, listed.started_monotonic
            last_success_at = started_at
            if matching := account.find(sought):
                return matching
            first_list_at = started_at if first_list_at is None else first_list_at
            inconclusive_because = account.inconclusive_because(sought)
            if not inconclusive_because:
                if started_at >= first_list_at + absence_after:
                    return []
            elif is_old or started_at >= first_list_at + inconclusive_after:
                raise SubmissionUnresolved(
                    f"it is unknown whether Argil accepted a submission: {inconclusive_because}",
                    hint="nothing is submitted again: wait until the list is complete, then run "
                    f"`avatars resume {provisioning.id}`",
                )
            del listed, account  # thousands of avatars, which this lookup does not need while it waits
        max_age = max_failure_age = wait * SHARED_SHARE
        await context.clock.sleep(wait)
