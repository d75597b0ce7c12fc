"""Copies a SQLite ledger into one file while it is in use, with what its write-ahead log holds.

A copy of the file alone can be a ledger without rows: they may all be in the write-ahead log.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from pathlib import Path

from models.environment.private_files import create_private_file, replacement_problem, sync_folder
from models.errors import InvalidRequest
from store.ledger_file import LedgerFile


def require_new_file(path: Path) -> None:
    """Raise InvalidRequest if no file can be created at the path, or something is there already."""
    if os.path.lexists(path):
        raise InvalidRequest(
            [("file", f"{path} already exists, and backups are never overwritten")], hint="choose another file name"
        )
    if (problem := replacement_problem(path)) is not None:
        raise InvalidRequest([("file", f"{path}: {problem}")], hint="choose another path")


def back_up_sqlite(ledger: LedgerFile, path: Path, timeout_seconds: float) -> None:
    """Write one consistent state of the ledger to a new file with mode 0600. Other processes may write meanwhile.

    The file gets its name once it is complete, verified and synced to disk; no unfinished file remains.

    Args:
        ledger: The file of the ledger.
        path: The new file.
        timeout_seconds: How long to wait for a lock of another process.

    Raises:
        sqlite3.Error: The ledger cannot be read, or its copy is damaged.
        OSError: The file exists or cannot be written.
    """
    unfinished = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.part")
    os.close(create_private_file(unfinished))
    try:
        with (
            contextlib.closing(ledger.connect(timeout_seconds)) as source,
            contextlib.closing(sqlite3.connect(unfinished)) as target,
        ):
            source.backup(target)  # in one step: a reader does not block writers of a write-ahead log
            (result,) = target.execute("PRAGMA integrity_check(1)").fetchone()
            if result != "ok":
                raise sqlite3.DatabaseError(f"the copy is malformed: {result}")
        _sync(unfinished)
        os.link(unfinished, path)  # unlike rename(2), link(2) never replaces a file
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
