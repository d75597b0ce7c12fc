"""`avatars batches`, and `--batch` of the commands that select provisionings, in this process."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from cli.main import run
from models.batch_record import BatchSource
from models.errors import BatchCancelled
from models.exit_codes import EXIT_OK, EXIT_USAGE
from models.manifest.manifest import parse_rows
from models.provisioning import LeaseOwner, Status
from models.request import ProvisioningRequest
from models.settings import Settings
from services.store import open_store
from store.batches import BatchRepository
from tests.fakes import FakeClock

MONDAY, TUESDAY = str(UUID(int=1)), str(UUID(int=2))


@pytest.fixture(autouse=True)
def two_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provisioning_request: ProvisioningRequest) -> None:
    """Monday's batch with a row per status and an invalid one; Tuesday's took one of its rows and runs."""
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    url = "https://videos.example/v.mp4"
    rows = [{"name": f"row {number}", "dataset_video": url, "consent_video": url} for number in range(4)]
    monday = BatchSource(parse_rows([*rows, {}]), "week.csv", "a" * 64, "avatars batch (ada)")
    tuesday = BatchSource(parse_rows(rows[:1]), None, "b" * 64, "provision-batch")

    async def create() -> None:
        clock = FakeClock()
        async with open_store(Settings.load(), clock) as store:
            owner = batch_owner(MONDAY)
            await store.batches.begin(monday, owner)
            for reference in ("open", "no", "stopped", "shared"):
                opened, _ = await store.ledger.get_or_create(provisioning_request, reference, owner)
                if reference in {"no", "stopped"}:
                    status = Status.REJECTED if reference == "no" else Status.CANCELLED
                    await store.ledger.transition(opened, owner, "ended", new_status=status)
            await store.batches.end(owner, invalid_count=1)
            clock.advance(86_400)
            await store.batches.begin(tuesday, batch_owner(TUESDAY))
            await store.ledger.get_or_create(provisioning_request, "shared", batch_owner(TUESDAY))

    asyncio.run(create())


def batch_owner(batch_id: str) -> LeaseOwner:
    return LeaseOwner(actor="provision-batch", id=str(uuid4()), batch_id=batch_id)


def run_json(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, Any]:
    code = run([*args, "--json"])
    return code, json.loads(capsys.readouterr().out)


def references(documents: list[dict[str, Any]]) -> list[str]:
    return sorted(document["reference"] for document in documents)


def test_batches_have_manifest_caller_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    code, [tuesday, monday] = run_json(capsys, "batches")
    assert code == EXIT_OK
    assert (tuesday["id"], tuesday["manifest"], tuesday["ended_at"]) == (TUESDAY, None, None)
    assert tuesday["counts"] == {"ACCEPTED": 1}
    assert monday["counts"] == {"ACCEPTED": 1, "CANCELLED": 1, "REJECTED": 1}
    assert (monday["manifest"], monday["manifest_sha256"]) == ("week.csv", "a" * 64)
    assert (monday["rows"], monday["invalid"], monday["started_by"]) == (5, 1, "avatars batch (ada)")


def test_batches_in_a_pipe_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["batches"]) == EXIT_OK
    tuesday, monday = capsys.readouterr().out.splitlines()
    assert tuesday.startswith(f"{TUESDAY}  ")
    assert "(rows)" in tuesday
    assert tuesday.endswith("1 row: 1 ACCEPTED; not ended")
    assert monday.endswith(
        "5 rows: 1 INVALID, 1 ACCEPTED, 1 CANCELLED, 1 REJECTED, 1 taken by a later batch or not recorded"
    )


def test_printed_next_page_of_batches_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["batches", "--limit", "1"]) == EXIT_OK
    first = capsys.readouterr()
    command = re.search(r"next page: avatars (.*)", first.err)
    assert command is not None
    assert run(shlex.split(command[1])) == EXIT_OK
    second = capsys.readouterr()
    assert (first.out[:36], second.out[:36], second.err) == (TUESDAY, MONDAY, "")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--batch", MONDAY], ["no", "open", "stopped"]),
        (["--batch", TUESDAY.upper()], ["shared"]),
        (["--batch", MONDAY, "--status", "REJECTED", "--status", "READY"], ["no"]),
    ],
)
def test_list_by_batch(options: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, documents = run_json(capsys, "list", *options)
    assert (code, references(documents)) == (EXIT_OK, expected)
    assert {document["batch_id"] for document in documents} == {options[1].lower()}


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["cancel"], ["open"]),
        (["cancel", "no", "--batch", TUESDAY], ["no", "shared"]),
        (["retry", "--enqueue"], ["no"]),
        (["retry", "--enqueue", "--status", "REJECTED", "--status", "READY"], ["no"]),
    ],
)
def test_batch_selects_what_the_command_changes(
    args: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    batch = [] if "--batch" in args else ["--batch", MONDAY]
    _, documents = run_json(capsys, *args, *batch)
    keys = {document["id"] for document in documents}
    _, everything = run_json(capsys, "list")
    assert references([document for document in everything if document["id"] in keys]) == expected


def test_cancelled_batch_takes_no_further_row(
    provisioning_request: ProvisioningRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    async def take(reference: str) -> None:
        async with open_store(Settings.load(), FakeClock()) as store:
            await store.ledger.get_or_create(provisioning_request, reference, batch_owner(TUESDAY))

    assert run(["cancel", "--batch", TUESDAY.upper()]) == EXIT_OK
    assert f"batch {TUESDAY}: no further row begins" in capsys.readouterr().err
    with pytest.raises(BatchCancelled, match=TUESDAY):
        asyncio.run(take("next-row"))
    code, [tuesday, monday] = run_json(capsys, "batches")
    assert (code, tuesday["counts"], monday["cancelled_at"]) == (EXIT_OK, {"CANCELLED": 1}, None)
    assert tuesday["cancelled_at"] is not None
    assert run(["batches"]) == EXIT_OK
    assert capsys.readouterr().out.splitlines()[0].endswith("1 row: 1 CANCELLED; cancelled; not ended")


def test_cancel_takes_the_row_that_was_recorded_until_then(
    provisioning_request: ProvisioningRequest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The batch records a row after the command has read its provisionings, and before it is cancelled."""
    cancel = BatchRepository.cancel

    async def record_then_cancel(repository: BatchRepository, batch_id: str) -> None:
        async with open_store(Settings.load(), FakeClock()) as store:
            await store.ledger.get_or_create(provisioning_request, "late", batch_owner(TUESDAY))
        await cancel(repository, batch_id)

    monkeypatch.setattr(BatchRepository, "cancel", record_then_cancel)
    code, documents = run_json(capsys, "cancel", "--batch", TUESDAY)
    assert (code, references(documents)) == (EXIT_OK, ["late", "shared"])
    assert {document["status"] for document in documents} == {"CANCELLED"}


@pytest.mark.parametrize("batch", [MONDAY, TUESDAY])
def test_cancel_twice_changes_nothing_more(batch: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Monday's batch has ended. A run of it that starts again takes no row either."""
    assert run(["cancel", "--batch", batch]) == EXIT_OK
    capsys.readouterr()
    before = run_json(capsys, "batches")
    assert run_json(capsys, "cancel", "--batch", batch) == (EXIT_OK, [])
    assert run_json(capsys, "batches") == before


def test_cancel_of_some_statuses_says_that_rows_still_begin(
    provisioning_request: ProvisioningRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["cancel", "--batch", TUESDAY, "--status", "ACCEPTED"]) == EXIT_OK
    assert "rows that have not begun still begin" in capsys.readouterr().err
    assert run_json(capsys, "batches")[1][0]["cancelled_at"] is None


def test_cancel_with_an_unknown_id_leaves_the_batch(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cancel", "unknown", "--batch", TUESDAY]) == EXIT_USAGE
    capsys.readouterr()
    assert run_json(capsys, "batches")[1][0]["cancelled_at"] is None


@pytest.mark.parametrize("command", ["list", "cancel", "resume", "retry", "batches"])
@pytest.mark.parametrize("key", ["week.csv", str(UUID(int=3))])
def test_unknown_batch_is_bad_usage(command: str, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = run_json(capsys, command, "--after" if command == "batches" else "--batch", key)
    assert (code, document["error"]["code"]) == (EXIT_USAGE, "request.unknown-batch")
    assert "`avatars batches`" in document["error"]["hint"]
