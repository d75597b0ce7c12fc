"""`avatars db`: manage the ledger database."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cyclopts import App

from cli.console import print_line
from cli.terminal import stdout_console
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


@db.command
def backup(file: Path, /) -> int:
    """Copy a SQLite ledger to a new file while it is in use.

    Args:
        file: File to create.

    """

    async def run() -> str:
        database = Database(Settings.load().avatars_database_url.get_secret_value())
        try:
            await database.back_up(file)
        finally:
            await database.close()
        return database.redacted_url

    print_line(f"{asyncio.run(run())} was copied to {file} ({file.stat().st_size:,} bytes)")
    return EXIT_OK
