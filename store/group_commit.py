"""Group commit for SQLite: one writer thread runs concurrent writes in one transaction, with one flush to the disk.

SQLite has one writer at a time. A commit takes milliseconds, a change takes microseconds, so writes that arrive
while a commit is in progress share the next one.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from models.errors import DatabaseError

Result = TypeVar("Result")
Work = Callable[[Connection], Result]

MAX_GROUP_SIZE = 50
"""Writes per transaction: other processes wait for SQLite's lock meanwhile."""
_OWN_STATEMENT_ERRORS = (IntegrityError, DataError, ProgrammingError)
"""Errors of a statement or its values; every other DBAPIError (disk full, I/O error) is a database failure."""


@dataclass(slots=True)
class _Write:
    """A write in the queue; the outcome is set by the writer thread and delivered by the event loop."""

    work: Work[Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None

    def deliver(self) -> None:
        if self.future.done():  # its caller was cancelled
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class GroupCommit:
    """Queues writes and commits them in groups, in the order of their arrival.

    An error that a write itself raises rolls back that write alone. A failure of the database, at a statement or at
    the commit, rolls back the group and is raised in each of its writers.
    """

    def __init__(self, begin: Callable[[], AbstractContextManager[Connection]], executor: Executor) -> None:
        """Create the queue.

        Args:
            begin: Opens a write transaction; leaving it commits, or rolls back on an exception.
            executor: Runs one function at a time: SQLite's writer thread.
        """
        self._begin = begin
        self._executor = executor
        self._queue: deque[_Write] = deque()
        self._group: asyncio.Future[list[_Write]] | None = None

    async def write(self, work: Work[Result]) -> Result:
        """Run the work in a transaction and return its result once it is committed.

        A caller that is cancelled before its work starts writes nothing. Later the work is committed all the same.
        """
        loop = asyncio.get_running_loop()
        write = _Write(work, loop.create_future())
        self._queue.append(write)
        if self._group is None:
            self._start_group(loop)
        result: Result = await write.future
        return result

    async def drain(self) -> None:
        """Wait until the queue is empty and no transaction is in progress."""
        while self._group is not None:
            await asyncio.wait({self._group})

    def _start_group(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._group = loop.run_in_executor(self._executor, self._commit_group)
        except RuntimeError:  # the executor is shut down; without an error the queue would wait forever
            self._fail_queue(DatabaseError("the database is closed"))
        else:
            self._group.add_done_callback(self._finish_group)

    def _finish_group(self, group: asyncio.Future[list[_Write]]) -> None:
        """Deliver the outcomes, and start a transaction for the writes that arrived in the meantime."""
        self._group = None
        for write in group.result():
            write.deliver()
        while self._queue and self._queue[0].future.cancelled():
            self._queue.popleft()
        if self._queue:
            self._start_group(group.get_loop())

    def _fail_queue(self, error: DatabaseError) -> None:
        while self._queue:
            write = self._queue.popleft()
            write.error = error
            write.deliver()

    def _commit_group(self) -> list[_Write]:
        """Run in the writer thread; returns the writes of one transaction with their outcomes."""
        writes = self._take_group()
        if not writes:
            return writes
        try:
            with self._begin() as connection:
                if len(writes) == 1:
                    writes[0].result = writes[0].work(connection)  # without a savepoint: the transaction is its own
                else:
                    for write in writes:
                        _run_in_savepoint(connection, write)
        except BaseException as error:  # noqa: BLE001  # raised in each writer
            for write in writes:
                # It replaces a write's own error, too, because that may come from a change that is now rolled back.
                write.error = error
        return writes

    def _take_group(self) -> list[_Write]:
        writes: list[_Write] = []
        while self._queue and len(writes) < MAX_GROUP_SIZE:
            if not (write := self._queue.popleft()).future.cancelled():
                writes.append(write)
        return writes


def _run_in_savepoint(connection: Connection, write: _Write) -> None:
    """Run one write of several; its own error rolls back to its savepoint, a database failure is raised.

    SQLite rolls back the whole transaction by itself on some errors. Then the rollback to the savepoint fails, and
    that is an OperationalError.
    """
    try:
        with connection.begin_nested():
            write.result = write.work(connection)
    except _OWN_STATEMENT_ERRORS as error:
        write.error = error
    except (DBAPIError, sqlite3.Error):
        raise
    except BaseException as error:  # noqa: BLE001  # raised in its writer
        write.error = error
