"""The handler of stored deliveries: each avatar once, a bounded queue, and failures that stop nothing."""

from __future__ import annotations

import asyncio
import json

import pytest

from models.argil.webhook import WebhookDelivery
from services.webhooks import webhook_handler as module
from services.webhooks.webhook_handler import MAX_CONCURRENT_WAKEUPS, handle_deliveries
from store.database import Database
from store.webhook_deliveries import WebhookDeliveryRepository
from tests.fakes import FakeClock

TIMEOUT_SECONDS = 20.0

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Handler:
    """Records the avatars; a call ends once `may_finish` is set, and fails for avatar `bad`."""

    def __init__(self) -> None:
        self.avatar_ids: list[str] = []
        self.may_finish = asyncio.Event()
        self._changed = asyncio.Condition()

    async def __call__(self, avatar_id: str) -> None:
        async with self._changed:
            self.avatar_ids.append(avatar_id)
            self._changed.notify_all()
        await self.may_finish.wait()
        if avatar_id == "bad":
            raise ZeroDivisionError

    async def wait_for(self, count: int) -> list[str]:
        """Wait until the handler was called `count` times."""
        async with asyncio.timeout(TIMEOUT_SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self.avatar_ids) >= count)
        return self.avatar_ids


class Ticks:
    """The sleep of the poller: each tick reads the deliveries once."""

    def __init__(self) -> None:
        self._wanted = asyncio.Semaphore(0)
        self._done = asyncio.Semaphore(0)

    async def __call__(self, _seconds: float) -> None:
        self._done.release()
        await self._wanted.acquire()

    async def tick(self) -> None:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await self._done.acquire()
            self._wanted.release()
            await self._done.acquire()
        self._done.release()


@pytest.fixture
def deliveries(database: Database, clock: FakeClock) -> WebhookDeliveryRepository:
    return WebhookDeliveryRepository(database, clock)


async def add(deliveries: WebhookDeliveryRepository, *avatar_ids: str, number: int = 0) -> None:
    for avatar_id in avatar_ids:
        body = {"event": "AVATAR_TRAINING_SUCCESS", "data": {"avatarId": avatar_id, "extras": number}}
        delivery = WebhookDelivery.parse(json.dumps(body).encode())
        assert delivery is not None
        await deliveries.add(delivery)


async def test_only_later_deliveries_are_handled(deliveries: WebhookDeliveryRepository) -> None:
    handler, ticks = Handler(), Ticks()
    handler.may_finish.set()
    await add(deliveries, "earlier")
    async with handle_deliveries(deliveries, handler, sleep=ticks):
        await add(deliveries, "a-1", "a-2")
        await ticks.tick()
        assert await handler.wait_for(2) == ["a-1", "a-2"]
        await add(deliveries, "a-3")
        await ticks.tick()
        assert await handler.wait_for(3) == ["a-1", "a-2", "a-3"]


async def test_waiting_avatar_is_handled_once(deliveries: WebhookDeliveryRepository) -> None:
    handler, ticks = Handler(), Ticks()
    running = [f"r-{number}" for number in range(MAX_CONCURRENT_WAKEUPS)]
    async with handle_deliveries(deliveries, handler, sleep=ticks):
        await add(deliveries, *running)
        await ticks.tick()
        await handler.wait_for(MAX_CONCURRENT_WAKEUPS)
        for number in range(3):
            await add(deliveries, "waiting", running[0], number=number + 1)
        await ticks.tick()
        assert handler.avatar_ids == running
        handler.may_finish.set()
        # A delivery during the call may report something that the call has not seen.
        assert (await handler.wait_for(len(running) + 2))[len(running) :] == ["waiting", running[0]]
        await ticks.tick()
    assert len(handler.avatar_ids) == len(running) + 2


async def test_failed_wakeup_is_logged_and_the_next_one_handled(
    deliveries: WebhookDeliveryRepository, caplog: pytest.LogCaptureFixture
) -> None:
    handler, ticks = Handler(), Ticks()
    handler.may_finish.set()
    async with handle_deliveries(deliveries, handler, sleep=ticks):
        await add(deliveries, "bad", *(f"a-{number}" for number in range(MAX_CONCURRENT_WAKEUPS)))
        await ticks.tick()
        await handler.wait_for(1 + MAX_CONCURRENT_WAKEUPS)
    assert "the wake-up for avatar bad failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_full_queue_is_logged_once(
    deliveries: WebhookDeliveryRepository, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED_WAKEUPS", 2)
    handler, ticks = Handler(), Ticks()
    async with handle_deliveries(deliveries, handler, sleep=ticks):
        await add(deliveries, *(f"a-{number}" for number in range(9)))
        await ticks.tick()
        handler.may_finish.set()
        await handler.wait_for(2)
    assert [message for message in caplog.messages if "queue is full" in message] == [
        "the wake-up queue is full: some avatars wait for their next poll"
    ]


async def test_hanging_handler_does_not_block_the_exit(deliveries: WebhookDeliveryRepository) -> None:
    handler, ticks = Handler(), Ticks()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        async with handle_deliveries(deliveries, handler, sleep=ticks):
            await add(deliveries, "a-1")
            await ticks.tick()
            await handler.wait_for(1)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
