"""Finds what nobody drives and somebody must: the work of one reconcile tick."""

from __future__ import annotations

from datetime import timedelta

from prefect import task

from clients.training_news import look_at
from models.provisioning import Provisioning, Status
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
async def find_unattended() -> list[Provisioning]:
    """Return the provisionings that a driver would bring further now.

    Those are: a create without an answer; a training that has ended, is past its deadline, or answers 404; a
    timed-out one that has ended late. Raises ArgilUnauthorized and DatabaseError.
    """
    async with runtime() as active:
        submitting = await _pages(active, Status.SUBMITTING)
        training = await _pages(active, Status.TRAINING)
        late = [one for one in await _pages(active, Status.TIMED_OUT) if one.updated_at > active.clock.now() - LATE]
        watched = {one.avatar_id: one for one in [*training, *late] if one.avatar_id}
        news = await look_at(active.argil, watched)
        timeout = timedelta(seconds=active.settings.avatars_training_timeout_seconds)
        now = active.clock.now()
        due = []
        for avatar_id, avatar in news.items():
            one = watched[avatar_id]
            settled = avatar is not None and avatar.is_settled
            if one.status is Status.TIMED_OUT:
                if settled:
                    due.append(one)
            elif settled or avatar is None or (one.training_since and now >= one.training_since + timeout):
                due.append(one)
    return [*submitting, *due]


@task(**TASK)
async def find_pending() -> list[Provisioning]:
    """Return what waits in ACCEPTED: queued, or left there until its operator has mended something."""
    async with runtime() as active:
        waiting = await _pages(active, Status.ACCEPTED)
        tried_before = active.clock.now() - PATIENCE_WITH_HINDERED
        return [one for one in waiting if not one.reasons or one.updated_at <= tried_before]
