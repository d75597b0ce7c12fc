"""Opening, migrating and failing."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from models.errors import DatabaseError
from models.provisioning import Driver
from models.request import ProvisioningRequest
from models.tables import Base
from store import migration
from store.database import Database
from store.provisionings import Ledger
from tests.fakes import FakeClock


async def test_the_migrations_are_in_step_with_the_tables(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))

    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []


async def test_upgrading_twice_does_nothing_twice(database: Database) -> None:
    await migration.upgrade(database)
    assert await migration.revision(database) == ("0005", "0005")


def test_processes_that_start_on_a_new_sqlite_file_at_once_all_find_it_ready(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from store import migration; from store.database import Database\n"
        "async def go():\n"
        "    database = Database(sys.argv[1]); await migration.prepare(database); await database.close()\n"
        "asyncio.run(go())"
    )
    url = f"sqlite+aiosqlite:///{tmp_path / 'new.db'}"
    starts = [subprocess.Popen([sys.executable, "-c", code, url], stderr=subprocess.PIPE) for _ in range(4)]
    errors = [start.communicate(timeout=60)[1].decode() for start in starts]
    assert [start.returncode for start in starts] == [0] * 4, errors


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_postgresql_without_tables_asks_for_the_upgrade(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(DatabaseError) as caught:
        await migration.prepare(database)
    assert "avatars db upgrade" in caught.value.hint
    await database.close()


async def test_sqlite_is_set_up_to_survive(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    database.make_file()
    async with database.reading() as connection:
        pragmas = {
            name: (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 30_000}
    await database.close()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite+aiosqlite:////no-such-folder/ledger.db",
        "postgresql+asyncpg://user:canary-password@127.0.0.1:1/ledger",
    ],
)
async def test_a_database_that_cannot_be_opened_is_one_clear_error_without_its_password(url: str) -> None:
    database = Database(url)
    with pytest.raises(DatabaseError, match="the ledger at") as caught:
        await migration.prepare(database)
    assert "canary" not in str(caught.value)
    assert "AVATARS_DATABASE_URL" in caught.value.hint
    await database.close()


async def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"not a database, and long enough to be read as one" * 100)
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    with pytest.raises(DatabaseError, match="not a database"):
        await migration.prepare(database)
    await database.close()


async def test_a_writer_waits_for_another_process_that_holds_the_lock(
    tmp_path: Path, request_of_ada: ProvisioningRequest, driver: Driver, clock: FakeClock
) -> None:
    path = tmp_path / "a.db"
    database = Database(f"sqlite+aiosqlite:///{path}")
    await migration.prepare(database)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    opening = asyncio.create_task(Ledger(database, clock).open(request_of_ada, "ada-1", driver))
    done, _ = await asyncio.wait([opening], timeout=0.3)
    assert not done
    other.execute("COMMIT")
    other.close()
    assert (await opening)[1]
    await database.close()


async def test_an_error_of_the_database_never_holds_the_values_of_the_statement(
    tmp_path: Path, request_of_ada: ProvisioningRequest, driver: Driver, clock: FakeClock
) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    await migration.prepare(database)
    async with database.writing() as connection:
        await connection.execute(text("DROP TABLE submissions"))
        await connection.execute(text("DROP TABLE events"))
    with pytest.raises(DatabaseError) as caught:
        await Ledger(database, clock).open(request_of_ada, "ada-1", driver)
    assert "canary" not in f"{caught.value!r} {caught.value.__context__!r}"
    await database.close()


async def test_an_error_of_the_database_never_holds_the_values_of_the_row(database: Database) -> None:
    """PostgreSQL tells the whole row in a line of its own."""
    with pytest.raises(DatabaseError, match="the ledger at") as caught:
        async with database.writing() as connection:
            await connection.execute(text("INSERT INTO provisionings (id, reference) VALUES ('x', 'canary')"))
    assert "canary" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_the_place_of_a_ledger_is_told_without_password_and_query() -> None:
    database = Database("postgresql+asyncpg://ada:canary@h/ledger?passfile=canary&host=/tmp")
    assert database.place == "postgresql+asyncpg://ada:***@h/ledger"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_nothing_is_written_into_a_file_that_was_replaced_and_the_new_one_is_taken_up(
    database: Database, tmp_path: Path, request_of_ada: ProvisioningRequest, driver: Driver, clock: FakeClock
) -> None:
    """As a restored backup is: SQLite itself writes on into the deleted file, without a word."""
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as whole:
        whole.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole.close()
    backup = shutil.copyfile(path, tmp_path / "backup.db")

    async def write_and_replace() -> None:
        async with database.writing() as connection:
            await connection.execute(text("UPDATE provisionings SET version = 2"))
            backup.replace(path)

    with pytest.raises(DatabaseError, match="replaced while in use"):
        await write_and_replace()
    ledger = Ledger(database, clock)
    assert (await ledger.open(request_of_ada, "ada-1", driver))[1]
    with sqlite3.connect(path) as new:
        assert new.execute("SELECT count(*) FROM provisionings").fetchone() == (1,)
    new.close()
