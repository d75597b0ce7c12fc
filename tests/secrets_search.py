"""Looks for a secret wherever it may have been left: in files, in databases by column, in an API's answers."""

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
"""In every secret of the tests. Letters alone: neither JSON nor percent-encoding changes them."""


def holds_it(content: bytes) -> bool:
    """Whether the secret is in there: as it is, in any case, in base64, or compressed."""
    texts = [content.lower(), *_unzipped(content)]
    return any(NEEDLE in text for text in texts) or any(form in content for form in _in_base64())


def _in_base64() -> Iterator[bytes]:
    """Its three forms, by where it begins in a text; without the characters that its neighbours change."""
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + NEEDLE).rstrip(b"=")
        yield coded[before + (before > 0) : len(coded) - 1]


def _unzipped(content: bytes) -> Iterator[bytes]:
    for magic, unzip in ((b"\x1f\x8b\x08", gzip.decompress), (b"\x78\x9c", zlib.decompress)):
        start = content.find(magic)
        if start >= 0:
            with contextlib.suppress(OSError, EOFError, zlib.error):
                yield unzip(content[start:]).lower()


def files_with_it(folder: Path) -> set[str]:
    """Names of the files under the folder that hold it, in bytes that a database has freed as well."""
    return {file.name for file in folder.rglob("*") if file.is_file() and holds_it(file.read_bytes())}


def columns_with_it(file: Path) -> set[str]:
    """The columns of a SQLite database that hold it, as TABLE.COLUMN; its -wal is read with it."""
    found = set()
    with contextlib.closing(sqlite3.connect(file, timeout=60)) as database:
        database.text_factory = bytes
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for table in (name.decode() for (name,) in tables):
            cursor = database.execute(f'SELECT * FROM "{table}"')  # noqa: S608  # its own names
            names = [column[0] for column in cursor.description]
            for row in cursor:
                found |= {f"{table}.{name}" for name, value in zip(names, row, strict=True) if _is_in(value)}
    return found


def _is_in(value: Any) -> bool:
    return holds_it(value if isinstance(value, bytes) else str(value).encode())
