"""Finds a provisioning by its id or reference, and re-opens it where it may go on."""

from __future__ import annotations

from prefect import task

from models.provisioning import UNSETTLED, Driver, Provisioning, Status
from tasks.options import TASK
from tasks.runtime import Runtime, runtime


async def _where_it_stopped(active: Runtime, found: Provisioning) -> Status:
    if found.avatar_id is not None:
        return Status.TRAINING
    submissions = await active.ledger.submissions(found.id)
    if any(submission.state in UNSETTLED for submission in submissions):
        return Status.SUBMITTING
    return Status.ACCEPTED


@task(**TASK)
async def find_provisioning(key: str) -> Provisioning:
    """Return the provisioning. Raises UnknownProvisioning and DatabaseError."""
    async with runtime() as active:
        return await active.ledger.get(key)


@task(**TASK)
async def reopen_provisioning(found: Provisioning, driver: Driver) -> Provisioning:
    """Let a timed-out or cancelled provisioning go on where it stopped; any other comes back as it is."""
    if found.status not in {Status.TIMED_OUT, Status.CANCELLED}:
        return found
    async with runtime() as active:
        return await active.ledger.record(
            found, driver, "re-opened", to=await _where_it_stopped(active, found), reasons=[]
        )
