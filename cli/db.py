"""`avatars db`: manage the ledger database."""

from __future__ import annotations

import asyncio

from cyclopts import App

from cli.console import stdout_console
from models.exit_codes import EXIT_OK
from models.settings import Settings
from store import migrate
from store.database import Database

db = App(name="db", help="Manage the ledger database.")


@db.command
def upgrade() -> int:
    """Create or upgrade the tables of the ledger."""

    async def run() -> str | None:
        database = Database(Settings.load().avatars_database_url.get_secret_value())
        try:
            await migrate.upgrade(database)
            return (await migrate.schema_revisions(database))[0]
        finally:
            await database.close()

    stdout_console.print(f"the ledger is at revision {asyncio.run(run())}")
    return EXIT_OK
