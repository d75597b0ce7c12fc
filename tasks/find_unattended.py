"""Finds what nobody drives and somebody must: the work of one reconcile tick."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta

from clients.training_news import list_account, look_at
from models.avatar import Avatar
from models.provisioning import Driver, Provisioning, Status
from tasks.compare_account import compare_account
from tasks.runtime import Runtime, runtime

PAGE = 500
LATE = timedelta(days=7)
"""How long a training that timed out is still looked at."""


Page = Callable[[Provisioning | None], Awaitable[list[Provisioning]]]
"""Reads a page of the ledger, after another one."""


async def find_unattended(driver: Driver) -> AsyncIterator[list[Provisioning]]:
    """Yield, page by page, what a driver would bring further now; record what else the account shows.

    That is: what a driver left that died; a create without an answer; a training that has ended, is past its
    deadline, or answers 404; a timed-out one that has ended late. Raises ArgilUnauthorized and DatabaseError.
    """
    async with runtime() as active:
        listed = {avatar.id: avatar for avatar in await list_account(active.argil)}
        await compare_account(active, list(listed.values()), driver)
        async for page in _pages(_unattended(active, Status.ACCEPTED)):
            yield [one for one in page if one.lease_owner]
        async for page in _pages(_unattended(active, Status.SUBMITTING)):
            yield page
        for read in (_unattended(active, Status.TRAINING), _late(active)):
            async for page in _pages(read):
                yield await _due(active, page, listed)


def _unattended(active: Runtime, status: Status) -> Page:
    return lambda after: active.ledger.unattended(status, after=after, limit=PAGE)


def _late(active: Runtime) -> Page:
    since = active.clock.now() - LATE
    return lambda after: active.ledger.timed_out(since, after=after, limit=PAGE)


async def _pages(read: Page) -> AsyncIterator[list[Provisioning]]:
    after: Provisioning | None = None
    while page := await read(after):
        yield page
        after = page[-1]


async def _due(active: Runtime, page: list[Provisioning], listed: dict[str, Avatar]) -> list[Provisioning]:
    watched = {one.avatar_id: one for one in page if one.avatar_id}
    news = await look_at(active.argil, watched, [listed[key] for key in watched if key in listed])
    overdue_since = active.clock.now() - timedelta(seconds=active.settings.avatars_training_timeout_seconds)
    return [watched[key] for key, avatar in news.items() if _is_due(watched[key], avatar, overdue_since)]


def _is_due(one: Provisioning, avatar: Avatar | None, overdue_since: datetime) -> bool:
    settled = avatar is not None and avatar.is_settled
    if one.status is Status.TIMED_OUT:
        return settled
    overdue = one.training_since is not None and one.training_since <= overdue_since
    return settled or avatar is None or overdue or one.lease_owner is not None
