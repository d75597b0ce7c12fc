"""A subscription's wait: no update or wake-up is lost, and none is delivered twice."""

from __future__ import annotations

import asyncio

import pytest

from clients.training_subscription import POLL_INDIVIDUALLY, AvatarUpdate, Subscription
from models.argil.avatar import Avatar

UPDATE = AvatarUpdate(Avatar(id="a-1", status="TRAINING", raw={}))
TIMEOUT_SECONDS = 20.0


@pytest.fixture
def subscription() -> Subscription:
    return Subscription("a-1", 0.0, 0.0, 5.0)


async def start_waiting(subscription: Subscription) -> asyncio.Task[object]:
    task: asyncio.Task[object] = asyncio.create_task(subscription.wait())
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_wakeup_before_the_wait_is_delivered_once(subscription: Subscription) -> None:
    subscription.request_poll()
    assert await subscription.wait() is POLL_INDIVIDUALLY
    task = await start_waiting(subscription)
    subscription.notify(UPDATE)
    assert await asyncio.wait_for(task, TIMEOUT_SECONDS) is UPDATE


async def test_wakeup_during_the_wait_is_delivered_once(subscription: Subscription) -> None:
    task = await start_waiting(subscription)
    subscription.request_poll()
    assert await asyncio.wait_for(task, TIMEOUT_SECONDS) is POLL_INDIVIDUALLY
    task = await start_waiting(subscription)
    task.cancel()


async def test_wakeup_after_an_update_is_delivered_next(subscription: Subscription) -> None:
    task = await start_waiting(subscription)
    subscription.notify(UPDATE)
    subscription.request_poll()
    assert await asyncio.wait_for(task, TIMEOUT_SECONDS) is UPDATE
    assert await asyncio.wait_for(subscription.wait(), TIMEOUT_SECONDS) is POLL_INDIVIDUALLY


async def test_updates_outside_a_wait_are_dropped(subscription: Subscription) -> None:
    subscription.notify(UPDATE)
    subscription.notify_error(ZeroDivisionError())
    task = await start_waiting(subscription)
    subscription.notify_error(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await task
