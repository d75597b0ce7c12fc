"""Commands with a ledger that was deleted: they name the avatars, stop, and record a decision to ignore them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator
from tests.cli_process import avatars, provision_args

CREATED = "a new ledger was created at sqlite+aiosqlite:///"


@pytest.mark.usefixtures("simulated")
def test_new_ledger_is_reported_once_on_stderr(tmp_path: Path) -> None:
    first, second = (avatars("list", "--json") for _ in range(2))
    assert json.loads(first.out) == json.loads(second.out) == []
    assert f"{CREATED}{tmp_path}/ledger.db" in first.err
    assert CREATED not in second.err


@pytest.mark.system
@pytest.mark.prefect
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("prefect_api_url")
def test_deleted_ledger_stops_until_a_person_decides(
    simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path
) -> None:
    def batch(*names: str) -> tuple[str, ...]:
        manifest = tmp_path / f"{'-'.join(names)}.csv"
        with manifest.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["name", "dataset_video", "consent_video"])
            writer.writerows([name, videos.url("dataset.mp4"), videos.url("consent.mp4")] for name in names)
        return ("batch", "--allow-shared-recordings", str(manifest))

    assert avatars(*batch("Ada", "Grace")).code == 0
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"ledger.db{suffix}").unlink(missing_ok=True)
    names = {avatar["id"]: avatar["name"] for avatar in simulated.account.avatars}

    again = avatars(*batch("Hedy", "Mary"), "--json")
    assert (again.code, again.document["error"]["code"]) == (3, "account.unknown-avatars")
    assert CREATED in again.err
    assert all(avatar_id in again.err for avatar_id in names)
    single = avatars(*provision_args(videos, "Joan"), "--reference", "joan", "--json")
    assert (single.code, single.document["error"]["code"]) == (3, "account.unknown-avatars")
    [recorded] = avatars("list", "--name", "Joan", "--json").document
    assert recorded["status"] == "ACCEPTED"
    assert f"on record as {recorded['id']}" in single.err
    assert f"`avatars cancel {recorded['id']}`" in single.err
    reconciled = avatars("reconcile", "--json")
    assert (reconciled.code, reconciled.document["unknown_avatars"]) == (0, 2)
    assert all(avatar_id in reconciled.err for avatar_id in names)
    [check] = [item for item in avatars("doctor", "--json").document if item["check"] == "Avatars at Argil"]
    assert not check["ok"]
    assert all(f"{avatar_id} ({name})" in check["detail"] for avatar_id, name in names.items())
    assert "--ignore-unknown" in check["hint"]
    assert len(simulated.account.posts) == 2

    ignoring = avatars(*provision_args(videos, "Joan"), "--reference", "joan", "--ignore-unknown")
    assert ignoring.code == 0, ignoring.err
    assert len(simulated.account.posts) == 3
    assert avatars(*batch("Hedy", "Mary")).code == 0
    [check] = [item for item in avatars("doctor", "--json").document if item["check"] == "Avatars at Argil"]
    assert check["ok"]
    assert "2 unknown to this ledger are ignored, last decided by " in check["detail"]


@pytest.mark.system
@pytest.mark.prefect
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("prefect_api_url")
def test_same_manifest_recovers_a_deleted_ledger(
    simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path
) -> None:
    arguments = provision_args(videos, "Ada")
    first = avatars(*arguments, "--reference", "ada", "--json")
    assert first.code == 0
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"ledger.db{suffix}").unlink(missing_ok=True)
    again = avatars(*arguments, "--reference", "ada", "--json")
    assert again.code == 0, again.err
    assert again.document["avatar_id"] == first.document["avatar_id"]
    assert len(simulated.account.posts) == 1


@pytest.mark.system
def test_deleted_ledger_submits_nothing_while_the_list_fails(
    simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (*provision_args(videos, "Ada"), "--reference", "ada", "--json")
    assert avatars(*arguments).code == 0
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"ledger.db{suffix}").unlink(missing_ok=True)

    def fail() -> None:
        raise OSError("the account's database is down")

    with monkeypatch.context() as patch:
        patch.setattr(simulated.account, "list_avatars", fail)
        again = avatars(*arguments)
    assert (again.code, again.document["error"]["code"]) == (3, "argil.unreachable")
    assert "--ignore-unknown" in again.err
    [recorded] = avatars("list", "--json").document
    assert recorded["status"] == "ACCEPTED"
    resumed = avatars("resume", recorded["id"], "--json")
    assert (resumed.code, resumed.document["status"]) == (0, "READY")
    assert len(simulated.account.posts) == 1
