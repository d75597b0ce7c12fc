"""Opens the ledger's database, SQLite or PostgreSQL, and hands out transactions."""

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
from store.failures import file_replaced, translated
from store.group_commit import GroupCommit
from store.sqlite_connection import BEGIN_WRITING, SqliteConnection

BUSY_SECONDS = 30
"""How long a writer waits for a lock that another holds; then that is a DatabaseError."""
CONNECT_SECONDS = 10
WRITES = "avatars_writes"
CONNECTIONS = 15
"""Of a process, at the most; each is kept: opening one costs more than what it is opened for."""

_PRAGMAS = (
    "busy_timeout = {busy}",
    "journal_mode = WAL",
    "synchronous = FULL",  # a create that is paid for must survive a power cut
    "foreign_keys = ON",
)
_OPENED = "avatars_opened"


def _tune_postgresql(engine: AsyncEngine) -> None:
    """Let nobody wait for ever behind a row that a forgotten session has locked."""

    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = {int(BUSY_SECONDS * 1000)}")
        cursor.close()
        connection.commit()  # or the first rollback takes it back


def _tune_sqlite(engine: AsyncEngine, file: str | None) -> None:
    """Take transactions into our own hands: sqlite3 opens them late and would upgrade a read to a write,
    which fails at once under WAL where another process wrote in between.
    """

    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[_OPENED] = _identity(file)
        cursor = connection.cursor()
        try:
            for pragma in _PRAGMAS:
                cursor.execute(f"PRAGMA {pragma.format(busy=int(BUSY_SECONDS * 1000))}")
        except BaseException:
            connection.close()  # the pool forgets it
            raise
        cursor.close()

    @event.listens_for(engine.sync_engine, "checkout")
    def checkout(_connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        now = _identity(file)
        if file and now is None:
            raise file_replaced(file)  # opening it anew would make an empty one
        if now != record.info[_OPENED]:
            raise DisconnectionError  # the pool opens the file that is there now

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        if connection.get_execution_options().get(WRITES):  # a query alone sees one state of things anyhow
            connection.exec_driver_sql(BEGIN_WRITING)


def _identity(file: str | None) -> tuple[int, int] | None:
    """Return which file is at the path of the ledger now; None where there is none, or nothing to compare."""
    try:
        stat = Path(file).stat() if file else None
    except FileNotFoundError:
        return None
    return (stat.st_dev, stat.st_ino) if stat else None


class Database:
    """One engine. Every failure of the database comes out as DatabaseError, without the statement."""

    def __init__(self, url: str) -> None:
        """Prepare the engine; nothing is opened yet. `url` is AVATARS_DATABASE_URL. Raises DatabaseError."""
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):
            raise DatabaseError(
                "AVATARS_DATABASE_URL is no database URL",
                hint="as sqlite+aiosqlite:////PATH or postgresql+asyncpg://USER:PASSWORD@HOST:PORT/NAME",
            ) from None
        self.place = parsed.set(query={}).render_as_string(hide_password=True)  # a query may hold a password, too
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        named = parsed.database if self.is_sqlite else None
        in_memory = self.is_sqlite and (named is None or named == ":memory:" or named.startswith("file:"))
        self._file = None if in_memory else named
        # A bounded connect keeps a wrong address from looking like a hang.
        arguments: dict[str, Any] = {"timeout": CONNECT_SECONDS}
        if self.is_sqlite:
            arguments = {"timeout": BUSY_SECONDS, "async_creator_fn": SqliteConnection.open}
        pool = {} if in_memory else {"pool_size": CONNECTIONS, "max_overflow": 0}
        self.engine = create_async_engine(
            parsed, hide_parameters=True, pool_pre_ping=not self.is_sqlite, connect_args=arguments, **pool
        )
        if self.is_sqlite:
            _tune_sqlite(self.engine, self._file)
            # One writer at a time: waiting here is fair and cheap, waiting inside SQLite polls.
            self._transaction = GroupCommit(self._write).writing
        else:
            _tune_postgresql(self.engine)
            self._transaction = self._write

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that only reads. Raises DatabaseError."""
        with translated(self.place):
            async with self.engine.begin() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that writes; commits on leaving, rolls back on any exception.

        Writers of SQLite that come at once share one. Raises DatabaseError, also where SQLite's file is no longer
        the one that was opened: what is written into a deleted file is lost without a word.
        """
        with translated(self.place):
            async with self._transaction() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def _write(self) -> AsyncIterator[AsyncConnection]:
        async with self.engine.connect() as connection:
            await connection.execution_options(**{WRITES: True})
            async with connection.begin():
                yield connection
                if self._file and connection.info[_OPENED] != _identity(self._file):
                    raise file_replaced(self._file)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    def make_file(self) -> None:
        """Create what a SQLite ledger needs: its file and, at the default place, the folder for its owner only.

        Does nothing for PostgreSQL. Raises DatabaseError where the file cannot be opened or is no database.
        """
        if not self._file:
            return
        home = HOME.expanduser()
        with translated(self.place):
            if Path(self._file).is_relative_to(home):
                home.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self._file, timeout=BUSY_SECONDS)) as connection:
                connection.execute("PRAGMA schema_version")
