"""The ledger's database engine, SQLite or PostgreSQL, and its transactions."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sqlalchemy import event, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from models.errors import DatabaseError
from models.settings import HOME
from store.errors import file_replaced_error, translating_errors
from store.group_commit import GroupCommit
from store.sqlite_connection import BEGIN_IMMEDIATE, SqliteConnection

LOCK_TIMEOUT_SECONDS = 30
"""How long a writer waits for a lock held by another connection before it raises DatabaseError."""
CONNECT_TIMEOUT_SECONDS = 10
WRITE_OPTION = "avatars_writes"
"""Execution option of connections whose transaction writes."""
POOL_SIZE = 15
"""Connections per process. All are kept open: opening one costs more than a typical transaction."""

_PRAGMAS = (
    "busy_timeout = {busy}",
    "journal_mode = WAL",
    "synchronous = FULL",  # the record of a paid submission must survive a power failure
    "foreign_keys = ON",
)
_FILE_IDENTITY_KEY = "avatars_file_identity"


def _tune_postgresql(engine: AsyncEngine) -> None:
    """Set a lock timeout, so that an idle session that holds a lock cannot block writers forever."""

    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = {int(LOCK_TIMEOUT_SECONDS * 1000)}")
        cursor.close()
        connection.commit()  # otherwise the first rollback would revert the SET


def _tune_sqlite(engine: AsyncEngine, file: str | None) -> None:
    """Set the pragmas, detect a replaced file and begin write transactions with BEGIN IMMEDIATE.

    By default sqlite3 begins a transaction late and upgrades a read to a write. Under WAL that upgrade
    fails at once with SQLITE_BUSY if another process has written in between.
    """

    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[_FILE_IDENTITY_KEY] = _file_identity(file)
        cursor = connection.cursor()
        try:
            for pragma in _PRAGMAS:
                cursor.execute(f"PRAGMA {pragma.format(busy=int(LOCK_TIMEOUT_SECONDS * 1000))}")
        except BaseException:
            connection.close()  # the pool does not close a connection whose connect handler raised
            raise
        cursor.close()

    @event.listens_for(engine.sync_engine, "checkout")
    def checkout(_connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        current = _file_identity(file)
        if file and current is None:
            raise file_replaced_error(file)  # reconnecting would create an empty file
        if current != record.info[_FILE_IDENTITY_KEY]:
            raise DisconnectionError  # the pool reconnects, to the file that is there now

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        # A transaction that only reads needs no BEGIN: each query sees one snapshot anyway.
        if connection.get_execution_options().get(WRITE_OPTION):
            connection.exec_driver_sql(BEGIN_IMMEDIATE)


def _file_identity(file: str | None) -> tuple[int, int] | None:
    """Return device and inode of the file at the ledger's path; None without a file or path."""
    try:
        stat = Path(file).stat() if file else None
    except FileNotFoundError:
        return None
    return (stat.st_dev, stat.st_ino) if stat else None


class Database:
    """One SQLAlchemy engine. Database errors are raised as DatabaseError, without the statement."""

    def __init__(self, url: str) -> None:
        """Create the engine; it connects on first use.

        Args:
            url: AVATARS_DATABASE_URL.

        Raises:
            DatabaseError: `url` is not a database URL.
        """
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):
            raise DatabaseError(
                "AVATARS_DATABASE_URL is not a database URL",
                hint="set it to sqlite+aiosqlite:////PATH or postgresql+asyncpg://USER:PASSWORD@HOST:PORT/NAME",
            ) from None
        # The query may contain a password, too.
        self.redacted_url = parsed.set(query={}).render_as_string(hide_password=True)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        path = parsed.database if self.is_sqlite else None
        in_memory = self.is_sqlite and (path is None or path == ":memory:" or path.startswith("file:"))
        self._file = None if in_memory else path
        # Without a connect timeout, a wrong address looks like a hang.
        arguments: dict[str, Any] = {"timeout": CONNECT_TIMEOUT_SECONDS}
        if self.is_sqlite:
            arguments = {"timeout": LOCK_TIMEOUT_SECONDS, "async_creator_fn": SqliteConnection.open}
        pool = {} if in_memory else {"pool_size": POOL_SIZE, "max_overflow": 0}
        self.engine = create_async_engine(
            parsed, hide_parameters=True, pool_pre_ping=not self.is_sqlite, connect_args=arguments, **pool
        )
        if self.is_sqlite:
            _tune_sqlite(self.engine, self._file)
            # One writer at a time per process. The queue here is fair and cheap; SQLite's busy handler polls.
            self._transaction = GroupCommit(self._begin_write).write_transaction
        else:
            _tune_postgresql(self.engine)
            self._transaction = self._begin_write

    @contextlib.asynccontextmanager
    async def read_transaction(self) -> AsyncIterator[AsyncConnection]:
        """Open a read-only transaction. Raises DatabaseError."""
        with translating_errors(self.redacted_url):
            async with self.engine.begin() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def write_transaction(self) -> AsyncIterator[AsyncConnection]:
        """Open a write transaction, committed on exit and rolled back on any exception.

        With SQLite, concurrent writers share one transaction (group commit).

        Raises:
            DatabaseError: The database failed, or SQLite's file was replaced since it was opened: writes to
                a deleted file would be lost without an error.
        """
        with translating_errors(self.redacted_url):
            async with self._transaction() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def _begin_write(self) -> AsyncIterator[AsyncConnection]:
        async with self.engine.connect() as connection:
            await connection.execution_options(**{WRITE_OPTION: True})
            async with connection.begin():
                yield connection
                if self._file and connection.info[_FILE_IDENTITY_KEY] != _file_identity(self._file):
                    raise file_replaced_error(self._file)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    def create_file(self) -> None:
        """Create the file of a SQLite ledger, and the default data folder with mode 0700; no-op on PostgreSQL.

        Raises:
            DatabaseError: The file cannot be opened or is not a database.
        """
        if not self._file:
            return
        home = HOME.expanduser()
        with translating_errors(self.redacted_url):
            if Path(self._file).is_relative_to(home):
                home.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self._file, timeout=LOCK_TIMEOUT_SECONDS)) as connection:
                connection.execute("PRAGMA schema_version")
