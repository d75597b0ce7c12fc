"""Brings the ledger's tables up to date with Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from models.errors import DatabaseError
from store.database import Database


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _head() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> None:
    if _current(connection) != _head():
        command.upgrade(_config(connection), "head")


async def upgrade(database: Database) -> None:
    """Upgrade the ledger to this version's tables; does nothing where it is there already.

    Two at once are safe on SQLite (the second waits for the first). Raises DatabaseError.
    """
    database.make_file()
    current, head = await revision(database)
    if current == head:
        return  # without a lock: a ledger that is busy, or cannot be written, can be read all the same
    async with database.writing() as connection:
        await connection.run_sync(_upgrade)


async def revision(database: Database) -> tuple[str | None, str | None]:
    """Return the ledger's revision and the one this version needs. Raises DatabaseError."""
    async with database.reading() as connection:
        return await connection.run_sync(_current), _head()


async def prepare(database: Database) -> None:
    """Make the ledger usable: SQLite is upgraded in place, PostgreSQL must have been upgraded by its operator.

    Raises DatabaseError.
    """
    if database.is_sqlite:
        await upgrade(database)
        return
    current, head = await revision(database)
    if current != head:
        raise DatabaseError(
            f"the ledger at {database.place} has revision {current or 'none'}, this version needs {head}",
            hint="run `avatars db upgrade`",
        )
