"""Finds what nobody drives and somebody must: the work of one reconcile tick."""

from __future__ import annotations

from datetime import datetime, timedelta

from prefect import task

from clients.training_news import list_account, look_at
from models.avatar import Avatar
from models.provisioning import Driver, Provisioning, Status
from tasks.compare_account import compare_account
from tasks.options import TASK
from tasks.runtime import Runtime, runtime

PAGE = 500
LATE = timedelta(days=7)
"""How long a training that timed out is still looked at."""
PATIENCE_WITH_HINDERED = timedelta(minutes=10)
"""What an operator must mend is tried again no sooner than this."""


async def _pages(active: Runtime, status: Status) -> list[Provisioning]:
    found: list[Provisioning] = []
    while page := await active.ledger.unattended(status, after=found[-1].id if found else "", limit=PAGE):
        found.extend(page)
    return found


@task(**TASK)
async def find_unattended(driver: Driver) -> list[Provisioning]:
    """Return the provisionings that a driver would bring further now; record what else the account shows.

    Those are: what a driver left that died; a create without an answer; a training that has ended, is past its
    deadline, or answers 404; a timed-out one that has ended late. Raises ArgilUnauthorized and DatabaseError.
    """
    async with runtime() as active:
        listed = await list_account(active.argil)
        await compare_account(active, listed, driver)
        accepted = [one for one in await _pages(active, Status.ACCEPTED) if one.lease_owner]
        submitting = await _pages(active, Status.SUBMITTING)
        training = await _pages(active, Status.TRAINING)
        late = [one for one in await _pages(active, Status.TIMED_OUT) if one.updated_at > active.clock.now() - LATE]
        watched = {one.avatar_id: one for one in [*training, *late] if one.avatar_id}
        news = await look_at(active.argil, watched, listed)
        timeout = timedelta(seconds=active.settings.avatars_training_timeout_seconds)
        overdue_since = active.clock.now() - timeout
        due = [
            watched[avatar_id]
            for avatar_id, avatar in news.items()
            if _is_due(watched[avatar_id], avatar, overdue_since)
        ]
    return [*accepted, *submitting, *due]


def _is_due(one: Provisioning, avatar: Avatar | None, overdue_since: datetime) -> bool:
    settled = avatar is not None and avatar.is_settled
    if one.status is Status.TIMED_OUT:
        return settled
    overdue = one.training_since is not None and one.training_since <= overdue_since
    return settled or avatar is None or overdue or one.lease_owner is not None


@task(**TASK)
async def find_pending() -> list[Provisioning]:
    """Return what waits in ACCEPTED: queued, or left there until its operator has mended something.

    What a driver left there that died is reconcile's.
    """
    async with runtime() as active:
        waiting = [one for one in await _pages(active, Status.ACCEPTED) if one.lease_owner is None]
        tried_before = active.clock.now() - PATIENCE_WITH_HINDERED
        return [one for one in waiting if not one.reasons or one.updated_at <= tried_before]
