"""Group commit for SQLite: one writer thread runs concurrent writes in one transaction, with one flush to the disk.

SQLite has one writer at a time. A commit takes milliseconds, a change takes microseconds, so writes that arrive
while a commit is in progress share the next one.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InvalidRequestError, ProgrammingError

from store.errors import not_started_error

Result = TypeVar("Result")
Work = Callable[[Connection], Result]

MAX_GROUP_SIZE = 50
"""Writes per transaction: other processes wait for SQLite's lock meanwhile."""
_OWN_STATEMENT_ERRORS = (IntegrityError, DataError, ProgrammingError)
"""Errors of a statement or its values; every other DBAPIError (disk full, I/O error) is a database failure."""


class _TransactionEnded(InvalidRequestError):
    """A function ended the transaction that it was given, and with it the changes of others."""


@dataclass(slots=True)
class _Write:
    """A write in the queue; the outcome is set in the writer thread and delivered once its group has ended."""

    work: Work[Any]
    future: Future[Any] = field(default_factory=Future)
    result: Any = None
    error: BaseException | None = None

    def deliver(self) -> None:
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class GroupCommit:
    """Queues the writes of any event loop and commits them in groups, in the order of their arrival.

    An error that a write itself raises rolls back that write alone. A failure of the database, at a statement or at
    the commit, rolls back the group and is raised in each of its writers.
    """

    def __init__(self, begin: Callable[[], AbstractContextManager[Connection]], executor: Executor) -> None:
        """Create the queue.

        Args:
            begin: Opens a write transaction; leaving it commits, or rolls back on an exception.
            executor: Runs one function at a time: SQLite's writer thread. Its shutdown waits for the queued writes.
        """
        self._begin = begin
        self._executor = executor
        self._queue: deque[_Write] = deque()

    async def write(self, work: Work[Result]) -> Result:
        """Run the work in a transaction and return its result once it is committed.

        A caller that is cancelled before its work starts writes nothing. Later the work is committed all the same.

        Raises:
            DatabaseError: The executor takes no more work; nothing is written.
        """
        write = _Write(work)
        self._queue.append(write)
        try:
            # One call per write; the first one that runs takes all that wait, and the others may find nothing.
            self._executor.submit(self._commit_group)
        except RuntimeError as error:  # it is shut down, or the system starts no more threads
            if write.future.cancel():  # otherwise a group has taken it
                raise not_started_error(error) from None
        result: Result = await asyncio.wrap_future(write.future)
        return result

    def _commit_group(self) -> None:
        """Run in the writer thread: commit the writes of one transaction and deliver their outcomes."""
        if not (writes := self._take_group()):
            return
        try:
            with self._begin() as connection:
                if len(writes) == 1:
                    writes[0].result = writes[0].work(connection)  # without a savepoint: the transaction is its own
                    _require_transaction(connection)
                else:
                    for write in writes:
                        _run_in_savepoint(connection, write)
        except BaseException as error:  # noqa: BLE001  # raised in each writer
            for write in writes:
                # It replaces a write's own error, too, because that may come from a change that is now rolled back.
                write.error = error
        for write in writes:
            write.deliver()

    def _take_group(self) -> list[_Write]:
        writes: list[_Write] = []
        while self._queue and len(writes) < MAX_GROUP_SIZE:
            if (write := self._queue.popleft()).future.set_running_or_notify_cancel():
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
            _require_transaction(connection)
    except _OWN_STATEMENT_ERRORS as error:
        write.error = error
    except (DBAPIError, sqlite3.Error, _TransactionEnded):
        raise
    except BaseException as error:  # noqa: BLE001  # raised in its writer
        write.error = error


def _require_transaction(connection: Connection) -> None:
    """Fail the group if a function ended its transaction; SQLite itself would go on and commit each statement.

    Raises:
        _TransactionEnded: It did, with `rollback` or by a statement such as INSERT OR ROLLBACK.
    """
    driver: Any = connection.connection.driver_connection
    if not (connection.in_transaction() and driver.in_transaction):
        raise _TransactionEnded("a function ended the transaction of its group, which is a bug of that function")
