"""SQLite: an ordinary synchronous engine, one writer thread with group commit, and a few reader threads.

No statement runs on the event loop, so that a slow one delays only its caller.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from models.environment.database_url import DatabaseUrl
from store.compaction import compact_sqlite
from store.errors import file_replaced_error, not_started_error
from store.group_commit import GroupCommit, Result, Work
from store.ledger_file import LedgerFile

LOCK_TIMEOUT_SECONDS = 30
"""How long a writer waits for a lock of another process; then that is a DatabaseError."""
MAX_READERS = 4
"""Reader threads per process, each with a connection of its own."""
WRITE_OPTION = "avatars_write"
"""Execution option of connections whose transaction writes."""

_PRAGMAS = (
    "busy_timeout = {busy}",
    "journal_mode = WAL",
    "synchronous = FULL",  # a submission that is paid for must survive a power cut
    "foreign_keys = ON",
    "secure_delete = ON",  # overwrites deleted text with zeros; most builds of SQLite do not by default
)
_FILE_IDENTITY_KEY = "avatars_file_identity"


class SqliteBackend:
    """Runs functions over a synchronous SQLAlchemy Connection in threads."""

    def __init__(self, url: DatabaseUrl) -> None:
        """Prepare the engine; nothing is opened yet."""
        file = url.file
        options: dict[str, Any] = (
            {"pool_size": MAX_READERS + 1, "max_overflow": 0} if file else {"poolclass": StaticPool}
        )
        self._file = file
        self.engine = create_engine(
            url.url.set(drivername="sqlite+pysqlite"),
            hide_parameters=True,
            connect_args={"timeout": LOCK_TIMEOUT_SECONDS, "check_same_thread": False},
            **options,
        )
        _configure(self.engine, file)
        if file:
            _open_existing_only(self.engine, LedgerFile(Path(file), url.mode))
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        # A database in memory is one connection: its reads and writes share a thread.
        self._readers = (
            ThreadPoolExecutor(MAX_READERS, thread_name_prefix="sqlite-reader") if file else self._writer
        )
        self._group_commit = GroupCommit(self._begin_write, self._writer)

    async def read(self, work: Work[Result]) -> Result:
        """Run the work in a transaction that only reads."""
        try:
            reading = asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)
        except RuntimeError as error:  # it is shut down, or the system starts no more threads
            raise not_started_error(error) from None
        return await reading

    async def write(self, work: Work[Result]) -> Result:
        """Run the work in a transaction that writes; returns once it is committed."""
        return await self._group_commit.write(work)

    async def compact(self, tables: Sequence[str]) -> list[str]:  # noqa: ARG002  # SQLite rewrites the whole file
        """Remove former contents from the file; return the places that may still hold some."""
        return await asyncio.to_thread(compact_sqlite, Path(self._file)) if self._file else []

    async def close(self) -> None:
        """Commit the queued writes, wait for the threads and close every connection."""
        await asyncio.to_thread(self._close)

    def _read(self, work: Work[Result]) -> Result:
        with self.engine.begin() as connection:
            return work(connection)

    @contextlib.contextmanager
    def _begin_write(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            connection.execution_options(**{WRITE_OPTION: True})
            with connection.begin():
                yield connection
                # Writes to a deleted file are lost, and SQLite does not report it.
                if self._file and connection.info[_FILE_IDENTITY_KEY] != _file_identity(self._file):
                    raise file_replaced_error(self._file)

    def _close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self.engine.dispose()


def _configure(engine: Engine, file: str | None) -> None:
    """Begin transactions explicitly.

    The sqlite3 module begins them late and would upgrade a read to a write. Under WAL that fails at once if another
    process has written in between.
    """

    @event.listens_for(engine, "connect")
    def connect(connection: Any, record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        record.info[_FILE_IDENTITY_KEY] = _file_identity(file)
        cursor = connection.cursor()
        try:
            for pragma in _PRAGMAS:
                cursor.execute(f"PRAGMA {pragma.format(busy=int(LOCK_TIMEOUT_SECONDS * 1000))}")
        except BaseException:
            connection.close()  # the pool drops it without closing it
            raise
        cursor.close()

    @event.listens_for(engine, "checkout")
    def checkout(_connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        identity = _file_identity(file)
        if file and identity is None:
            raise file_replaced_error(file)  # clearer than the error of opening it again
        if identity != record.info[_FILE_IDENTITY_KEY]:
            raise DisconnectionError  # the pool opens the file that is at the path now

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A read begins a deferred transaction: all its statements see one state.
        write = connection.get_execution_options().get(WRITE_OPTION)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _open_existing_only(engine: Engine, file: LedgerFile) -> None:
    """Never create the file: after it was moved away, an additional connection of the pool would create another."""
    was_opened = False

    @event.listens_for(engine, "do_connect")
    def do_connect(_dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]) -> None:
        if was_opened and not file.path.exists():
            raise file_replaced_error(str(file.path))
        arguments[0] = file.uri
        options["uri"] = True

    @event.listens_for(engine, "connect")
    def connect(_connection: Any, _record: Any) -> None:
        nonlocal was_opened
        was_opened = True


def _file_identity(file: str | None) -> tuple[int, int] | None:
    """Return device and inode of the ledger's file; None without a file or path."""
    try:
        stat = Path(file).stat() if file else None
    except FileNotFoundError:
        return None
    return (stat.st_dev, stat.st_ino) if stat else None
