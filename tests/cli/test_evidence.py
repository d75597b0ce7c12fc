"""`avatars evidence` and `avatars forget`, in this process against a ledger of their own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from cli.main import run
from models.clock import SystemClock
from models.outcomes import EXIT_OK, EXIT_USAGE
from models.provisioning import Driver, Provisioning
from models.request import ProvisioningRequest
from models.settings import Settings
from tasks.cancel import cancel
from tasks.runtime import open_store


@pytest.fixture
def submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_of_ada: ProvisioningRequest, driver: Driver
) -> Provisioning:
    """A provisioning with a create that was recorded."""
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")

    async def make() -> Provisioning:
        async with open_store(Settings.load(), SystemClock()) as (ledger, _, _):
            opened, _ = await ledger.open(request_of_ada, "creator-1", driver)
            seen, _ = await ledger.begin_submission(opened, driver, "a create was recorded")
            return seen

    return asyncio.run(make())


def test_evidence_is_one_document(submitted: Provisioning, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evidence", "creator-1", "--json"]) == EXIT_OK
    out = capsys.readouterr().out
    document = json.loads(out)
    assert document["id"] == submitted.id
    assert document["evidence"][0]["consent"]["identity"] == "https://videos.example/ada/consent.mp4"
    assert "canary" not in out


def test_evidence_is_shown_to_a_person(submitted: Provisioning, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evidence", submitted.id]) == EXIT_OK
    out = capsys.readouterr().out
    assert "identity_sha256" in out
    assert "PENDING" in out
    assert "canary" not in out


def test_in_flight_nobody_is_forgotten(submitted: Provisioning, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["forget", submitted.id, "--json"]) == EXIT_USAGE
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "request.in-flight"


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_forgetting_says_what_remains(
    words: list[str], submitted: Provisioning, driver: Driver, capsys: pytest.CaptureFixture[str]
) -> None:
    async def end() -> None:
        async with open_store(Settings.load(), SystemClock()) as (ledger, _, _):
            other, _ = await ledger.open(submitted.request, "creator-2", driver)
            other = await ledger.record(other, driver, "seen before", avatar_id="a-7")
            await cancel(ledger, other, driver, "a person cancelled it")

    asyncio.run(end())
    assert run(["forget", "creator-2", *words]) == EXIT_OK
    out = capsys.readouterr().out
    assert "a-7" in out
    assert "Ada" not in out
    if words:
        assert json.loads(out)["avatar_ids"] == ["a-7"]
    assert run(["show", "creator-2", "--json"]) == EXIT_OK
    assert "Ada" not in capsys.readouterr().out
