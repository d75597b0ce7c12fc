"""What `avatars show` and `avatars doctor` say about the budgets and the pauses, in this process."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Insert, insert

from cli.diagnostics import DiagnosticResult
from cli.ledger_diagnostics import check_ledger
from cli.main import run
from models.clock import SystemClock
from models.exit_codes import EXIT_OK
from models.limits import PauseCause, SubmissionGuard, digest_api_key
from models.provisioning import LeaseOwner, Status
from models.request import ProvisioningRequest
from models.settings import Settings
from models.spend_limits import SpendLimits
from models.tables import pause_table
from services.store import open_store

BATCH_ID = "11111111-2222-3333-4444-555555555555"
KEY, OTHER_KEY = "canary-key", "canary-other-key"


@pytest.fixture(autouse=True)
def limited_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provisioning_request: ProvisioningRequest
) -> None:
    """A batch with one submission and a row that waits; a pause of each of two API keys."""
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.setenv("ARGIL_API_KEY", KEY)
    monkeypatch.setenv("AVATARS_MAX_CREATES_PER_DAY", "3")
    monkeypatch.setenv("AVATARS_MAX_CREATES_PER_BATCH", "2")

    async def create() -> None:
        async with open_store(Settings.load(), SystemClock()) as store:
            owner = LeaseOwner(actor="provision-batch", id=str(uuid4()), batch_id=BATCH_ID)
            await store.ledger.get_or_create(provisioning_request, "waits", owner)
            created, _ = await store.ledger.get_or_create(provisioning_request, "created", owner)
            leased = await store.leases.acquire(created.id, owner, timedelta(seconds=30))
            guard = SubmissionGuard(SpendLimits(3, 2), digest_api_key(KEY))
            submitting, _ = await store.ledger.begin_submission(leased, owner, "recorded", guard)
            await store.ledger.transition(submitting, owner, "created", new_status=Status.TRAINING)
            now = SystemClock().now()
            for key, cause in ((KEY, PauseCause.PAYMENT), (OTHER_KEY, PauseCause.RATE)):
                values = {"cause": cause, "api_key_sha256": digest_api_key(key), "started_at": now}
                statement = insert(pause_table).values(**values, until=now + timedelta(minutes=10))

                def write(connection: Connection, statement: Insert = statement) -> None:
                    connection.execute(statement)

                await store.ledger.database.write(write)

    asyncio.run(create())


def shown(reference: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert run(["show", reference]) == EXIT_OK
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("  limit: ")]


def test_show_tells_what_a_waiting_provisioning_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    payment, day, batch = shown("waits", capsys)
    assert "payment: Argil asked for payment (402)" in payment
    assert "the next submission is tried after" in payment
    assert day == "  limit: 1 of AVATARS_MAX_CREATES_PER_DAY=3 submissions today (UTC), 2 left"
    assert batch == "  limit: 1 of AVATARS_MAX_CREATES_PER_BATCH=2 submissions of this batch, 1 left"


def test_show_has_no_limits_of_one_that_was_submitted(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown("created", capsys) == []


def test_json_of_show_has_the_limits(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "created", "--json"]) == EXIT_OK
    limits = json.loads(capsys.readouterr().out)["limits"]
    assert (limits["created_today"], limits["max_creates_per_day"]) == (1, 3)
    assert (limits["created_in_batch"], limits["max_creates_per_batch"]) == (1, 2)
    [pause] = limits["pauses"]
    assert (pause["cause"], pause["until"] > pause["started_at"]) == ("payment", True)


def limits_of_doctor() -> DiagnosticResult:
    async def check() -> DiagnosticResult:
        results = {result.check: result async for result in check_ledger(Settings.load())}
        return results["Limits"]

    return asyncio.run(check())


def test_doctor_names_the_pause_the_budget_and_what_waits() -> None:
    result = limits_of_doctor()
    assert (result.ok, result.hint) == (False, "top up the Argil account")
    pause, _, remedy, day, waiting = result.detail.split("; ")
    assert remedy == result.hint
    assert pause.startswith("payment: Argil asked for payment (402) at ")
    assert day == "1 of AVATARS_MAX_CREATES_PER_DAY=3 submissions today (UTC), 2 left"
    assert waiting == "waiting in ACCEPTED: 1 provisioning"


def test_doctor_without_a_key_names_the_pauses_of_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARGIL_API_KEY")
    detail = limits_of_doctor().detail
    assert "payment: " in detail
    assert "every request waits until" in detail
    assert "canary" not in detail
