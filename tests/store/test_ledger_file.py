"""The file of a SQLite ledger: private under any umask, and nothing but a file at its path."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from models.errors import DatabaseError
from store import migrate
from store.database import Database


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def url_of(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


def set_mode(folder: Path, mode: int) -> None:
    folder.chmod(mode)


def modes_in(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def modes_of_open_ledger(url: str, folder: Path) -> dict[str, int]:
    """Open and write the ledger, and return the modes of all files in its folder while it is open."""
    database = Database(url)
    await migrate.ensure_schema(database)
    await database.write(lambda connection: connection.execute(text("CREATE TABLE IF NOT EXISTS x (id INTEGER)")))
    modes = modes_in(folder)
    await database.close()
    return modes


async def test_new_ledger_is_private_under_any_umask(tmp_path: Path) -> None:
    modes = await modes_of_open_ledger(url_of(tmp_path / "ledger.db"), tmp_path)
    assert modes == dict.fromkeys(("ledger.db", "ledger.db-wal", "ledger.db-shm"), 0o600)


async def test_uri_form_creates_a_private_ledger_too(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///file:{tmp_path / 'ledger.db'}?mode=rwc&uri=true"
    assert set((await modes_of_open_ledger(url, tmp_path)).values()) == {0o600}


async def test_existing_ledger_is_made_private_with_a_notice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, link = tmp_path / "data/ledger.db", tmp_path / "link.db"
    path.parent.mkdir(mode=0o755)
    link.symlink_to(path)
    await modes_of_open_ledger(url_of(path), path.parent)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT count(*) FROM provisionings")  # its -wal and -shm exist while it is open
        for file in path.parent.iterdir():
            file.chmod(0o644)
        modes = await modes_of_open_ledger(url_of(link), path.parent)
    assert modes == dict.fromkeys(("ledger.db", "ledger.db-wal", "ledger.db-shm"), 0o600)
    assert f"{path} was accessible to other users: its mode is now 0600 instead of 0644" in caplog.messages
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


async def test_read_only_url_changes_and_creates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    await modes_of_open_ledger(url_of(path), tmp_path)
    path.chmod(0o644)
    database = Database(f"{url_of(path)}?mode=ro")
    await migrate.ensure_schema(database)
    with pytest.raises(DatabaseError, match="readonly"):
        await database.write(lambda connection: connection.execute(text("CREATE TABLE y (id INTEGER)")))
    await database.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    for mode in ("ro", "rw"):
        database = Database(f"{url_of(tmp_path / 'none.db')}?mode={mode}")
        with pytest.raises(DatabaseError, match="unable to open"):
            await migrate.ensure_schema(database)
        await database.close()
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        *(("pipe", "a named pipe"), ("folder", "a folder")),
        *(("/dev/null", "a device"), ("/proc/self/status", "not a stored file but one of the kernel's")),
    ],
)
async def test_ledger_must_be_a_regular_file(tmp_path: Path, kind: str, cause: str) -> None:
    path = tmp_path / "ledger.db"
    if kind.startswith("/"):
        path.symlink_to(kind)
    else:
        (os.mkfifo if kind == "pipe" else os.mkdir)(path)
    database = Database(url_of(path))
    with pytest.raises(DatabaseError, match=f"it is {cause}"):
        await migrate.ensure_schema(database)
    await database.close()


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("kind", ["a named pipe", "a folder", "a symbolic link"])
@pytest.mark.parametrize("exists", [True, False])
async def test_companion_must_be_a_regular_file(tmp_path: Path, suffix: str, kind: str, *, exists: bool) -> None:
    path, victim = tmp_path / "ledger.db", tmp_path / "victim"
    victim.write_text("not SQLite's")
    victim.chmod(0o644)
    if exists:
        await modes_of_open_ledger(url_of(path), tmp_path)
    companion = tmp_path / f"ledger.db{suffix}"
    companion.unlink(missing_ok=True)
    if kind == "a symbolic link":
        companion.symlink_to(victim)
    else:
        (os.mkfifo if kind == "a named pipe" else os.mkdir)(companion)
    database = Database(url_of(path))
    with pytest.raises(DatabaseError, match=f"ledger.db{suffix} beside it is {kind}"):
        await migrate.ensure_schema(database)
    await database.close()
    assert (victim.read_text(), modes_in(tmp_path)["victim"]) == ("not SQLite's", 0o644)


async def test_world_writable_folder_of_the_ledger_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    set_mode(tmp_path, 0o777)
    await modes_of_open_ledger(url_of(tmp_path / "ledger.db"), tmp_path)
    assert any("every user can replace the ledger" in message for message in caplog.messages)
    caplog.clear()
    set_mode(tmp_path, 0o1777)
    await modes_of_open_ledger(url_of(tmp_path / "ledger.db"), tmp_path)
    assert caplog.messages == []


async def test_default_folder_is_created_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    modes = await modes_of_open_ledger(url_of(tmp_path / ".avatars/avatars.db"), tmp_path)
    assert modes == {".avatars": 0o700}


@pytest.mark.parametrize("parameter", ["sslrootcert", "sslkey", "passfile"])
def test_named_pipe_in_a_postgresql_url_is_refused(tmp_path: Path, parameter: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DatabaseError, match=f"the file of {parameter}, .*it is a named pipe"):
        Database(f"postgresql+asyncpg://ada:canary@h/ledger?{parameter}={tmp_path / 'pipe'}")
