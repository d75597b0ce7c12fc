"""`avatars cancel` and `retry --enqueue` in this process: several ids, statuses, and one error among them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from models.clock import SystemClock
from models.errors import DatabaseError
from models.exit_codes import EXIT_BATCH_INCOMPLETE, EXIT_OK, EXIT_OPERATIONAL_ERROR, EXIT_USAGE
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


def create(reference: str, request: ProvisioningRequest, owner: LeaseOwner) -> str:
    """Record a request and return the id of its provisioning."""

    async def create_one() -> str:
        async with open_store(Settings.load(), SystemClock()) as store:
            return (await store.ledger.get_or_create(request, reference, owner))[0].id

    return asyncio.run(create_one())


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


def test_operational_error_keeps_the_results_before_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> None:
    ids = [create(f"open-{number}", provisioning_request, owner) for number in range(3)]
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON provisionings WHEN OLD.reference = 'open-1' "
            "BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
    code, documents = run_json(capsys, "cancel", *ids)
    assert code == EXIT_OPERATIONAL_ERROR
    assert [document["id"] for document in documents] == ids[:2]
    assert documents[0]["status"] == "CANCELLED"
    assert documents[1]["error"]["code"] == DatabaseError.code
    assert statuses(capsys)["open-2"] == "ACCEPTED"


@pytest.mark.parametrize("args", [["cancel"], ["cancel", "open", "unknown"], ["retry", "--enqueue"]])
def test_missing_or_unknown_id_changes_nothing(capsys: pytest.CaptureFixture[str], args: list[str]) -> None:
    before = statuses(capsys)
    code, document = run_json(capsys, *args)
    assert (code, set(document)) == (EXIT_USAGE, {"error"})
    assert statuses(capsys) == before


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["cancel", "--status", "WRONG"], "WRONG"),
        (["retry", "--status"], "--status needs a value"),
        (["retrain", "no-1"], "reason"),
        (["retrain", "no-1", "no-2", "--reason", "x"], "no-2"),
    ],
)
def test_usage_error_is_one_json_document(
    capsys: pytest.CaptureFixture[str], args: list[str], expected: str
) -> None:
    code, document = run_json(capsys, *args)
    assert (code, document["error"]["code"]) == (EXIT_USAGE, "request.invalid-arguments")
    assert expected in document["error"]["message"]


def test_status_without_provisionings_prints_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_json(capsys, "cancel", "--status", "TRAINING") == (EXIT_OK, [])
