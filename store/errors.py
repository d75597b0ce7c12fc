"""Translates database errors into DatabaseError, with the cause, a hint and no secrets."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import sys
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from models.errors import DatabaseError

_HINTS_BY_PATTERN = {
    "locked|lock timeout": "close the other program that holds the lock (perhaps sqlite3 or psql), then resume",
    "read-?only": "make the database writable (SQLite: the file and its folder; PostgreSQL: not a standby, "
    "default_transaction_read_only off), then resume",
    "not a database|malformed": "set AVATARS_DATABASE_URL to a SQLite file, or restore the ledger from a backup",
    "prepared statement": "connect to PostgreSQL directly or through a pool in session mode, because the "
    "transaction mode of PgBouncer is not supported",
    # PostgreSQL may have committed before its answer was lost.
    "connection was closed|terminating connection": "check that the database is running, and look whether the "
    "change was stored (`avatars show`), then resume",
    r"\bfull\b|no space": "free disk space on the database's volume, then resume",
    # SQLite's message for a write that the system refused for another reason than ENOSPC.
    "disk I/O error": "check that the database's volume is not full (df), allows files of this size (ulimit -f, "
    "quotas) and has no errors; then resume",
}
_DEFAULT_HINT = (
    "check that AVATARS_DATABASE_URL is right, the database is running, and it has free space and permissions; "
    "then resume"
)


def statement_errors(*others: type[BaseException]) -> tuple[type[BaseException], ...]:
    """Return every error class that a database driver raises for a statement or a commit, and the others.

    A function, so that asyncpg is imported only with PostgreSQL: the import costs 35 ms of CPU time.
    """
    asyncpg = sys.modules.get("asyncpg")
    drivers = () if asyncpg is None else (asyncpg.PostgresError, asyncpg.InterfaceError)
    return (SQLAlchemyError, sqlite3.Error, *drivers, *others)


def file_replaced_error(path: str) -> DatabaseError:
    """Return the error for a replaced SQLite file, which SQLite itself does not report.

    SQLite would continue to write to the deleted file, and the data would be lost.
    """
    return DatabaseError(
        f"the ledger at {path} failed: its file was moved, deleted or replaced while in use",
        hint="restore the file, with its -wal file if there is one, then resume",
    )


def not_started_error(error: RuntimeError) -> DatabaseError:
    """Return the error for a call without a thread: the database is closed, or the system refuses one."""
    return DatabaseError(
        f"the ledger was not asked: {error}", hint="check the limits of this process (ulimit -u), then resume"
    )


def _describe(error: BaseException) -> str:
    """Return the first line of the database's message; PostgreSQL's other lines contain values of the row."""
    cause = (error.orig or error) if isinstance(error, DBAPIError) else error
    cause = cause.__cause__ or cause  # SQLAlchemy wraps asyncpg's errors a second time
    return str(cause).partition("\n")[0] or type(cause).__name__


@contextlib.contextmanager
def translating_errors(redacted_url: str) -> Iterator[None]:
    """Raise every database error as DatabaseError.

    The error does not contain the statement, because its parameters may contain signed URLs.
    """
    try:
        yield
    except statement_errors(OSError) as error:
        message = _describe(error)
        hints = (hint for pattern, hint in _HINTS_BY_PATTERN.items() if re.search(pattern, message, re.IGNORECASE))
        raise DatabaseError(
            f"the ledger at {redacted_url} failed: {message}", hint=next(hints, _DEFAULT_HINT)
        ) from None
