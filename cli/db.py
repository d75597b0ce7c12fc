"""`avatars db`: the ledger's database."""

from __future__ import annotations

import asyncio

from cyclopts import App

from cli.console import result
from models.outcomes import EXIT_OK
from models.settings import Settings
from store import migration
from store.database import Database

db = App(name="db", help="The ledger's database.")


@db.command
def upgrade() -> int:
    """Create or upgrade the ledger's tables."""

    async def upgraded() -> str | None:
        database = Database(Settings.load().avatars_database_url.get_secret_value())
        try:
            await migration.upgrade(database)
            return (await migration.revision(database))[0]
        finally:
            await database.close()

    result.print(f"the ledger is at revision {asyncio.run(upgraded())}")
    return EXIT_OK
