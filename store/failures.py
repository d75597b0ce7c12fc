"""Tells of the database's failures: one DatabaseError each, with what failed and the way out, and no secrets."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator

import asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from models.errors import DatabaseError

FAILURES = (SQLAlchemyError, sqlite3.Error, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""Whatever a database raises where it fails."""
_HINTS = {
    "locked|lock timeout": "another program holds its lock (a sqlite3 or psql left open?): end it; then resume",
    "read-?only": "make it writable (the file and its folder; or no standby, no read-only default); then resume",
    r"\bfull\b|no space": "free space where it is stored; then resume",
}
_HINT = "check AVATARS_DATABASE_URL, that the database runs, and free space and rights; then resume"


def file_replaced(file: str) -> DatabaseError:
    """Return the error that SQLite itself does not raise: what is written into a deleted file is lost."""
    return DatabaseError(
        f"the ledger at {file} failed: its file was moved, deleted or replaced while in use",
        hint="put the file back, with its -wal file if there is one; then resume",
    )


def _told(error: BaseException) -> str:
    """Return what the database said: its first line, since PostgreSQL's others hold values of the row."""
    cause = (error.orig or error) if isinstance(error, DBAPIError) else error
    cause = cause.__cause__ or cause  # SQLAlchemy wraps asyncpg's errors once more
    return str(cause).partition("\n")[0] or type(cause).__name__


@contextlib.contextmanager
def translated(place: str) -> Iterator[None]:
    """Raise every failure of the database as DatabaseError, without the statement, whose parameters hold URLs."""
    try:
        yield
    except FAILURES as error:
        told = _told(error)
        hint = next((hint for words, hint in _HINTS.items() if re.search(words, told, re.IGNORECASE)), _HINT)
        raise DatabaseError(f"the ledger at {place} failed: {told}", hint=hint) from None
