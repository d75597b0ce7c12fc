"""Alembic's environment: migrates the given connection or, without one, AVATARS_DATABASE_URL."""

import asyncio

from alembic import context
from sqlalchemy import Connection

from models.settings import Settings
from models.tables import Base
from store.database import Database


def _run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
    context.run_migrations()


async def _run_from_settings() -> None:
    database = Database(Settings.load().avatars_database_url.get_secret_value())
    await database.write(_run)
    await database.close()


if (connection := context.config.attributes.get("connection")) is not None:
    _run(connection)
else:
    asyncio.run(_run_from_settings())
