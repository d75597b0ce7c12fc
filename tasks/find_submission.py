"""Finds out what became of a create that got no answer: adopts its avatar, or gives it up for lost."""

from __future__ import annotations

import logging
from datetime import timedelta

from prefect import task

from models.avatar import Avatar
from models.errors import ArgilUnreachable, AvatarNotFound, PollFailed
from models.provisioning import UNSETTLED, Driver, Provisioning, Status, Submission, SubmissionState
from models.reason import Reason
from tasks.narrate import narrate
from tasks.options import TASK
from tasks.report_duplicate import report_duplicate
from tasks.runtime import Runtime, runtime
from tasks.submit_avatar import take

LOOKS_PER_GRACE = 10
FASTEST_LOOK_SECONDS = 0.2
SLOWEST_LOOK_SECONDS = 5.0
PATIENCE = timedelta(minutes=10)
"""How long Argil may leave every look without an answer before the run asks for its operator."""
LOST_BEFORE_PAUSE = 3

# Given up for lost is no proof either: Argil's list may show an avatar late.
_OPEN = {SubmissionState.UNKNOWN, SubmissionState.LOST}


@task(**TASK)
async def find_submission(provisioning: Provisioning, driver: Driver) -> Provisioning:
    """Settle the submission of a provisioning in SUBMITTING.

    Lists the private avatars until one carries the submission's key, or until a look after the grace period
    finds none. Returns the provisioning in TRAINING (adopted) or ACCEPTED (lost: it may be submitted anew).
    Raises ArgilUnauthorized, ArgilUnreachable where Argil answers no look, StaleVersion, DatabaseError.
    """
    async with runtime() as active:
        submissions = await active.ledger.submissions(provisioning.id)
        last = _open_one(submissions)
        if last.state is SubmissionState.PENDING:
            provisioning = await active.ledger.settle_submission(
                provisioning,
                driver,
                "the driver died after recording the create: it may or may not have been sent",
                last,
                SubmissionState.UNKNOWN,
            )
            submissions = await active.ledger.submissions(provisioning.id)
            last = _open_one(submissions)
        ours = {submission.id: submission for submission in submissions if submission.state in _OPEN}
        if found := await _look(active, ours, last):
            return await _adopt(active, provisioning, driver, ours, found)
        return await _give_up(active, provisioning, driver, submissions, last)


def _open_one(submissions: list[Submission]) -> Submission:
    """Return the newest submission that nobody has settled: SUBMITTING is the status of having one."""
    return next(one for one in reversed(submissions) if one.state in UNSETTLED)


async def _look(active: Runtime, ours: dict[str, Submission], last: Submission) -> list[Avatar]:
    """Return the avatars that carry one of our keys, oldest first, or none after the grace period."""
    grace = timedelta(seconds=active.settings.avatars_lookup_grace_seconds)
    step = min(max(grace.total_seconds() / LOOKS_PER_GRACE, FASTEST_LOOK_SECONDS), SLOWEST_LOOK_SECONDS)
    answered_at = active.clock.now()
    while True:
        began = active.clock.now()
        wish = 0.0
        try:
            listed = await active.argil.list_private()
        except (PollFailed, AvatarNotFound) as error:
            if began - answered_at > PATIENCE:
                raise ArgilUnreachable(
                    f"a create got no answer, and looking for its avatar fails: {error}",
                    hint="once Argil answers again, `avatars resume ID` looks for it; nothing is sent before",
                ) from None
            wish = getattr(error, "retry_after_seconds", None) or 0.0
        else:
            answered_at = began
            if found := [avatar for avatar in listed if avatar.submission_id in ours]:
                return sorted(found, key=lambda avatar: ours[avatar.submission_id or ""].ordinal)
            if began >= last.state_at + grace:
                return []
        await active.clock.sleep(max(step, wish))


async def _adopt(
    active: Runtime,
    provisioning: Provisioning,
    driver: Driver,
    ours: dict[str, Submission],
    found: list[Avatar],
) -> Provisioning:
    first, *others = found
    submission = ours[first.submission_id or ""]
    why = f"the create was taken: avatar {first.id} carries its key, and was adopted"
    narrate("%s", why)
    adopted = await take(active, provisioning, driver, submission, first, why)
    for other in others:
        await report_duplicate(active, adopted, driver, other)
    return adopted


async def _give_up(
    active: Runtime,
    provisioning: Provisioning,
    driver: Driver,
    submissions: list[Submission],
    last: Submission,
) -> Provisioning:
    lost = sum(submission.state is SubmissionState.LOST for submission in submissions) + 1
    why = "no avatar carries the create's key after the grace period: it is taken for lost"
    error = ArgilUnreachable(
        f"{lost} creates got no answer and left no avatar",
        hint="`avatars doctor` checks the way to Argil; then `avatars resume ID`",
    )
    pauses = lost % LOST_BEFORE_PAUSE == 0
    reasons = [Reason.of(error)] if pauses else []
    narrate("%s", why, level=logging.WARNING)
    settled = await active.ledger.settle_submission(
        provisioning,
        driver,
        why,
        last,
        SubmissionState.LOST,
        to=Status.ACCEPTED,
        reasons=reasons,
    )
    if pauses:
        raise error
    return settled
