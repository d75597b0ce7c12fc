"""Removes the old copies of changed rows from a database's own files: free space, freed pages and write-ahead log.

An UPDATE does not overwrite the former text everywhere: it can stay in free pages until SQLite uses them again, and
in the write-ahead log until the next checkpoint. VACUUM writes every page again from the rows that exist.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path

MAX_VACUUM_BYTES = 1024**3
"""A larger SQLite file is not rewritten while other processes use it.

VACUUM locks out other writers, for about 2 seconds per 140 MB (measured on two shared cores). They wait at most
LOCK_TIMEOUT_SECONDS (store/sqlite_backend.py).
"""
COMPACTION_TIMEOUT_SECONDS = 10.0
"""How long VACUUM waits for a writer, and the checkpoint for a reader of an old state."""


def compact_sqlite(file: Path) -> list[str]:
    """Rewrite a SQLite file from its current rows and empty its write-ahead log. Other processes may use it.

    Args:
        file: The database file; it is not created.

    Returns:
        The places that may still hold former contents, each with its remedy; empty on success.
    """
    size = file.stat().st_size
    remaining = []
    try:
        with contextlib.closing(
            sqlite3.connect(
                f"{file.absolute().as_uri()}?mode=rw",
                timeout=COMPACTION_TIMEOUT_SECONDS,
                isolation_level=None,
                uri=True,
            )
        ) as connection:
            connection.execute("PRAGMA secure_delete = ON")
            if size > MAX_VACUUM_BYTES:
                remaining.append(
                    f"free pages of {file}, which is larger than {MAX_VACUUM_BYTES:,} bytes: stop all processes "
                    f"that use it, then run `sqlite3 {file} VACUUM`"
                )
            else:
                connection.execute("VACUUM")
            (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if is_busy:
                remaining.append(
                    f"free pages of {file}, and {file}-wal: another process is reading an earlier state; "
                    "run the same command again once it has ended"
                )
    except sqlite3.Error as error:
        remaining.append(f"free pages of {file}, and {file}-wal: {error}; run the same command again")
    return remaining


def vacuum_statements(tables: Iterable[str]) -> list[str]:
    """Return the statements that remove dead rows of these tables from PostgreSQL.

    Each must run outside of a transaction. A role that does not own a table gets a warning instead of an error.
    """
    return [f"VACUUM {table}" for table in tables]


POSTGRESQL_REMAINS = (
    "PostgreSQL keeps former contents in its write-ahead log, replicas and backups for as long as you keep them, "
    "and in unused space of its files, which `VACUUM FULL` rewrites"
)
"""What no statement of a client removes from PostgreSQL."""
