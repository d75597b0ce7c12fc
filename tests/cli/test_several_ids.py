"""`avatars cancel` and `retry --enqueue` in this process: several ids, statuses, and one error among them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from models.clock import SystemClock
from models.exit_codes import EXIT_BATCH_INCOMPLETE, EXIT_OK, EXIT_USAGE
from models.provisioning import LeaseOwner, Status
from models.request import ProvisioningRequest
from models.settings import Settings
from services.store import open_store


@pytest.fixture(autouse=True)
def three_provisionings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> None:
    """One ACCEPTED and two REJECTED provisionings."""
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")

    async def create() -> None:
        async with open_store(Settings.load(), SystemClock()) as store:
            for reference in ("open", "no-1", "no-2"):
                opened, _ = await store.ledger.get_or_create(provisioning_request, reference, owner)
                if reference != "open":
                    await store.ledger.transition(opened, owner, "no", new_status=Status.REJECTED)

    asyncio.run(create())


def run_json(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, Any]:
    code = run([*args, "--json"])
    return code, json.loads(capsys.readouterr().out)


def statuses(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    _, documents = run_json(capsys, "list")
    return {document["reference"]: document["status"] for document in documents}


def test_retry_by_status_reopens_each_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    code, documents = run_json(capsys, "retry", "--status", "REJECTED", "--enqueue")
    assert code == EXIT_OK
    assert {(item["reference"], item["status"]) for item in documents} == {
        ("no-1", "ACCEPTED"),
        ("no-2", "ACCEPTED"),
    }
    assert set(statuses(capsys).values()) == {"ACCEPTED"}


def test_one_id_prints_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = run_json(capsys, "retry", "no-1", "--enqueue")
    assert (code, document["status"]) == (EXIT_OK, "ACCEPTED")
    assert statuses(capsys)["no-2"] == "REJECTED"


def test_error_of_one_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    code, documents = run_json(capsys, "cancel", "no-1", "open")
    assert code == EXIT_BATCH_INCOMPLETE
    assert [document.get("status") for document in documents] == [None, "CANCELLED"]
    assert documents[0]["error"]["code"] == "request.not-cancellable"
    assert f"`avatars retry {documents[0]['id']}`" in documents[0]["error"]["hint"]


@pytest.mark.parametrize("args", [["cancel"], ["cancel", "open", "unknown"], ["retry", "--enqueue"]])
def test_missing_or_unknown_id_changes_nothing(capsys: pytest.CaptureFixture[str], args: list[str]) -> None:
    before = statuses(capsys)
    code, document = run_json(capsys, *args)
    assert (code, set(document)) == (EXIT_USAGE, {"error"})
    assert statuses(capsys) == before


def test_status_without_provisionings_prints_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_json(capsys, "cancel", "--status", "TRAINING") == (EXIT_OK, [])
