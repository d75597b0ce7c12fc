"""Opens the ledger's database, SQLite or PostgreSQL, and hands out transactions."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from models.errors import DatabaseError
from models.settings import HOME

BUSY_SECONDS = 30
CONNECT_SECONDS = 10
WRITES = "avatars_writes"

_FAILURES = (SQLAlchemyError, sqlite3.Error, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
_PRAGMAS = (
    f"busy_timeout = {BUSY_SECONDS * 1000}",
    "journal_mode = WAL",
    "synchronous = FULL",  # a create that is paid for must survive a power cut
    "foreign_keys = ON",
)


def _tune_sqlite(engine: AsyncEngine) -> None:
    """Take transactions into our own hands: sqlite3 opens them late and would upgrade a read to a write,
    which fails at once under WAL where another process wrote in between.
    """

    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        try:
            for pragma in _PRAGMAS:
                cursor.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()  # the pool forgets it, and its thread would live on
            raise
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextlib.contextmanager
def _translated(place: str) -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise DatabaseError(
            f"the ledger at {place} failed: {str(cause) or type(cause).__name__}",
            hint="check AVATARS_DATABASE_URL, that the database runs, and free space and rights; then resume",
        ) from None  # the statement's parameters hold URLs


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
        self.place = parsed.render_as_string(hide_password=True)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        # A bounded connect keeps a wrong address from looking like a hang.
        arguments = {"timeout": BUSY_SECONDS if self.is_sqlite else CONNECT_SECONDS}
        self.engine = create_async_engine(
            parsed, hide_parameters=True, pool_pre_ping=not self.is_sqlite, connect_args=arguments
        )
        if self.is_sqlite:
            _tune_sqlite(self.engine)
        self._file = parsed.database if self.is_sqlite else None
        # SQLite has one writer; waiting here is fair and cheap, waiting inside SQLite polls.
        self._one_writer = asyncio.Lock() if self.is_sqlite else contextlib.nullcontext()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that only reads. Raises DatabaseError."""
        with _translated(self.place):
            async with self.engine.begin() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that writes; commits on leaving, rolls back on any exception.

        Raises DatabaseError.
        """
        async with self._one_writer:
            with _translated(self.place):
                async with self.engine.connect() as connection:
                    await connection.execution_options(**{WRITES: True})
                    async with connection.begin():
                        yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    def make_file(self) -> None:
        """Create what a SQLite ledger needs: its file and, at the default place, the folder for its owner only.

        Does nothing for PostgreSQL. Raises DatabaseError where the file cannot be opened or is no database: said
        here, since aiosqlite leaves a thread behind that prints a traceback where its own opening fails.
        """
        if not self._file:
            return
        home = HOME.expanduser()
        with _translated(self.place):
            if Path(self._file).is_relative_to(home):
                home.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self._file, timeout=BUSY_SECONDS)) as connection:
                connection.execute("PRAGMA schema_version")
