"""Lets writers that come while another one commits share one transaction, and its one flush to the disk.

SQLite has one writer at a time, and a commit takes milliseconds where a change takes microseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import cast

from sqlalchemy.ext.asyncio import AsyncConnection

from store.failures import FAILURES
from store.sqlite_connection import SqliteConnection

MOST = 50
"""Writers in a transaction: other processes wait for the lock meanwhile."""

Transaction = AbstractAsyncContextManager[AsyncConnection]


class _Group:
    """Writers of one transaction."""

    def __init__(self, transaction: Transaction, connection: AsyncConnection, raw: SqliteConnection) -> None:
        self.transaction = transaction
        self.connection = connection
        self.raw = raw
        self.size = 0
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Tells all of them that it was committed, or why it was not."""


@contextlib.contextmanager
def _alone(raw: SqliteConnection) -> Iterator[None]:
    """Take back what is written in the context where it raises, and nothing else."""
    raw.savepoint()
    try:
        yield
    except FAILURES:
        raise  # the whole transaction goes
    except BaseException:
        raw.back()
        raise
    raw.keep()


class GroupCommit:
    """Takes writers in the order of their coming; after the last of a group it is committed for all."""

    def __init__(self, begin: Callable[[], Transaction]) -> None:
        """`begin` returns a transaction that writes; leaving it commits, or rolls back on an exception."""
        self._begin = begin
        self._group: _Group | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_taken = False
        self._ending: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Write, and return once that is committed.

        What a writer raises takes back its own changes alone; a failure of the database is every writer's.
        """
        await self._turn()
        try:
            group = self._group = self._group or await self._new()
        except BaseException:
            self._pass_on()
            raise
        try:
            with _alone(group.raw) if group.size else contextlib.nullcontext():
                yield group.connection
        except BaseException as error:
            if group.size and not isinstance(error, FAILURES):
                self._pass_on()
            else:
                await asyncio.wait({self._ended(group, error)})
            raise
        group.size += 1
        self._pass_on()
        await asyncio.shield(group.end)

    async def _new(self) -> _Group:
        transaction = self._begin()
        connection = await transaction.__aenter__()
        raw = (await connection.get_raw_connection()).driver_connection
        return _Group(transaction, connection, cast("SqliteConnection", raw))

    async def _turn(self) -> None:
        """Wait until nobody else writes."""
        if not self._is_taken:
            self._is_taken = True
            return
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.cancelled():
                with contextlib.suppress(ValueError):  # it was passed over
                    self._waiting.remove(mine)
            else:
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Let the next one write: into the group while there is room, else once that has ended."""
        group = self._group
        if group is not None and group.size >= MOST:
            self._ended(group)
            return
        while self._waiting:
            if not (following := self._waiting.popleft()).done():
                following.set_result(None)
                return
        if group is not None:
            self._ended(group)
        else:
            self._is_taken = False

    def _ended(self, group: _Group, error: BaseException | None = None) -> asyncio.Task[None]:
        """Begin to commit, or for an error to roll back: in a task of its own, that no writer's end cuts short."""
        self._ending = asyncio.create_task(self._end(group, error))
        return self._ending

    async def _end(self, group: _Group, error: BaseException | None) -> None:
        failure = error if isinstance(error, FAILURES) else None  # leaving raises nothing that it was handed
        try:
            await group.transaction.__aexit__(type(error) if error else None, error, None)
        except Exception as raised:  # noqa: BLE001  # it is each writer's to raise
            failure = raised
        finally:
            if failure is None:
                group.end.set_result(None)
            else:
                group.end.set_exception(failure)
                group.end.exception()  # that nobody may be left to hear it is no fault
            self._group = None
            self._pass_on()
