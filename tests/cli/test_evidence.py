"""`avatars evidence` and `avatars erase` in this process, with a ledger per test."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from cli.main import run
from models.clock import SystemClock
from models.exit_codes import EXIT_OK, EXIT_OPERATIONAL_ERROR, EXIT_USAGE
from models.privacy.erasure import ERASED_PLACEHOLDER
from models.provisioning import LeaseOwner, Provisioning
from models.request import ProvisioningRequest
from models.settings import Settings
from services.cancellation import cancel_provisioning
from services.store import open_store


@pytest.fixture
def submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> Provisioning:
    """A provisioning with one recorded submission."""
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")

    async def create() -> Provisioning:
        async with open_store(Settings.load(), SystemClock()) as store:
            opened, _ = await store.ledger.get_or_create(provisioning_request, "creator-1", owner)
            provisioning, _ = await store.ledger.begin_submission(opened, owner, "submission recorded")
            return provisioning

    return asyncio.run(create())


def test_evidence_json_is_one_document(submitted: Provisioning, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evidence", "creator-1", "--json"]) == EXIT_OK
    out = capsys.readouterr().out
    document = json.loads(out)
    assert document["id"] == submitted.id
    assert document["evidence"][0]["consent"]["identity"] == "https://videos.example/ada/consent.mp4"
    assert "canary" not in out


def test_evidence_text_output(submitted: Provisioning, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evidence", submitted.id]) == EXIT_OK
    out = capsys.readouterr().out
    assert "identity_sha256" in out
    assert "PENDING" in out
    assert not re.search(r"None|\{|\[", out)
    assert "canary" not in out


def test_erase_in_flight_is_bad_usage(submitted: Provisioning, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["erase", submitted.id, "--json"]) == EXIT_USAGE
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "request.in-flight"


@pytest.mark.parametrize("options", [["--yes"], ["--json"]])
def test_erase_reports_remaining_steps(
    options: list[str], submitted: Provisioning, owner: LeaseOwner, capsys: pytest.CaptureFixture[str]
) -> None:
    async def end() -> None:
        async with open_store(Settings.load(), SystemClock()) as store:
            other, _ = await store.ledger.get_or_create(submitted.request, "creator-2", owner)
            other = await store.ledger.transition(other, owner, "avatar known", avatar_id="a-7")
            await cancel_provisioning(store.ledger, other, owner, "a person cancelled it")

    asyncio.run(end())
    assert run(["erase", "creator-2", *options]) == EXIT_OK
    out = capsys.readouterr().out
    assert "a-7" in out
    assert "Ada" not in out
    if "--json" in options:
        assert json.loads(out)["avatar_ids"] == ["a-7"]
    assert run(["show", "creator-2", "--json"]) == EXIT_OK
    assert "Ada" not in capsys.readouterr().out


@pytest.fixture
def cancelled(submitted: Provisioning) -> Provisioning:
    """A provisioning that a Prefect run created and that has ended without a submission."""

    async def create() -> Provisioning:
        owner = LeaseOwner(actor="provision-avatar", id="1", flow_run_id="00000000-0000-4000-8000-00000000000a")
        async with open_store(Settings.load(), SystemClock()) as store:
            other, _ = await store.ledger.get_or_create(submitted.request, "creator-3", owner)
            return await cancel_provisioning(store.ledger, other, owner, "a person cancelled it")

    return asyncio.run(create())


def name_in_ledger(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run(["show", "creator-3", "--json"]) == EXIT_OK
    name: str = json.loads(capsys.readouterr().out)["name"]
    return name


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9/api"])
def test_erase_without_prefect_names_the_runs_of_the_ledger(
    url: str, cancelled: Provisioning, capsys: pytest.CaptureFixture[str]
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: url}):
        assert run(["erase", "creator-3", "--json"]) == EXIT_OK
    document = json.loads(capsys.readouterr().out)
    assert document["prefect_problem"]
    assert document["prefect_found"] is document["prefect_remaining"] is None
    assert any("00000000-0000-4000-8000-00000000000a" in step for step in document["remaining_steps"])
    assert name_in_ledger(capsys) == ERASED_PLACEHOLDER


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9/api"])
def test_erase_in_prefect_needs_prefect_before_the_ledger(
    url: str, cancelled: Provisioning, capsys: pytest.CaptureFixture[str]
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: url}):
        assert run(["erase", "creator-3", "--in-prefect", "--json"]) == EXIT_OPERATIONAL_ERROR
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "prefect.unavailable"
    assert "without --in-prefect" in error["hint"]
    assert name_in_ledger(capsys) == "Ada"
