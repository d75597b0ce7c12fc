"""Opening, migrating and failing of the ledger's database."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from models.errors import DatabaseError
from models.provisioning import LeaseOwner
from models.request import ProvisioningRequest
from store import migrate, postgresql_backend
from store.database import Database
from store.ledger import Ledger
from store.migrations.partial_indexes import SCHEMA
from tests.conftest import POSTGRESQL_URL
from tests.fakes import FakeClock


async def execute(database: Database, statement: str) -> None:
    await database.write(lambda connection: connection.execute(text(statement)))


async def test_migrations_match_the_tables(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), SCHEMA))

    assert await database.read(differences) == []


async def test_partial_indexes_of_the_migrations_are_those_of_the_tables(database: Database) -> None:
    """Alembic does not compare the condition of an index."""

    def read(connection: Connection) -> set[str | None]:
        option, inspector = f"{connection.dialect.name}_where", inspect(connection)
        reflected = [index for table in SCHEMA.tables for index in inspector.get_indexes(table)]
        return {index["name"] for index in reflected if index.get("dialect_options", {}).get(option) is not None}

    expected = {
        str(index.name)
        for table in SCHEMA.tables.values()
        for index in table.indexes
        if index.dialect_options["postgresql"]["where"] is not None
    }
    assert expected
    assert await database.read(read) == expected


def test_head_revision_is_the_newest_migration() -> None:
    scripts = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))
    assert scripts.get_current_head() == migrate.HEAD_REVISION


async def test_upgrading_twice_is_idempotent(database: Database) -> None:
    await migrate.upgrade(database)
    assert await migrate.schema_revisions(database) == (migrate.HEAD_REVISION, migrate.HEAD_REVISION)


async def test_ledger_of_an_unknown_revision_is_a_clear_error(database: Database) -> None:
    def set_revision(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = '0005'"))

    await database.write(set_revision)
    for prepare in (migrate.upgrade, migrate.ensure_schema):
        with pytest.raises(DatabaseError, match="revision 0005, which this version does not know"):
            await prepare(database)
    assert await migrate.schema_revisions(database) == ("0005", migrate.HEAD_REVISION)


def test_concurrent_first_starts_on_sqlite_all_succeed(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from store import migrate; from store.database import Database\n"
        "async def main():\n"
        "    database = Database(sys.argv[1]); await migrate.ensure_schema(database); await database.close()\n"
        "asyncio.run(main())"
    )
    url = f"sqlite+aiosqlite:///{tmp_path / 'new.db'}"
    processes = [subprocess.Popen([sys.executable, "-c", code, url], stderr=subprocess.PIPE) for _ in range(4)]
    errors = [process.communicate(timeout=60)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_postgresql_without_tables_requires_the_upgrade(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(DatabaseError) as caught:
        await migrate.ensure_schema(database)
    assert "avatars db upgrade" in caught.value.hint
    await database.close()


async def test_sqlite_pragmas_are_durable(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    database.create_file()
    pragmas = await database.read(
        lambda connection: {
            name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    )
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 30_000}
    await database.close()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite+aiosqlite:////no-such-folder/ledger.db",
        "postgresql+asyncpg://user:canary-password@127.0.0.1:1/ledger",
    ],
)
async def test_connection_error_hides_the_password(url: str) -> None:
    database = Database(url)
    with pytest.raises(DatabaseError, match="the ledger at") as caught:
        await migrate.ensure_schema(database)
    assert "canary" not in str(caught.value)
    assert "AVATARS_DATABASE_URL" in caught.value.hint
    await database.close()


async def test_opening_a_file_that_is_not_a_database_fails(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"not a database, and long enough to be read as one" * 100)
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    with pytest.raises(DatabaseError, match="not a database"):
        await migrate.ensure_schema(database)
    await database.close()


async def test_writer_waits_for_a_lock_of_another_process(
    tmp_path: Path, provisioning_request: ProvisioningRequest, owner: LeaseOwner, clock: FakeClock
) -> None:
    path = tmp_path / "a.db"
    database = Database(f"sqlite+aiosqlite:///{path}")
    await migrate.ensure_schema(database)
    other_connection = sqlite3.connect(path, isolation_level=None)
    other_connection.execute("BEGIN IMMEDIATE")
    creation = asyncio.create_task(Ledger(database, clock).get_or_create(provisioning_request, "ada-1", owner))
    done, _ = await asyncio.wait([creation], timeout=0.3)
    assert not done
    other_connection.execute("COMMIT")
    other_connection.close()
    assert (await creation)[1]
    await database.close()


async def test_database_error_hides_statement_parameters(
    tmp_path: Path, provisioning_request: ProvisioningRequest, owner: LeaseOwner, clock: FakeClock
) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}")
    await migrate.ensure_schema(database)
    for table in ("submissions", "events"):
        await execute(database, f"DROP TABLE {table}")
    with pytest.raises(DatabaseError) as caught:
        await Ledger(database, clock).get_or_create(provisioning_request, "ada-1", owner)
    assert "canary" not in f"{caught.value!r} {caught.value.__context__!r}"
    await database.close()


async def test_database_error_hides_row_values(database: Database) -> None:
    """PostgreSQL's message contains the whole row in its DETAIL line."""
    with pytest.raises(DatabaseError, match="the ledger at") as caught:
        await execute(database, "INSERT INTO provisionings (id, reference) VALUES ('x', 'canary')")
    assert "canary" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_redacted_url_has_no_password_and_no_query() -> None:
    database = Database("postgresql+asyncpg://ada:canary@h/ledger?passfile=canary&host=/tmp")
    assert database.redacted_url == "postgresql+asyncpg://ada:***@h/ledger"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_replaced_sqlite_file_fails_the_write_then_reopens(
    database: Database,
    tmp_path: Path,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    clock: FakeClock,
) -> None:
    """Restoring a backup replaces the file; SQLite itself would silently write on into the deleted file."""
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    backup = shutil.copyfile(path, tmp_path / "backup.db")

    def write_and_replace(connection: Connection) -> None:
        connection.execute(text("UPDATE provisionings SET version = 2"))
        backup.replace(path)

    with pytest.raises(DatabaseError, match="replaced while in use"):
        await database.write(write_and_replace)
    ledger = Ledger(database, clock)
    assert (await ledger.get_or_create(provisioning_request, "ada-1", owner))[1]
    with sqlite3.connect(path) as replacement:
        assert replacement.execute("SELECT count(*) FROM provisionings").fetchone() == (1,)
    replacement.close()


class OwnError(Exception):
    """An error of a function that has nothing to do with the database."""


@pytest.mark.parametrize("error", [OwnError(), ValueError(), TimeoutError(), OSError(28, "own")])
async def test_own_error_rolls_back_and_is_raised_as_it_is(
    database: Database, provisioning_request: ProvisioningRequest, owner: LeaseOwner, error: Exception
) -> None:
    ledger = Ledger(database, FakeClock())
    await ledger.get_or_create(provisioning_request, "ada-1", owner)

    def change_and_fail(connection: Connection) -> None:
        connection.execute(text("UPDATE provisionings SET version = 99"))
        raise error

    with pytest.raises(type(error)) as caught:
        await database.write(change_and_fail)
    assert caught.value is error
    assert (await ledger.get("ada-1")).version == 1


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_broken_postgresql_connection_is_a_database_error(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLAlchemy passes an OSError of the driver on; a function's own OSError would not be translated."""

    def break_connection(*_: object, **__: object) -> None:
        raise ConnectionResetError("the connection was reset")

    with monkeypatch.context() as broken:
        broken.setattr(database.engine.dialect, "do_execute", break_connection)
        with pytest.raises(DatabaseError, match="the connection was reset"):
            await execute(database, "SELECT 1")
    await execute(database, "SELECT 1")


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_cancelled_postgresql_write_is_rolled_back(
    database: Database, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> None:
    ledger = Ledger(database, FakeClock())
    await ledger.get_or_create(provisioning_request, "ada-1", owner)
    started = threading.Event()

    def change_slowly(connection: Connection) -> None:
        connection.execute(text("UPDATE provisionings SET version = 99"))
        started.set()
        connection.execute(text("SELECT pg_sleep(60)"))

    write = asyncio.create_task(database.write(change_slowly))
    assert await asyncio.to_thread(started.wait, 30)
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    assert (await ledger.get("ada-1")).version == 1


@pytest.mark.parametrize("operation", ["read", "write"])
async def test_functions_run_in_another_thread(database: Database, operation: str) -> None:
    """Neither a slow statement nor the decoding of many rows delays the event loop."""
    assert await getattr(database, operation)(lambda _: threading.get_ident()) != threading.get_ident()


@pytest.mark.postgres
@pytest.mark.skipif(POSTGRESQL_URL is not None, reason="stops a process of the server, which may be elsewhere")
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_close_ends_although_the_server_does_not_answer(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_backend, "CLOSE_TIMEOUT_SECONDS", 0.2)
    query = text("SELECT pg_backend_pid()")
    pid = await database.read(lambda connection: connection.execute(query).scalar_one())
    os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(30):
            await database.close()
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_lost_connection_does_not_claim_that_nothing_was_stored(database: Database) -> None:
    with pytest.raises(DatabaseError) as caught:
        await execute(database, "SELECT pg_terminate_backend(pg_backend_pid())")
    assert "look whether the change was stored" in caught.value.hint
    await execute(database, "SELECT 1")


async def test_use_after_a_fork_is_an_error(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads do not survive a fork: without the check, the first statement would wait forever."""
    with monkeypatch.context() as forked:
        forked.setattr("store.database.os.getpid", lambda: -1)
        for use in (execute(database, "SELECT 1"), database.compact([]), database.close()):
            with pytest.raises(RuntimeError, match="after a fork"):
                await use
    await execute(database, "SELECT 1")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_no_connection_creates_a_missing_sqlite_file(database: Database, tmp_path: Path) -> None:
    """The pool opens further connections on demand, also after the file was moved away."""
    path = tmp_path / "ledger.db"
    read_started, moved = threading.Event(), threading.Event()

    def read_slowly(_: Connection) -> None:
        read_started.set()
        assert moved.wait(30)

    slow_read = asyncio.create_task(database.read(read_slowly))
    assert await asyncio.to_thread(read_started.wait, 30)
    path.rename(tmp_path / "away.db")
    results: list[Any] = await asyncio.gather(
        *(execute(database, "SELECT 1") for _ in range(9)), return_exceptions=True
    )
    results += await asyncio.gather(
        *(database.read(lambda connection: connection.execute(text("SELECT 1"))) for _ in range(3)),
        return_exceptions=True,
    )
    moved.set()
    await slow_read
    assert {type(result) for result in results} == {DatabaseError}
    assert all("replaced while in use" in str(result) for result in results)
    assert not path.exists()


async def test_sqlite_file_is_created_only_explicitly(tmp_path: Path) -> None:
    path = tmp_path / "a b#%.db"
    database = Database(f"sqlite+aiosqlite:///{path}")
    with pytest.raises(DatabaseError, match="unable to open database file"):
        await migrate.schema_revisions(database)
    assert not path.exists()
    await migrate.upgrade(database)
    assert path.exists()
    await database.close()
