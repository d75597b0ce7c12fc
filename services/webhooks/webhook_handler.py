"""Handles webhooks for avatars that no lease owner watches: polls them and resumes their suspended runs.

The webhook receiver only stores deliveries. This runs in a process that holds the API key.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from clients.training_status import fetch_avatars
from services.context import app_context
from services.runs.suspended_runs import resume_runs
from services.webhooks.webhook_wakeups import follow_deliveries
from store.webhook_deliveries import WebhookDeliveryRepository

MAX_CONCURRENT_WAKEUPS = 4
MAX_QUEUED_WAKEUPS = 1000
"""Avatars that wait for their poll; reconcile-avatars finds the others."""

WakeupHandler = Callable[[str], Awaitable[None]]
"""Polls Argil for the avatar with this id."""

logger = logging.getLogger(__name__)


async def handle_webhook_wakeup(avatar_id: str) -> None:
    """Poll an avatar in TRAINING without a lease; if its training has finished, resume its run.

    Ignores an avatar that the ledger does not know, that is terminal, or whose provisioning is leased: its lease
    owner reads the deliveries itself. A delivery with the voice of a READY avatar makes the next run of
    reconcile-avatars look it up. A provisioning without a run to resume is left to reconcile-avatars.

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
        SettingsError: No API key was found.
        DatabaseError: The ledger cannot be read.
        httpx.HTTPError: The Prefect API does not respond.

    """
    async with app_context() as context:
        provisioning = await context.ledger.find_unleased_provisioning(avatar_id)
        if provisioning is None:
            await context.ledger.expect_delivered_voice(avatar_id)
            return
        avatar = (await fetch_avatars(context.argil, [avatar_id])).by_id.get(avatar_id)
        if avatar is not None and avatar.is_terminal:
            await resume_runs([provisioning])


@contextlib.asynccontextmanager
async def handle_deliveries(
    deliveries: WebhookDeliveryRepository,
    handler: WakeupHandler = handle_webhook_wakeup,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[None]:
    """Call the handler for each avatar with a delivery that arrives while the context is open.

    Deliveries for an avatar that still waits cause one call. If the handler fails, or more than MAX_QUEUED_WAKEUPS
    avatars wait, a message is logged, and the avatar waits for its next poll.

    Args:
        deliveries: The stored deliveries.
        handler: Awaited for at most MAX_CONCURRENT_WAKEUPS avatars at a time.
        sleep: Waits between two reads of the deliveries.
    """
    queue = _WakeupQueue()
    started = asyncio.Event()
    tasks = [
        asyncio.create_task(follow_deliveries(deliveries, queue.put, started=started, sleep=sleep)),
        *(asyncio.create_task(_handle_wakeups(queue, handler)) for _ in range(MAX_CONCURRENT_WAKEUPS)),
    ]
    try:
        await started.wait()
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _WakeupQueue:
    """A bounded queue that contains each avatar once."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[str] = asyncio.Queue(MAX_QUEUED_WAKEUPS)
        self._waiting: set[str] = set()
        self._was_full = False

    def put(self, avatar_id: str) -> None:
        if avatar_id in self._waiting:
            return
        if self._queue.full():
            if not self._was_full:  # one message per overflow, however many deliveries there are
                logger.warning("the wake-up queue is full: some avatars wait for their next poll")
            self._was_full = True
            return
        self._was_full = False
        self._waiting.add(avatar_id)
        self._queue.put_nowait(avatar_id)

    async def get(self) -> str:
        avatar_id = await self._queue.get()
        self._waiting.remove(avatar_id)  # a delivery from now on is not covered by the poll that follows
        return avatar_id


async def _handle_wakeups(queue: _WakeupQueue, handler: WakeupHandler) -> None:
    while True:
        avatar_id = await queue.get()
        try:
            await handler(avatar_id)
        except Exception:
            logger.exception("the wake-up for avatar %s failed: it waits for its next poll", avatar_id)
