"""The open connections of the webhook receiver: a bounded number, in which the oldest stranger makes room."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Protocol


class Evictable(Protocol):
    """A connection that can be closed."""

    def evict(self) -> None:
        """Close the connection now."""


class ConnectionPool:
    """Counts connections, and evicts one if there are too many; those with a delivery of Argil's are protected.

    Many half-open connections therefore keep no delivery out: each takes the place of an older one of their own. A
    delivery would have to be slower than as many new connections as the pool has places.
    """

    def __init__(self, max_connections: int, max_protected: int) -> None:
        """`max_protected` is below `max_connections`, so that some connection can always be evicted."""
        self._max_connections = max_connections
        self._max_protected = max_protected
        # Ordered by age. Those that have their response are evicted before those that wait for one.
        self._unanswered: dict[Evictable, None] = {}
        self._answered: dict[Evictable, None] = {}
        self._protected: set[Evictable] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, connection: Evictable) -> None:
        """Add a connection; if there are too many, evict the oldest without protection, possibly this one."""
        self._unanswered[connection] = None
        if len(self._unanswered) + len(self._answered) + len(self._protected) > self._max_connections:
            oldest = next(iter(self._answered or self._unanswered))
            self.discard(oldest)  # before it is evicted: asyncio reports its end later
            oldest.evict()

    def protect(self, connection: Evictable) -> bool:
        """Protect an unanswered connection from eviction; return false if too many are protected."""
        if len(self._protected) >= self._max_protected:
            return False
        self._unanswered.pop(connection, None)
        self._protected.add(connection)
        return True

    def mark_answered(self, connection: Evictable) -> None:
        """Note that a connection has its response, unless it was evicted."""
        if connection in self._protected or connection in self._unanswered:
            self.discard(connection)
            self._answered[connection] = None

    def discard(self, connection: Evictable) -> None:
        """Remove a connection that has ended."""
        self._unanswered.pop(connection, None)
        self._answered.pop(connection, None)
        self._protected.discard(connection)

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Run the work of a connection, which continues if the sender disconnects."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, timeout_seconds: float) -> None:
        """Wait for the work that has started, then close every connection."""
        if self._tasks:
            _, unfinished = await asyncio.wait(self._tasks, timeout=timeout_seconds)
            for task in unfinished:
                task.cancel()
        for connection in [*self._unanswered, *self._answered, *self._protected]:
            connection.evict()
        await asyncio.sleep(0)  # asyncio closes their sockets in its next iteration
