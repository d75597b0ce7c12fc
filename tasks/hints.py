"""Hints for the watches of this process: one poller of the stored deliveries, however many watch."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from models.errors import DatabaseError
from store.deliveries import Deliveries

POLL_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Hints:
    """Cuts short the pauses of a watch when a delivery for its avatar comes in.

    While anybody watches, the deliveries are asked once every POLL_SECONDS; what came before the watch began is
    nobody's hint, since a watch begins with a look. A database that fails costs hints, nothing more.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        *,
        between_polls: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`between_polls` waits from one question to the next."""
        self._deliveries = deliveries
        self._between_polls = between_polls
        self._watches: dict[str, list[Callable[[], None]]] = {}
        self._poller: asyncio.Task[None] | None = None
        self._polling = asyncio.Event()

    @contextlib.asynccontextmanager
    async def watching(self, avatar_id: str, hint: Callable[[], None]) -> AsyncIterator[None]:
        """Call `hint` for each delivery that comes while the context is open."""
        self._watches.setdefault(avatar_id, []).append(hint)
        try:
            if self._poller is None:
                self._polling = asyncio.Event()
                self._poller = asyncio.create_task(self._poll(self._polling))
            await self._polling.wait()
            yield
        finally:
            self._watches[avatar_id].remove(hint)
            if not self._watches[avatar_id]:
                del self._watches[avatar_id]
            if not self._watches and self._poller is not None:
                poller, self._poller = self._poller, None
                poller.cancel()
                await asyncio.wait((poller,))

    async def _poll(self, polling: asyncio.Event) -> None:
        newest: int | None = None
        failed = False
        while True:
            try:
                newest = await self._wake_after(newest)
                failed = False
            except DatabaseError as error:
                if not failed:
                    logger.warning("deliveries cannot be read, watches go on by their intervals: %s", error)
                failed = True
            finally:
                polling.set()
            await self._between_polls(POLL_SECONDS)

    async def _wake_after(self, newest: int | None) -> int:
        """Wake the watches of what came after a delivery; returns the newest one now. None: begin with that."""
        if newest is None:
            return await self._deliveries.newest_id()
        for delivery_id, avatar_id in await self._deliveries.since(newest):
            newest = delivery_id
            for hint in self._watches.get(avatar_id, ()):
                hint()
        return newest
