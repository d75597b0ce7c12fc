"""`avatars archive` in this process: JSON output, exit codes and the remaining events."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.main import run
from models.exit_codes import EXIT_OK, EXIT_OPERATIONAL_ERROR, EXIT_USAGE
from models.provisioning import LeaseOwner, Status
from models.request import ProvisioningRequest
from models.settings import Settings
from services.store import open_store
from tests.fakes import FakeClock


@pytest.fixture(autouse=True)
def rejected_provisioning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> None:
    """A provisioning that was rejected 100 days ago."""
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")

    async def create() -> None:
        clock = FakeClock()
        clock.time = datetime.now(UTC) - timedelta(days=100)
        async with open_store(Settings.load(), clock) as store:
            provisioning, _ = await store.ledger.get_or_create(provisioning_request, "old", owner)
            await store.ledger.transition(provisioning, owner, "rules broken", new_status=Status.REJECTED)

    asyncio.run(create())


def test_archive_after_dry_run_moves_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "old.jsonl.gz"
    assert run(["archive", "--older-than-days", "90", "--output", str(file), "--dry-run", "--json"]) == EXIT_OK
    preview = json.loads(capsys.readouterr().out)
    assert (preview["provisionings"], preview["events"], preview["file"], preview["dry_run"]) == (1, 2, None, True)
    assert not file.exists()
    assert run(["archive", "--older-than-days", "90", "--output", str(file), "--json"]) == EXIT_OK
    out = capsys.readouterr().out
    result = json.loads(out)
    assert (result["provisionings"], result["events"], result["file"], result["dry_run"]) == (
        1,
        2,
        str(file),
        False,
    )
    assert "canary" not in out
    assert run(["show", "old", "--json"]) == EXIT_OK
    document = json.loads(capsys.readouterr().out)
    assert document["status"] == "REJECTED"
    [event] = document["events"]
    assert result["sha256"] in event["message"]


def test_archive_text_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["archive", "--older-than-days", "90", "--dry-run"]) == EXIT_OK
    assert "2 events of 1 provisioning would be moved to a file" in capsys.readouterr().out
    assert run(["archive", "--older-than-days", "101", "--output", str(tmp_path / "none.jsonl")]) == EXIT_OK
    assert "no provisioning is old enough" in capsys.readouterr().out
    assert not (tmp_path / "none.jsonl").exists()
    assert run(["archive", "--older-than-days", "90", "--output", str(tmp_path / "old.jsonl")]) == EXIT_OK
    out = capsys.readouterr().out
    assert f"moved to {tmp_path / 'old.jsonl'}" in out
    assert "SHA-256" in out


def test_archive_rejects_existing_or_missing_output_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old.jsonl").write_text("kept")
    assert (
        run(["archive", "--older-than-days", "90", "--output", str(tmp_path / "old.jsonl"), "--json"]) == EXIT_USAGE
    )
    error = json.loads(capsys.readouterr().out)["error"]
    assert "never overwritten" in error["message"]
    assert (tmp_path / "old.jsonl").read_text() == "kept"
    assert run(["archive", "--older-than-days", "90", "--json"]) == EXIT_USAGE
    assert "--output FILE" in json.loads(capsys.readouterr().out)["error"]["hint"]
    assert run(["archive", "--older-than-days", "0", "--dry-run"]) == EXIT_USAGE


def test_archive_os_error_is_an_operational_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / f"{'x' * 245}.jsonl"
    assert run(["archive", "--older-than-days", "90", "--output", str(file), "--json"]) == EXIT_OPERATIONAL_ERROR
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "archive.failed"
