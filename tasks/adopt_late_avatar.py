"""The task that looks once more for the avatar of a lost submission, before another submission is sent.

Argil's list can omit a new avatar for minutes, so an avatar may appear after its submission was presumed lost.
"""

from __future__ import annotations

from prefect import task

from models.account_list import SoughtAvatar
from models.errors import ArgilUnreachable, PollFailed
from models.provisioning import LeaseOwner, Provisioning, SubmissionState
from services.context import app_context
from services.prefect_options import TASK_OPTIONS
from services.submissions import adopt_avatars


@task(**TASK_OPTIONS)
async def adopt_late_avatar(provisioning: Provisioning, owner: LeaseOwner) -> Provisioning:
    """Adopt the avatar of a lost submission of a provisioning in ACCEPTED, if the account list contains it.

    Submissions of a request that was replaced do not count: reconciliation reports their avatars as duplicates.

    Returns:
        The provisioning in TRAINING, or unchanged if the list contains no avatar of a lost submission.

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
        ArgilUnreachable: The list call failed, so nothing must be sent.
        StaleVersion: Another owner changed the provisioning.
        DatabaseError: The ledger cannot be read or written.

    """
    async with app_context() as context:
        lost = {
            submission.id: submission
            for submission in await context.ledger.list_submissions(provisioning.id)
            if submission.state is SubmissionState.LOST
            and submission.request_fingerprint == provisioning.request_fingerprint
        }
        if not lost:
            return provisioning
        submitted_at = min(submission.created_at for submission in lost.values())
        try:
            account = await context.argil.list_account()
        except PollFailed as error:
            raise ArgilUnreachable(
                f"an earlier submission was lost, and the lookup of its avatar failed: {error}",
                hint=f"wait until Argil responds, then run `avatars resume {provisioning.id}`",
            ) from None
        avatars = account.find(SoughtAvatar(lost, provisioning.name, submitted_at))
        return await adopt_avatars(context, provisioning, owner, lost, avatars) if avatars else provisioning
