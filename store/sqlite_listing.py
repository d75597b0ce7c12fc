"""Reads a page of a SQLite ledger without SQLAlchemy, whose import takes half of the CPU time of `avatars list`."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import sqlite3
from collections import namedtuple
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.errors import DatabaseError
from models.provisioning import Provisioning, Submission
from store import mappers
from store.latest_page import LatestPage
from store.ledger_file import LedgerFile
from store.schema_state import HEAD_REVISION, read_sqlite_schema_state

ListedProvisioning = tuple[Provisioning, list[Submission]]

_PLAIN_URL = re.compile(r"sqlite\+aiosqlite:///(?P<path>[\w./ -]+)", re.ASCII)
"""A URL that every parser reads alike. models/environment/database_url.py reads the others; it needs SQLAlchemy."""


def list_latest_page(
    database_url: str, page: LatestPage, after_id: str | None = None
) -> list[ListedProvisioning] | None:
    """Return a page with the submissions of each provisioning; None if `Ledger` has to read it.

    That is so for PostgreSQL, for a ledger that does not exist, needs an upgrade or is locked, and for an
    `after_id` or a batch that is not on record. It is also so for every error, which `Ledger` explains.

    Args:
        database_url: AVATARS_DATABASE_URL.
        page: What to read; `after_id` replaces its `after`.
        after_id: The id of the last provisioning of the previous page.

    """
    if (match := _PLAIN_URL.fullmatch(database_url)) is None:
        return None
    file = LedgerFile(Path(match["path"]), "rw")
    try:
        file.create()  # creates nothing in this mode, but refuses what is not a file
        with contextlib.closing(_connect(file)) as connection:
            listed = _read(connection, page, after_id)
        if listed is not None:  # otherwise `Ledger` opens the file and logs what it finds
            file.make_private()
    except (AttributeError, DatabaseError, OSError, OverflowError, TypeError, ValueError, sqlite3.Error):
        return None  # AttributeError: a column is missing; TypeError: a value has another type
    return listed


def _connect(file: LedgerFile) -> sqlite3.Connection:
    # The converters are for connections that detect types, of which the program has no other.
    sqlite3.register_converter("DATETIME", _decode_time)
    sqlite3.register_converter("JSON", json.loads)
    connection = sqlite3.connect(file.uri, timeout=0, uri=True, detect_types=sqlite3.PARSE_DECLTYPES)
    connection.row_factory = _make_row
    return connection


def _decode_time(text: bytes) -> datetime:
    """Return a stored time as UtcDateTime does: it is in UTC if it has no zone."""
    time = datetime.fromisoformat(text.decode())
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _make_row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> Any:
    return _row_type(tuple(column[0] for column in cursor.description))._make(values)


@functools.cache
def _row_type(columns: tuple[str, ...]) -> Any:
    return namedtuple("Row", columns)  # the columns are those of the table


def _read(
    connection: sqlite3.Connection, page: LatestPage, after_id: str | None
) -> list[ListedProvisioning] | None:
    connection.execute("BEGIN")  # all statements see one state
    if read_sqlite_schema_state(connection).revisions != [HEAD_REVISION]:
        return None
    if after_id is not None:
        key = connection.execute("SELECT created_at, id FROM provisionings WHERE id = ?", [after_id]).fetchone()
        if key is None:
            return None
        page = replace(page, after=tuple(key))
    if page.batch_id is not None:
        query = "SELECT id FROM batches WHERE id = ?"
        if connection.execute(query, [page.batch_id]).fetchone() is None:
            return None
    parameters = {name: _encode(value) for name, value in page.parameters().items()}
    provisionings = [mappers.to_provisioning(row) for row in connection.execute(page.sql(), parameters)]
    submissions: dict[str, list[Submission]] = {item.id: [] for item in provisionings}
    marks = ",".join("?" * len(submissions))
    query = f"SELECT * FROM submissions WHERE provisioning_id IN ({marks}) ORDER BY ordinal"  # noqa: S608  # marks only
    for row in connection.execute(query, list(submissions)):
        submissions[row.provisioning_id].append(mappers.to_submission(row))
    return [(item, submissions[item.id]) for item in provisionings]


def _encode(value: str | int | datetime) -> str | int:
    """Return a parameter as SQLAlchemy stores it in SQLite: a time is text in UTC."""
    if not isinstance(value, datetime):
        return value
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
