"""Alembic's environment: migrates the given connection or, without one, AVATARS_DATABASE_URL."""

import asyncio

from alembic import context
from sqlalchemy import Connection

from models.settings import Settings
from store.database import Database
from store.migrations.partial_indexes import SCHEMA


def _run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=SCHEMA, compare_type=True)
    context.run_migrations()


async def _run_from_settings() -> None:
    database = Database(Settings.load().avatars_database_url.get_secret_value())
    await database.write(_run)
    await database.close()


if (connection := context.config.attributes.get("connection")) is not None:
    _run(connection)
else:
    asyncio.run(_run_from_settings())
