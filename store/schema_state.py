"""Tells from a database's tables and schema revision whether this version can use it as a ledger."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from models.errors import DatabaseError

if TYPE_CHECKING:  # store/sqlite_listing.py works without SQLAlchemy
    from sqlalchemy import Connection

HEAD_REVISION = "shared_voices"
"""The latest revision in migrations/versions.

A constant, so that Alembic is imported only for an upgrade: the import takes a fifth of the CPU time of
`avatars list`.
"""
UPGRADABLE_REVISIONS = {
    *("initial", "recording_identity", "reopening", "observations", "batches", "limits", "tick_leases"),
    *("unknown_avatars", "kinds", "cancelled_batches", "adoptions", "uploads", "voices", "voice_clones"),
}
VERSION_TABLE = "alembic_version"
LEDGER_TABLE = "provisionings"
"""Every revision has it; the database of another program that uses Alembic does not."""
_READ_REVISIONS = f"SELECT version_num FROM {VERSION_TABLE} LIMIT 2"  # noqa: S608  # a constant
_REVISION = re.compile(r"[\w.-]{1,64}", re.ASCII)


class SchemaState(NamedTuple):
    """What a database contains. `revisions` has the first two rows of Alembic's table, None without that table."""

    revisions: Sequence[object] | None
    has_ledger: bool
    has_tables: bool

    @property
    def revision(self) -> str | None:
        """The recorded revision, whether or not it is known; None without one."""
        return str(self.revisions[0]) if self.revisions else None

    def require_usable(self, redacted_url: str) -> str | None:
        """Return the revision, None for an empty database.

        Raises:
            DatabaseError: The database has the tables of another program, or its revision is damaged or is that of
                a newer version.
        """
        if self.revisions is None or not self.has_ledger:
            if self.has_tables:
                raise DatabaseError(
                    f"the database at {redacted_url} is not a ledger: it has tables of another program",
                    hint="set AVATARS_DATABASE_URL to a new file or an empty database; nothing was changed",
                )
            return None
        if len(self.revisions) != 1 or not _is_revision(self.revisions[0]):
            raise DatabaseError(
                f"the ledger at {redacted_url} is damaged: {VERSION_TABLE} does not have one schema revision",
                hint="restore the ledger from a backup; nothing was changed",
            )
        if self.revision not in {HEAD_REVISION, *UPGRADABLE_REVISIONS}:
            raise DatabaseError(
                f"the ledger at {redacted_url} is newer than this version: "
                f"it has schema revision {self.revision}, which this version does not know",
                hint="upgrade the program; nothing was changed",
            )
        return self.revision


def _is_revision(value: object) -> bool:
    return isinstance(value, str) and _REVISION.fullmatch(value) is not None


def read_schema_state(connection: Connection) -> SchemaState:
    """Read what a database contains, on any engine."""
    from sqlalchemy import inspect, text  # noqa: PLC0415  # as above

    inspector = inspect(connection)
    if not inspector.has_table(VERSION_TABLE):
        return SchemaState(None, has_ledger=False, has_tables=bool(inspector.get_table_names()))
    revisions = list(connection.scalars(text(_READ_REVISIONS)))
    has_ledger = inspector.has_table(LEDGER_TABLE)
    return SchemaState(
        revisions, has_ledger, has_tables=has_ledger or set(inspector.get_table_names()) != {VERSION_TABLE}
    )


def read_sqlite_schema_state(connection: sqlite3.Connection) -> SchemaState:
    """Read what a SQLite file contains without changing it: the engine would switch it to WAL."""
    query = (
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    tables = {name for (name,) in connection.execute(query)}
    revisions = [row[0] for row in connection.execute(_READ_REVISIONS)] if VERSION_TABLE in tables else None
    return SchemaState(revisions, LEDGER_TABLE in tables, has_tables=bool(tables - {VERSION_TABLE}))
