"""Backups of a ledger in use: complete, private, never over another file, and restorable."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from models.errors import DatabaseError, InvalidRequest
from models.provisioning import LeaseOwner
from models.request import ProvisioningRequest
from store import migrate
from store.database import Database
from store.ledger import Ledger
from tests.fakes import FakeClock


def url_of(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
def ledger_path(tmp_path: Path, empty_ledger: Path) -> Path:
    path = tmp_path / "ledger.db"
    shutil.copyfile(empty_ledger, path)
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def damage_pages(path: Path) -> None:
    """Overwrite all but the first three pages, which hold the schema."""
    data = path.read_bytes()
    path.write_bytes(data[: 3 * 4096].ljust(len(data), b"\xff"))


async def create(database: Database, request: ProvisioningRequest, owner: LeaseOwner, reference: str) -> None:
    request = request.model_copy(update={"reference": reference})
    await Ledger(database, FakeClock()).get_or_create(request, reference, owner)


async def list_references(path: Path) -> list[str]:
    database = Database(url_of(path))
    await migrate.ensure_schema(database)
    try:
        return [item.reference for item in await Ledger(database, FakeClock()).list_latest(None, 10)]
    finally:
        await database.close()


async def test_backup_holds_rows_of_the_write_ahead_log(
    ledger_path: Path,
    tmp_path: Path,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    clock: FakeClock,
) -> None:
    backup, copy = tmp_path / "backup.db", tmp_path / "copy.db"
    database = Database(url_of(ledger_path))
    await create(database, provisioning_request, owner, "ada")
    await database.back_up(backup)
    shutil.copyfile(ledger_path, copy)
    await create(database, provisioning_request, owner, "later")
    await database.close()
    assert await list_references(copy) == []  # what the backup is for
    assert await list_references(backup) == ["ada"]
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert names_in(tmp_path) == ["backup.db", "copy.db", "ledger.db"]


async def test_writer_is_not_blocked_by_a_backup(
    ledger_path: Path,
    tmp_path: Path,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    clock: FakeClock,
) -> None:
    database = Database(url_of(ledger_path))
    await create(database, provisioning_request, owner, "ada")
    with closing(sqlite3.connect(ledger_path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")  # an open transaction of another process
        writer.execute("UPDATE provisionings SET reference = 'uncommitted'")
        await database.back_up(tmp_path / "backup.db")
        writer.execute("COMMIT")
    await database.close()
    assert await list_references(tmp_path / "backup.db") == ["ada"]


@pytest.mark.parametrize("kind", ["file", "dangling-link", "folder", "missing-folder"])
async def test_backup_never_replaces_anything(ledger_path: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "backup.db"
    if kind == "file":
        path.write_text("precious")
    elif kind == "dangling-link":
        path.symlink_to(tmp_path / "elsewhere.db")
    elif kind == "folder":
        path.mkdir()
    else:
        path = tmp_path / "missing" / "backup.db"
    before = names_in(tmp_path)
    database = Database(url_of(ledger_path))
    with pytest.raises(InvalidRequest, match=r"backup\.db"):
        await database.back_up(path)
    await database.close()
    assert names_in(tmp_path) == before


async def test_backup_of_no_ledger_creates_nothing(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE another_program (id INTEGER)")
    for path, message in ((other, "is not a ledger"), (tmp_path / "missing.db", "unable to open")):
        database = Database(url_of(path))
        with pytest.raises(DatabaseError, match=message):
            await database.back_up(tmp_path / "backup.db")
        await database.close()
    assert names_in(tmp_path) == ["other.db"]


async def test_damaged_ledger_leaves_no_backup(ledger_path: Path, tmp_path: Path) -> None:
    damage_pages(ledger_path)
    database = Database(url_of(ledger_path))
    with pytest.raises(DatabaseError, match="malformed"):
        await database.back_up(tmp_path / "backup.db")
    await database.close()
    assert names_in(tmp_path) == ["ledger.db"]


async def test_backup_of_postgresql_names_pg_dump() -> None:
    database = Database("postgresql+asyncpg://user:canary-password@127.0.0.1:1/ledger")
    with pytest.raises(InvalidRequest, match="is not a SQLite file") as error:
        await database.back_up(Path("backup.db"))
    await database.close()
    assert "pg_dump" in error.value.hint
    assert "canary" not in str(error.value)
