"""Wakes up the training monitors of this process: one poller reads the stored deliveries for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from models.errors import DatabaseError
from store.webhook_deliveries import WebhookDeliveryRepository

POLL_SECONDS = 1.0

logger = logging.getLogger(__name__)


class WebhookWakeups:
    """Calls the subscriber of an avatar when a webhook delivery for it arrives.

    The deliveries are read once per POLL_SECONDS while there are subscribers. Deliveries from before a subscription
    are ignored, since a training monitor polls once when it starts. If the database fails, only wake-ups are
    lost.
    """

    def __init__(
        self,
        deliveries: WebhookDeliveryRepository,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`sleep` waits between two reads."""
        self._deliveries = deliveries
        self._sleep = sleep
        self._callbacks: dict[str, list[Callable[[], None]]] = {}
        self._poll_task: asyncio.Task[None] | None = None
        self._started = asyncio.Event()

    @contextlib.asynccontextmanager
    async def subscribe(self, avatar_id: str, on_wakeup: Callable[[], None]) -> AsyncIterator[None]:
        """Call `on_wakeup` for each delivery that arrives while the context is open."""
        self._callbacks.setdefault(avatar_id, []).append(on_wakeup)
        try:
            if self._poll_task is None:
                self._started = asyncio.Event()
                self._poll_task = asyncio.create_task(self._poll(self._started))
            await self._started.wait()
            yield
        finally:
            self._callbacks[avatar_id].remove(on_wakeup)
            if not self._callbacks[avatar_id]:
                del self._callbacks[avatar_id]
            if not self._callbacks and self._poll_task is not None:
                poll_task, self._poll_task = self._poll_task, None
                poll_task.cancel()
                await asyncio.wait((poll_task,))

    async def _poll(self, started: asyncio.Event) -> None:
        latest_id: int | None = None
        is_failing = False
        while True:
            try:
                latest_id = await self._dispatch_after(latest_id)
                is_failing = False
            except DatabaseError as error:
                if not is_failing:
                    logger.warning(
                        "webhook deliveries cannot be read; avatars are polled at their intervals: %s", error
                    )
                is_failing = True
            finally:
                started.set()
            await self._sleep(POLL_SECONDS)

    async def _dispatch_after(self, latest_id: int | None) -> int:
        """Call the subscribers of all deliveries after `latest_id` and return the latest id; None only reads it."""
        if latest_id is None:
            return await self._deliveries.latest_id()
        for delivery_id, avatar_id in await self._deliveries.list_after(latest_id):
            latest_id = delivery_id
            for on_wakeup in self._callbacks.get(avatar_id, ()):
                on_wakeup()
        return latest_id
