"""A SQLite connection for SQLAlchemy's async engine: statements run where they are, what may wait runs in a thread.

Within a transaction a statement takes microseconds, and handing it to a thread and back ten times that. What may
wait is the beginning of one that writes (another process may hold the lock), and its commit (a flush to the disk).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

BEGIN_IMMEDIATE = "BEGIN IMMEDIATE"
Result = TypeVar("Result")


class SqliteCursor:
    """A cursor whose methods are awaited, as SQLAlchemy's aiosqlite dialect does."""

    def __init__(self, connection: SqliteConnection) -> None:
        self._connection = connection
        self._cursor = connection.raw.cursor()
        self.description: Any = None
        self.lastrowid: int | None = None
        self.rowcount = -1

    async def execute(self, statement: str, parameters: Any = ()) -> None:
        """Run a statement."""
        if statement == BEGIN_IMMEDIATE:
            await self._connection.run_in_thread(lambda: self._cursor.execute(statement))
            self._connection.in_write_transaction = True
        else:
            self._cursor.execute(statement, parameters)
        self._copy_result_metadata()

    async def executemany(self, statement: str, parameters: Any) -> None:
        """Run a statement for each of the parameters."""
        self._cursor.executemany(statement, parameters)
        self._copy_result_metadata()

    async def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        rows: list[Any] = self._cursor.fetchall()
        return rows

    async def close(self) -> None:
        """Let go of what the cursor holds."""
        self._cursor.close()

    def _copy_result_metadata(self) -> None:
        cursor = self._cursor
        self.description, self.lastrowid, self.rowcount = cursor.description, cursor.lastrowid, cursor.rowcount


class SqliteConnection:
    """A connection whose methods are awaited. Transactions begin by a statement, never by themselves."""

    def __init__(self, path: str, **options: Any) -> None:
        """Open it; `options` are those of sqlite3.connect. Raises sqlite3.Error."""
        self.raw = sqlite3.connect(path, **{**options, "isolation_level": None, "check_same_thread": False})
        self.in_write_transaction = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")  # starts it when it is first needed

    @classmethod
    async def open(cls, path: str, **options: Any) -> SqliteConnection:
        """Be what SQLAlchemy calls `async_creator_fn`."""
        return cls(path, **options)

    async def run_in_thread(self, work: Callable[[], Result]) -> Result:
        """Return what the work returns; this connection does one thing at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def cursor(self) -> SqliteCursor:
        """Return a new cursor."""
        return SqliteCursor(self)

    async def commit(self) -> None:
        """Commit; returns once what was written is on the disk."""
        if self.in_write_transaction:
            await self.run_in_thread(self.raw.commit)
            self.in_write_transaction = False
        else:
            self.raw.commit()

    async def rollback(self) -> None:
        """Take back what was written since the beginning."""
        self.raw.rollback()
        self.in_write_transaction = False

    def savepoint(self) -> None:
        """Mark where `back` leads."""
        self.raw.execute("SAVEPOINT writer")

    def release_savepoint(self) -> None:
        """Release the savepoint."""
        self.raw.execute("RELEASE writer")

    def rollback_to_savepoint(self) -> None:
        """Roll back to the savepoint and release it."""
        self.raw.execute("ROLLBACK TO writer")
        self.release_savepoint()

    async def create_function(self, *arguments: Any, **options: Any) -> None:
        """Add a function to SQL."""
        self.raw.create_function(*arguments, **options)

    async def close(self) -> None:
        """Close the connection, after what its thread still does."""
        await self.run_in_thread(self.raw.close)
        self._thread.shutdown(wait=False)

    def terminate(self) -> None:
        """Close without waiting for it."""
        self.raw.interrupt()
        self._thread.submit(self.raw.close)
        self._thread.shutdown(wait=False)
