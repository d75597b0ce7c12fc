"""Wake-ups by the stored webhook deliveries, which one poller per process reads for all its training monitors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from models.errors import DatabaseError
from store.webhook_deliveries import WebhookDeliveryRepository

POLL_SECONDS = 1.0

logger = logging.getLogger(__name__)


async def follow_deliveries(
    deliveries: WebhookDeliveryRepository,
    on_delivery: Callable[[str], None],
    *,
    started: asyncio.Event,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Call `on_delivery` with the avatar id of each delivery that arrives from now on, until cancelled.

    The deliveries are read once per POLL_SECONDS. If the database fails, only wake-ups are lost, and one message is
    logged until it works again.

    Args:
        deliveries: The stored deliveries.
        on_delivery: Called in the order of arrival.
        started: Set once later deliveries are noticed.
        sleep: Waits between two reads.
    """
    latest_id: int | None = None
    is_failing = False
    while True:
        try:
            if latest_id is None:
                latest_id = await deliveries.latest_id()
            else:
                for delivery_id, avatar_id in await deliveries.list_after(latest_id):
                    latest_id = delivery_id
                    on_delivery(avatar_id)
            is_failing = False
        except DatabaseError as error:
            if not is_failing:
                logger.warning(
                    "webhook deliveries cannot be read; avatars are polled at their intervals: %s", error
                )
            is_failing = True
        finally:
            started.set()
        await sleep(POLL_SECONDS)


class WebhookWakeups:
    """Calls the subscriber of an avatar when a webhook delivery for it arrives.

    The deliveries are read while there are subscribers. Deliveries from before a subscription are ignored, since a
    training monitor polls once when it starts.
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
                following = follow_deliveries(
                    self._deliveries, self._dispatch, started=self._started, sleep=self._sleep
                )
                self._poll_task = asyncio.create_task(following)
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

    def _dispatch(self, avatar_id: str) -> None:
        for on_wakeup in self._callbacks.get(avatar_id, ()):
            on_wakeup()
