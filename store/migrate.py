"""Upgrades the ledger's schema with Alembic."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from sqlalchemy import Connection

from models.errors import DatabaseError
from store.database import Database
from store.schema_state import HEAD_REVISION, read_schema_state

__all__ = ["HEAD_REVISION", "ensure_schema", "schema_revisions", "upgrade"]

logger = logging.getLogger(__name__)


def _upgrade(connection: Connection, redacted_url: str) -> bool:
    """Upgrade the schema; return whether the database had none before."""
    revision = read_schema_state(connection).require_usable(redacted_url)
    if revision == HEAD_REVISION:
        return False
    from alembic import command  # noqa: PLC0415  # see HEAD_REVISION
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return revision is None


async def upgrade(database: Database) -> None:
    """Upgrade the ledger's schema to this version's revision; no-op if it is current.

    Concurrent upgrades are safe on SQLite: the second one waits for the first. A database that this version cannot
    use is not changed. A new ledger is logged: it does not know what was submitted before. Raises DatabaseError.
    """
    await asyncio.to_thread(database.create_file)  # it may wait for a lock
    if await _usable_revision(database) == HEAD_REVISION:
        return  # takes no lock, so a busy or read-only ledger can still be read
    if await database.write(lambda connection: _upgrade(connection, database.redacted_url)):
        logger.warning("a new ledger was created at %s", database.redacted_url)


async def schema_revisions(database: Database) -> tuple[str | None, str]:
    """Return the ledger's current revision and the one that this version requires. Raises DatabaseError."""
    return (await database.read(read_schema_state)).revision, HEAD_REVISION


async def _usable_revision(database: Database) -> str | None:
    return (await database.read(read_schema_state)).require_usable(database.redacted_url)


async def ensure_schema(database: Database) -> None:
    """Upgrade a SQLite ledger in place; check that a PostgreSQL ledger has been upgraded.

    Raises:
        DatabaseError: The database failed, is not a ledger that this version can use, or PostgreSQL needs
            `avatars db upgrade`.
    """
    if database.is_sqlite:
        await upgrade(database)
        return
    if (current := await _usable_revision(database)) != HEAD_REVISION:
        raise DatabaseError(
            f"the ledger at {database.redacted_url} has schema revision {current or 'none'}, "
            f"but this version requires {HEAD_REVISION}",
            hint="run `avatars db upgrade`",
        )
