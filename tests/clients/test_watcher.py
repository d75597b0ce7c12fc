"""How a watch in a crowd is woken: nothing that it is told is lost, and nothing is told twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from clients.watcher import Watcher
from models.avatar import Avatar

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AVATAR = Avatar(id="a-1", status="TRAINING", raw={})
PATIENCE_SECONDS = 20.0


@pytest.fixture
def watcher() -> Watcher:
    return Watcher("a-1", NOW, NOW)


async def waiting(watcher: Watcher) -> asyncio.Task[object]:
    task: asyncio.Task[object] = asyncio.create_task(watcher.news())
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_a_hint_before_it_waits_is_followed_once(watcher: Watcher) -> None:
    watcher.hint()
    assert await watcher.news() is None
    task = await waiting(watcher)
    watcher.tell(AVATAR)
    assert await asyncio.wait_for(task, PATIENCE_SECONDS) is AVATAR


async def test_a_hint_while_it_waits_is_followed_once(watcher: Watcher) -> None:
    task = await waiting(watcher)
    watcher.hint()
    assert await asyncio.wait_for(task, PATIENCE_SECONDS) is None
    task = await waiting(watcher)
    task.cancel()


async def test_a_hint_that_comes_together_with_other_news_is_followed_after_it(watcher: Watcher) -> None:
    task = await waiting(watcher)
    watcher.tell(AVATAR)
    watcher.hint()
    assert await asyncio.wait_for(task, PATIENCE_SECONDS) is AVATAR
    assert await asyncio.wait_for(watcher.news(), PATIENCE_SECONDS) is None


async def test_what_is_told_while_it_does_not_wait_is_for_nobody(watcher: Watcher) -> None:
    watcher.tell(AVATAR)
    watcher.fail(ZeroDivisionError())
    task = await waiting(watcher)
    watcher.fail(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await task
