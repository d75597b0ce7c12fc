"""Upgrades the ledger's schema with Alembic."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from models.errors import DatabaseError
from store.database import Database

HEAD_REVISION = "recording_identity"
"""The latest revision in migrations/versions.

A constant, so that Alembic is imported only for an upgrade: the import takes a fifth of the CPU time of
`avatars list`.
"""
_UPGRADABLE_REVISIONS = {None, "initial"}


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _require_known(current: str | None) -> None:
    """Raise DatabaseError if the ledger has a revision that this version cannot upgrade."""
    if current not in {*_UPGRADABLE_REVISIONS, HEAD_REVISION}:
        raise DatabaseError(
            f"the ledger has schema revision {current}, which this version does not know",
            hint="create a new ledger: point AVATARS_DATABASE_URL at a new file or database. If a newer version of "
            "avatar-provisioner made this one, upgrade the program instead",
        )


def _upgrade(connection: Connection) -> None:
    current = _current(connection)
    if current == HEAD_REVISION:
        return
    _require_known(current)
    from alembic import command  # noqa: PLC0415  # see HEAD_REVISION
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def upgrade(database: Database) -> None:
    """Upgrade the ledger's schema to this version's revision; no-op if it is current.

    Concurrent upgrades are safe on SQLite: the second one waits for the first. Raises DatabaseError.
    """
    await asyncio.to_thread(database.create_file)  # it may wait for a lock
    current, head = await schema_revisions(database)
    if current == head:
        return  # takes no lock, so a busy or read-only ledger can still be read
    await database.write(_upgrade)


async def schema_revisions(database: Database) -> tuple[str | None, str]:
    """Return the ledger's current revision and the one that this version requires. Raises DatabaseError."""
    return await database.read(_current), HEAD_REVISION


async def ensure_schema(database: Database) -> None:
    """Upgrade a SQLite ledger in place; check that a PostgreSQL ledger has been upgraded.

    Raises:
        DatabaseError: The database failed, its revision is unknown, or PostgreSQL needs `avatars db upgrade`.
    """
    if database.is_sqlite:
        await upgrade(database)
        return
    current, head = await schema_revisions(database)
    _require_known(current)
    if current != head:
        raise DatabaseError(
            f"the ledger at {database.redacted_url} has schema revision {current or 'none'}, "
            f"but this version requires {head}",
            hint="run `avatars db upgrade`",
        )
