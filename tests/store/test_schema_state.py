"""Databases that this version cannot use as a ledger: each is one clear error, and nothing is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text

from cli.main import run
from models.errors import DatabaseError
from models.exit_codes import EXIT_OPERATIONAL_ERROR
from store import migrate
from store.database import Database

Prepare = Callable[[Database], Awaitable[None]]
LEDGER = "CREATE TABLE provisionings (id INTEGER)"
VERSIONS = "CREATE TABLE alembic_version (version_num VARCHAR(200))"
NEWER, FOREIGN, DAMAGED = "is newer than this version", "is not a ledger", "is damaged"
CASES = {
    "newer": ([LEDGER, VERSIONS, "INSERT INTO alembic_version VALUES ('newer_than_this')"], NEWER),
    "no revision": ([LEDGER, VERSIONS], DAMAGED),
    "two revisions": ([LEDGER, VERSIONS, "INSERT INTO alembic_version VALUES ('initial'), ('x')"], DAMAGED),
    "null": ([LEDGER, VERSIONS, "INSERT INTO alembic_version VALUES (NULL)"], DAMAGED),
    "empty": ([LEDGER, VERSIONS, "INSERT INTO alembic_version VALUES ('')"], DAMAGED),
    "garbage": ([LEDGER, VERSIONS, "INSERT INTO alembic_version VALUES ('a b\n[red]')"], DAMAGED),
    "long": ([LEDGER, VERSIONS, "INSERT INTO alembic_version VALUES ('" + "x" * 100 + "')"], DAMAGED),
    "other program": (["CREATE TABLE invoices (id INTEGER)"], FOREIGN),
    "other program with alembic": (
        ["CREATE TABLE flow (id INTEGER)", VERSIONS, "INSERT INTO alembic_version VALUES ('initial')"],
        FOREIGN,
    ),
    "ledger without alembic": ([LEDGER], FOREIGN),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("prepare", [migrate.upgrade, migrate.ensure_schema])
async def test_unusable_database_is_a_clear_error(database_url: str, case: str, prepare: Prepare) -> None:
    statements, message = CASES[case]
    database = Database(database_url)
    if database.is_sqlite:
        with closing(sqlite3.connect(database_url.removeprefix("sqlite+aiosqlite:///"))) as connection:
            connection.executescript(";".join(statements))
    else:
        await database.write(lambda connection: [connection.execute(text(line)) for line in statements])

    def list_tables(connection: Connection) -> list[str]:
        return sorted(inspect(connection).get_table_names())

    with pytest.raises(DatabaseError, match=message) as caught:
        await prepare(database)
    assert "nothing was changed" in caught.value.hint
    assert ("upgrade the program" in caught.value.hint) == (message == NEWER)
    tables = [line.split()[2] for line in statements if line.startswith("CREATE")]
    assert await database.read(list_tables) == sorted(tables)
    await database.close()


@pytest.mark.parametrize("leftover", [[], [VERSIONS]])
async def test_database_without_tables_becomes_a_ledger(database_url: str, leftover: list[str]) -> None:
    database = Database(database_url)
    database.create_file()
    await database.write(lambda connection: [connection.execute(text(line)) for line in leftover])
    await migrate.upgrade(database)
    assert await migrate.schema_revisions(database) == (migrate.HEAD_REVISION, migrate.HEAD_REVISION)
    await database.close()


@pytest.mark.parametrize("case", ["newer", "other program"])
@pytest.mark.parametrize("command", [["list"], ["db", "upgrade"], ["show", "ada"], ["evidence", "ada"]])
def test_commands_leave_an_unusable_file_unchanged(
    case: str,
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(";".join(CASES[case][0]))
    path.chmod(0o644)
    before = path.read_bytes()
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{path}")
    assert run(command) == EXIT_OPERATIONAL_ERROR
    assert CASES[case][1] in capsys.readouterr().err
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (before, 0o644)
    assert list(tmp_path.iterdir()) == [path]
