"""The task that re-opens a timed-out or cancelled provisioning."""

from __future__ import annotations

from prefect import task

from models.provisioning import UNRESOLVED, LeaseOwner, Provisioning, Status
from services.context import AppContext, app_context
from services.prefect_options import TASK_OPTIONS


@task(**TASK_OPTIONS)
async def reopen_provisioning(provisioning: Provisioning, owner: LeaseOwner) -> Provisioning:
    """Return a TIMED_OUT or CANCELLED provisioning in the status where it stopped, any other unchanged.

    Raises:
        StaleVersion: Another owner changed it since it was read.
        DatabaseError: The ledger cannot be written.

    """
    if provisioning.status not in {Status.TIMED_OUT, Status.CANCELLED}:
        return provisioning
    async with app_context() as context:
        return await context.ledger.transition(
            provisioning, owner, "re-opened", new_status=await _status_to_resume(context, provisioning), reasons=[]
        )


async def _status_to_resume(context: AppContext, provisioning: Provisioning) -> Status:
    if provisioning.avatar_id is not None:
        return Status.TRAINING
    submissions = await context.ledger.list_submissions(provisioning.id)
    if any(submission.state in UNRESOLVED for submission in submissions):
        return Status.SUBMITTING
    return Status.ACCEPTED
