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

from store.errors import DATABASE_ERRORS
from store.sqlite_connection import SqliteConnection

MAX_GROUP_SIZE = 50
"""Writers in a transaction: other processes wait for the lock meanwhile."""

Transaction = AbstractAsyncContextManager[AsyncConnection]


class _CommitGroup:
    """Writers of one transaction."""

    def __init__(
        self, transaction: Transaction, connection: AsyncConnection, sqlite_connection: SqliteConnection
    ) -> None:
        self.transaction = transaction
        self.connection = connection
        self.sqlite_connection = sqlite_connection
        self.size = 0
        self.committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Resolved once the transaction is committed, or with the error that prevented it."""


@contextlib.contextmanager
def _savepoint(raw: SqliteConnection) -> Iterator[None]:
    """Take back what is written in the context where it raises, and nothing else."""
    raw.savepoint()
    try:
        yield
    except DATABASE_ERRORS:
        raise  # the whole transaction goes
    except BaseException:
        raw.rollback_to_savepoint()
        raise
    raw.release_savepoint()


class GroupCommit:
    """Takes writers in the order of their coming; after the last of a group it is committed for all."""

    def __init__(self, begin_transaction: Callable[[], Transaction]) -> None:
        """`begin` returns a transaction that writes; leaving it commits, or rolls back on an exception."""
        self._begin_transaction = begin_transaction
        self._group: _CommitGroup | None = None
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._locked = False
        self._finish_task: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def write_transaction(self) -> AsyncIterator[AsyncConnection]:
        """Write, and return once that is committed.

        What a writer raises takes back its own changes alone; a failure of the database is every writer's.
        """
        await self._acquire()
        try:
            group = self._group = self._group or await self._begin_group()
        except BaseException:
            self._release()
            raise
        try:
            with _savepoint(group.sqlite_connection) if group.size else contextlib.nullcontext():
                yield group.connection
        except BaseException as error:
            if group.size and not isinstance(error, DATABASE_ERRORS):
                self._release()
            else:
                await asyncio.wait({self._start_finishing(group, error)})
            raise
        group.size += 1
        self._release()
        await asyncio.shield(group.committed)

    async def _begin_group(self) -> _CommitGroup:
        transaction = self._begin_transaction()
        connection = await transaction.__aenter__()
        raw = (await connection.get_raw_connection()).driver_connection
        return _CommitGroup(transaction, connection, cast("SqliteConnection", raw))

    async def _acquire(self) -> None:
        """Wait until no other writer is active."""
        if not self._locked:
            self._locked = True
            return
        mine = asyncio.get_running_loop().create_future()
        self._waiters.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.cancelled():
                with contextlib.suppress(ValueError):  # it was passed over
                    self._waiters.remove(mine)
            else:
                self._release()
            raise

    def _release(self) -> None:
        """Let the next one write: into the group while there is room, else once that has ended."""
        group = self._group
        if group is not None and group.size >= MAX_GROUP_SIZE:
            self._start_finishing(group)
            return
        while self._waiters:
            if not (following := self._waiters.popleft()).done():
                following.set_result(None)
                return
        if group is not None:
            self._start_finishing(group)
        else:
            self._locked = False

    def _start_finishing(self, group: _CommitGroup, error: BaseException | None = None) -> asyncio.Task[None]:
        """Begin to commit, or for an error to roll back: in a task of its own, that no writer's end cuts short."""
        self._finish_task = asyncio.create_task(self._finish_group(group, error))
        return self._finish_task

    async def _finish_group(self, group: _CommitGroup, error: BaseException | None) -> None:
        failure = error if isinstance(error, DATABASE_ERRORS) else None  # leaving raises nothing that it was handed
        try:
            await group.transaction.__aexit__(type(error) if error else None, error, None)
        except Exception as raised:  # noqa: BLE001  # it is each writer's to raise
            failure = raised
        finally:
            if failure is None:
                group.committed.set_result(None)
            else:
                group.committed.set_exception(failure)
                group.committed.exception()  # mark it as retrieved: all writers may have been cancelled
            self._group = None
            self._release()
