"""Finds secrets in files, in the columns of databases and in the responses of an API."""

from __future__ import annotations

import base64
import contextlib
import gzip
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NEEDLE = b"canary"
"""Part of every secret in the tests. Only letters, which neither JSON nor percent-encoding changes."""


def contains_secret(content: bytes) -> bool:
    """Return whether the content contains a secret: as plain text in any case, in base64, or compressed."""
    texts = [content.lower(), *_decompressed(content)]
    return any(NEEDLE in text for text in texts) or any(form in content for form in _base64_forms())


def _base64_forms() -> Iterator[bytes]:
    """Yield the three base64 forms, one per offset, without the characters that depend on adjacent bytes."""
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + NEEDLE).rstrip(b"=")
        yield encoded[offset + (offset > 0) : len(encoded) - 1]


def _decompressed(content: bytes) -> Iterator[bytes]:
    for magic, decompress in ((b"\x1f\x8b\x08", gzip.decompress), (b"\x78\x9c", zlib.decompress)):
        start = content.find(magic)
        if start >= 0:
            with contextlib.suppress(OSError, EOFError, zlib.error):
                yield decompress(content[start:]).lower()


def files_with_secret(folder: Path) -> set[str]:
    """Return the names of the files that contain a secret, also in pages that a database has freed."""
    return {file.name for file in folder.rglob("*") if file.is_file() and contains_secret(file.read_bytes())}


def columns_with_secret(file: Path) -> set[str]:
    """Return the columns of a SQLite database that contain a secret, as TABLE.COLUMN; includes its WAL."""
    columns: set[str] = set()
    with contextlib.closing(sqlite3.connect(file, timeout=60)) as database:
        database.text_factory = bytes
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for table in (name.decode() for (name,) in tables):
            cursor = database.execute(f'SELECT * FROM "{table}"')  # noqa: S608  # the names come from the database itself
            names = [column[0] for column in cursor.description]
            for row in cursor:
                columns |= {
                    f"{table}.{name}" for name, value in zip(names, row, strict=True) if _contains_secret(value)
                }
    return columns


def _contains_secret(value: Any) -> bool:
    return contains_secret(value if isinstance(value, bytes) else str(value).encode())
