"""`avatars archive` in this process: documents, exit codes, and what is left to show."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.main import run
from models.outcomes import EXIT_OK, EXIT_OPERATOR, EXIT_USAGE
from models.provisioning import Driver, Status
from models.request import ProvisioningRequest
from models.settings import Settings
from tasks.runtime import open_store
from tests.fakes import FakeClock


@pytest.fixture(autouse=True)
def rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_of_ada: ProvisioningRequest, driver: Driver
) -> None:
    """One that was rejected a hundred days ago."""
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")

    async def make() -> None:
        clock = FakeClock()
        clock.time = datetime.now(UTC) - timedelta(days=100)
        async with open_store(Settings.load(), clock) as (ledger, _, _):
            opened, _ = await ledger.open(request_of_ada, "old", driver)
            await ledger.record(opened, driver, "rules broken", to=Status.REJECTED)

    asyncio.run(make())


def test_a_dry_run_then_the_archive_then_what_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "old.jsonl.gz"
    assert run(["archive", "--older-than", "90", "--to", str(file), "--dry-run", "--json"]) == EXIT_OK
    told = json.loads(capsys.readouterr().out)
    assert (told["provisionings"], told["events"], told["file"], told["dry_run"]) == (1, 2, None, True)
    assert not file.exists()
    assert run(["archive", "--older-than", "90", "--to", str(file), "--json"]) == EXIT_OK
    out = capsys.readouterr().out
    done = json.loads(out)
    assert (done["provisionings"], done["events"], done["file"], done["dry_run"]) == (1, 2, str(file), False)
    assert "canary" not in out
    assert run(["show", "old", "--json"]) == EXIT_OK
    shown = json.loads(capsys.readouterr().out)
    assert shown["status"] == "REJECTED"
    [left] = shown["events"]
    assert done["sha256"] in left["why"]


def test_a_person_is_told_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["archive", "--older-than", "90", "--dry-run"]) == EXIT_OK
    assert "2 events of 1 provisionings would be moved to a file" in capsys.readouterr().out
    assert run(["archive", "--older-than", "101", "--to", str(tmp_path / "none.jsonl")]) == EXIT_OK
    assert "nothing is old enough" in capsys.readouterr().out
    assert not (tmp_path / "none.jsonl").exists()
    assert run(["archive", "--older-than", "90", "--to", str(tmp_path / "old.jsonl")]) == EXIT_OK
    told = capsys.readouterr().out
    assert f"moved to {tmp_path / 'old.jsonl'}" in told
    assert "SHA-256" in told


def test_a_file_that_is_there_is_bad_usage_and_no_file_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old.jsonl").write_text("kept")
    assert run(["archive", "--older-than", "90", "--to", str(tmp_path / "old.jsonl"), "--json"]) == EXIT_USAGE
    error = json.loads(capsys.readouterr().out)["error"]
    assert "never written over" in error["message"]
    assert (tmp_path / "old.jsonl").read_text() == "kept"
    assert run(["archive", "--older-than", "90", "--json"]) == EXIT_USAGE
    assert "--to FILE" in json.loads(capsys.readouterr().out)["error"]["hint"]
    assert run(["archive", "--older-than", "0", "--dry-run"]) == EXIT_USAGE


def test_a_name_that_the_disk_refuses_is_the_operators(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / f"{'x' * 245}.jsonl"
    assert run(["archive", "--older-than", "90", "--to", str(file), "--json"]) == EXIT_OPERATOR
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "archive"
