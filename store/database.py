"""The ledger's database, SQLite or PostgreSQL: runs functions in transactions.

Readers and writers are plain functions over a SQLAlchemy Connection. Each backend decides where they run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine

from models.environment.database_url import DatabaseUrl, parse_database_url
from models.environment.private_files import create_private_folder
from models.environment.regular_files import open_regular_file
from models.errors import DatabaseError, InvalidRequest
from models.settings import HOME
from store.backup import back_up_sqlite, require_new_file
from store.errors import statement_errors, translating_errors
from store.group_commit import Result, Work
from store.ledger_file import LedgerFile
from store.schema_state import read_sqlite_schema_state
from store.sqlite_backend import LOCK_TIMEOUT_SECONDS, SqliteBackend


class _WorkFailed(Exception):  # carries an error of the caller's function, and is not one itself
    """Separates an error of the caller's function from a failure of the database."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class Backend(Protocol):
    """Where the functions of one kind of database run."""

    engine: Engine

    async def read(self, work: Work[Result]) -> Result:
        """Run the work in a transaction that only reads."""

    async def write(self, work: Work[Result]) -> Result:
        """Run the work in a transaction that writes; return once it is committed."""

    async def compact(self, tables: Sequence[str]) -> list[str]:
        """Remove former contents of these tables; return the places that may still hold some."""

    async def close(self) -> None:
        """Close every connection."""


def _open_backend(url: DatabaseUrl) -> Backend:
    if url.is_sqlite:
        return SqliteBackend(url)
    # SQLAlchemy's asyncio engine and asyncpg take a tenth of the CPU time of `avatars list` to import.
    from store.postgresql_backend import PostgresqlBackend  # noqa: PLC0415

    return PostgresqlBackend(url)


class Database:
    """One SQLAlchemy engine. Database errors are raised as DatabaseError, without the statement."""

    def __init__(self, url: str) -> None:
        """Create the engine; it connects on first use.

        Args:
            url: AVATARS_DATABASE_URL.

        Raises:
            DatabaseError: `url` is not a database URL, or has a parameter that is not supported.
        """
        parsed = parse_database_url(url)
        self.redacted_url = parsed.redacted
        self.is_sqlite = parsed.is_sqlite
        self._file = LedgerFile(Path(parsed.file), parsed.mode) if parsed.file else None
        _require_regular_files(parsed.files)
        self._backend = _open_backend(parsed)
        self.engine = self._backend.engine
        self._process_id = os.getpid()
        self._is_closed = False

    async def read(self, work: Work[Result]) -> Result:
        """Run a function in a transaction that only reads, and return its result.

        Args:
            work: A function of a Connection. It runs in another thread, so it must not use the event loop.

        Raises:
            DatabaseError: The database failed or is closed. An error of the function itself is raised as it is.
        """
        return await self._run(self._backend.read, work)

    async def write(self, work: Work[Result]) -> Result:
        """Run a function in a transaction and return its result once it is committed.

        With SQLite, concurrent writes share one transaction (group commit). If the function raises, its own changes
        are rolled back. If the caller is cancelled before the function starts, nothing is written; later, SQLite
        commits all the same, and PostgreSQL rolls back unless it commits at that moment.

        Args:
            work: A function of a Connection. It runs in another thread, so it must not use the event loop.

        Raises:
            DatabaseError: The database failed or is closed, or SQLite's file was replaced since it was opened:
                writes to a deleted file would be lost without an error. If PostgreSQL's answer to the commit was
                lost, the write may be stored; the caller reads it again. An error of the function itself is raised
                as it is.
        """
        return await self._run(self._backend.write, work)

    async def _run(self, run: Callable[[Work[Result]], Awaitable[Result]], work: Work[Result]) -> Result:
        def guarded(connection: Connection) -> Result:
            try:
                return work(connection)
            except statement_errors(asyncio.CancelledError):
                raise
            except BaseException as error:  # an OSError or TimeoutError of the function is not one of the database
                raise _WorkFailed(error) from error

        if self._is_closed:
            raise DatabaseError(
                f"the ledger at {self.redacted_url} is closed", hint="open it again; this is a bug in the caller"
            )
        self._require_same_process()
        with translating_errors(self.redacted_url):
            try:
                return await run(guarded)
            except _WorkFailed as failed:
                error = failed.error
        raise error

    def _require_same_process(self) -> None:
        """Refuse to work after a fork: no thread survives one, and no connection of either engine may cross one."""
        if os.getpid() != self._process_id:
            raise RuntimeError("a Database cannot be used after a fork: create another one in the child process")

    async def compact(self, tables: Sequence[str]) -> list[str]:
        """Remove former contents of these tables from the files of the database, after an erasure.

        Returns:
            The places that may still hold former contents, each with its remedy.

        Raises:
            DatabaseError: The database failed.
        """
        self._require_same_process()
        with translating_errors(self.redacted_url):
            return await self._backend.compact(tables)

    async def back_up(self, path: Path) -> None:
        """Write a copy of a SQLite ledger to a new file while the ledger is in use.

        Raises:
            InvalidRequest: The ledger is not a file, or no file can be created at the path.
            DatabaseError: The ledger is not one that this version can use, or its copy cannot be written.
        """
        if self._file is None:
            raise InvalidRequest(
                [("AVATARS_DATABASE_URL", f"{self.redacted_url} is not a SQLite file")],
                hint="back up a PostgreSQL ledger with pg_dump, see docs/backup.md",
            )
        require_new_file(path)
        with translating_errors(self.redacted_url):
            await asyncio.to_thread(self._back_up, self._file, path)

    def _back_up(self, file: LedgerFile, path: Path) -> None:
        with contextlib.closing(file.connect(LOCK_TIMEOUT_SECONDS)) as connection:
            read_sqlite_schema_state(connection).require_usable(self.redacted_url)
        back_up_sqlite(file, path, LOCK_TIMEOUT_SECONDS)

    async def close(self) -> None:
        """Wait for the writes that have been requested, then close every connection. Idempotent."""
        self._require_same_process()
        self._is_closed = True
        await self._backend.close()

    def create_file(self) -> None:
        """Create the file of a SQLite ledger, and the default data folder; no-op on PostgreSQL and with `mode=ro`.

        The file gets mode 0600 and the folder 0700. An existing file of this user gets mode 0600, too.

        Raises:
            DatabaseError: The file cannot be opened, is not a database, or is not a ledger that this version can
                use; then it is not changed.
        """
        if self._file is None:
            return
        with translating_errors(self.redacted_url):
            if self._file.path.is_relative_to(HOME.expanduser()):
                create_private_folder(HOME.expanduser())
            self._file.create()
            with contextlib.closing(self._file.connect(LOCK_TIMEOUT_SECONDS)) as connection:
                read_sqlite_schema_state(connection).require_usable(self.redacted_url)
            self._file.make_private()


def _require_regular_files(files: Mapping[str, str]) -> None:
    """Raise DatabaseError if asyncpg would read anything but a file: it would wait for a named pipe."""
    for parameter, path in files.items():
        try:
            with open_regular_file(path, os.O_RDONLY):
                pass
        except OSError as error:
            if parameter == "passfile" and isinstance(error, FileNotFoundError):
                continue  # libpq ignores it, too
            raise DatabaseError(
                f"AVATARS_DATABASE_URL: the file of {parameter}, {path}, cannot be read: {error.strerror}",
                hint="correct the path or the permissions of the file",
            ) from None
