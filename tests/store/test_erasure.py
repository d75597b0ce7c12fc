"""What an erasure leaves in the files of a SQLite ledger, and in rows that arrive later."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import unicodedata
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from models.argil.webhook import WebhookDelivery
from models.batch_record import BatchSource, manifest_name
from models.provisioning import LeaseOwner, Provisioning, Status, SubmissionState
from models.reason import Reason
from models.request import ProvisioningRequest
from models.tables import extra_table, webhook_delivery_table
from services.erasure import erase_provisioning
from store import compaction, migrate
from store.archive_file import ArchiveFile
from store.batches import BatchRepository
from store.compaction import POSTGRESQL_REMAINS, compact_sqlite
from store.database import Database
from store.erasure import ERASED_TABLES, erase
from store.event_archive import EventArchive
from store.latest_page import LatestPage
from store.ledger import Ledger
from store.webhook_deliveries import WebhookDeliveryRepository
from tests.fakes import FakeClock
from tests.secret_scanner import NEEDLE, files_with_secret

PERSON = NEEDLE.decode()


@pytest.fixture
async def sqlite_ledger(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Ledger]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    await migrate.upgrade(database)
    yield Ledger(database, clock)
    await database.close()


async def ended(ledger: Ledger, owner: LeaseOwner, reference: str = "r-1") -> Provisioning:
    """Return a rejected provisioning whose every text contains the word that the scanner finds."""
    request = ProvisioningRequest(
        name=f"Ada {PERSON}",
        dataset_video=f"https://videos.example/{PERSON}/dataset.mp4",
        consent_video=f"https://videos.example/{PERSON}/consent.mp4",
        extras={"city": PERSON},
    )
    provisioning, _ = await ledger.get_or_create(request, reference, owner)
    for number in range(20):
        message = f"{number}: {PERSON} " + "x" * 500
        reasons = [Reason(code="blocked", message=message, hint=PERSON)]
        provisioning = await ledger.transition(provisioning, owner, message, reasons=reasons)
    return await ledger.transition(
        provisioning, owner, "rejected", new_status=Status.REJECTED, raw_status=f"waiting for {PERSON}"
    )


def write_without_secure_delete(file: Path) -> None:
    """Leave text in free pages, as most builds of SQLite do by default."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("CREATE TABLE scratch (body TEXT)")
        connection.executemany("INSERT INTO scratch VALUES (?)", [(PERSON * 400,)] * 50)
        connection.execute("DROP TABLE scratch")


async def test_erase_leaves_nothing_in_sqlite_files(
    sqlite_ledger: Ledger, clock: FakeClock, owner: LeaseOwner, tmp_path: Path
) -> None:
    provisioning = await ended(sqlite_ledger, owner)
    write_without_secure_delete(tmp_path / "ledger.db")
    assert "ledger.db-wal" in files_with_secret(tmp_path)
    report = await erase_provisioning(sqlite_ledger, clock, provisioning.id, owner)
    assert report.former_contents == []
    assert files_with_secret(tmp_path) == set()


@pytest.mark.parametrize(
    ("reported", "kept"), [(f"waiting for {PERSON}", "(erased)"), ("REFUSED", "REFUSED"), (None, None)]
)
async def test_only_documented_statuses_of_argil_are_kept(
    sqlite_ledger: Ledger,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    clock: FakeClock,
    tmp_path: Path,
    reported: str | None,
    kept: str | None,
) -> None:
    ledger, file = sqlite_ledger, tmp_path / "old.jsonl"
    opened, _ = await ledger.get_or_create(provisioning_request, "r-1", owner)
    await ledger.transition(opened, owner, "rejected", new_status=Status.REJECTED, raw_status=reported)
    clock.advance(timedelta(days=2).total_seconds())
    await EventArchive(ledger.database, clock).archive(clock.now() - timedelta(days=1), ArchiveFile(file))
    again, _ = await ledger.get_or_create(provisioning_request, "r-1", owner)
    again = await ledger.transition(again, owner, "again", raw_status=reported)
    await erase_provisioning(ledger, clock, "r-1", owner)
    shown = [event.raw_status for event in await ledger.list_events(again.id) if event.message == "(erased)"]
    archived = [json.loads(line)["raw_status"] for line in file.read_text().splitlines()]
    assert (await ledger.get("r-1")).raw_status == kept
    assert shown[-1] == archived[-1] == kept
    assert PERSON not in f"{shown} {archived}"


@pytest.mark.parametrize(
    "manifest",
    [
        "Zoë_Müller_2026.csv",
        "zoë-müller.xlsx",
        unicodedata.normalize("NFD", "Zoë Müller.csv"),  # as macOS completes it
        "https://lists.example/Zo%C3%AB%20M%C3%BCller.csv",
    ],
)
async def test_erase_finds_the_name_in_the_name_of_a_file(
    database: Database,
    owner: LeaseOwner,
    clock: FakeClock,
    provisioning_request: ProvisioningRequest,
    manifest: str,
) -> None:
    ledger, batches = Ledger(database, clock), BatchRepository(database, clock)
    request = provisioning_request.model_copy(update={"name": "Zoë Müller"})
    created, _ = await ledger.get_or_create(request, "r-1", owner)
    await ledger.transition(created, owner, "invalid", new_status=Status.REJECTED)
    batch = owner.model_copy(update={"batch_id": str(UUID(int=1))})
    await batches.begin(BatchSource([], manifest_name(manifest), "0" * 64, "test"), batch)
    await erase_provisioning(ledger, clock, created.id, owner)
    assert [batch.manifest for batch in await batches.list_page(9)] == ["(erased)"]


async def test_erase_removes_search_columns_and_names_of_manifests(
    database: Database, owner: LeaseOwner, clock: FakeClock
) -> None:
    ledger, batches = Ledger(database, clock), BatchRepository(database, clock)
    erased = await ended(ledger, owner)
    other, _ = await ledger.get_or_create(erased.request.model_copy(update={"name": "Eve"}), "r-2", owner)
    manifests = (
        f"for Ada {PERSON}.csv",
        f"https://lists.example/Ada {PERSON}/list.csv",
        f"Ada {PERSON}2.csv",
        None,
    )
    for number, manifest in enumerate(manifests):
        batch = owner.model_copy(update={"batch_id": str(UUID(int=number))})
        await batches.begin(BatchSource([], manifest, "0" * 64, "test"), batch)
        clock.advance(1)
    await erase_provisioning(ledger, clock, erased.id, owner)
    assert [batch.manifest for batch in await batches.list_page(9)] == [None, manifests[2], "(erased)", "(erased)"]
    for page in (LatestPage(9, name=erased.name), LatestPage(9, name="(erased)")):
        assert await ledger.list_page(page) == []
    found = await ledger.list_page(LatestPage(9, extras={"city": PERSON}))
    assert [item.id for item in found] == [other.id]
    query = select(extra_table.c.provisioning_id)
    assert await database.read(lambda connection: connection.scalars(query).all()) == [other.id]


async def test_every_ledger_connection_deletes_securely(sqlite_ledger: Ledger) -> None:
    for run in (sqlite_ledger.database.read, sqlite_ledger.database.write):
        assert await run(lambda connection: connection.exec_driver_sql("PRAGMA secure_delete").scalar_one()) == 1


async def test_blocked_checkpoint_is_reported(
    sqlite_ledger: Ledger, owner: LeaseOwner, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provisioning = await ended(sqlite_ledger, owner)
    monkeypatch.setattr(compaction, "COMPACTION_TIMEOUT_SECONDS", 0.01)
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        [place] = (await erase_provisioning(sqlite_ledger, clock, provisioning.id, owner)).former_contents
        assert "ledger.db-wal: another process is reading" in place
    again = await erase_provisioning(sqlite_ledger, clock, provisioning.id, owner)
    assert again.former_contents == []
    assert files_with_secret(tmp_path) == set()


async def test_blocked_vacuum_is_reported(
    sqlite_ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "COMPACTION_TIMEOUT_SECONDS", 0.01)
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        [place] = compact_sqlite(tmp_path / "ledger.db")
    assert "database is locked" in place


async def test_large_file_is_not_rewritten(
    sqlite_ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "MAX_VACUUM_BYTES", 1)
    file = tmp_path / "ledger.db"
    write_without_secure_delete(file)
    [place] = compact_sqlite(file)
    assert f"sqlite3 {file} VACUUM" in place
    assert files_with_secret(tmp_path) == {"ledger.db"}


def delivery(avatar_id: str, **data: object) -> WebhookDelivery:
    body = {"event": "AVATAR_TRAINING_FAILED", "data": {"avatarId": avatar_id, "avatarName": "Ada", **data}}
    parsed = WebhookDelivery.parse(json.dumps(body).encode())
    assert parsed is not None
    return parsed


async def bodies(database: Database) -> dict[str, str]:
    query = select(webhook_delivery_table.c.avatar_id, webhook_delivery_table.c.body)
    rows = await database.read(lambda connection: connection.execute(query).all())
    return {row.avatar_id: row.body for row in rows}


async def test_deliveries_of_an_erased_person_have_no_body(
    database: Database, provisioning_request: ProvisioningRequest, owner: LeaseOwner, clock: FakeClock
) -> None:
    ledger, deliveries = Ledger(database, clock), WebhookDeliveryRepository(database, clock)
    opened, _ = await ledger.get_or_create(provisioning_request, "r-1", owner)
    opened, submission = await ledger.begin_submission(opened, owner, "recorded")
    training = await ledger.resolve_submission(
        opened, owner, "created", submission, SubmissionState.CREATED, new_status=Status.TRAINING, avatar_id="a-1"
    )
    assert await ledger.record_duplicate(training, owner, submission.id, "a-2", "duplicate")
    ready = await ledger.transition(training, owner, "ready", new_status=Status.READY)
    # Argil created it for the same submission, and no list call has shown it yet.
    await deliveries.add(delivery("a-3", extras={"submission_id": submission.id}))
    await deliveries.add(delivery("b-1"))
    await erase(database, clock, ready, owner, "asked for")
    for avatar_id in ("a-1", "a-2"):
        await deliveries.add(delivery(avatar_id))
    # A former avatar of a provisioning that was trained again, or one that no list call has shown.
    await deliveries.add(delivery("a-4", extras={"submission_id": submission.id}))
    await deliveries.add(delivery("a-5", extras=json.dumps({"submission_id": submission.id})))
    await deliveries.add(delivery("b-2", extras={"submission_id": "0" * 8 + submission.id[8:]}))
    found = await bodies(database)
    assert {avatar_id for avatar_id, body in found.items() if "Ada" in body} == {"b-1", "b-2"}
    assert found.keys() == {"a-1", "a-2", "a-3", "a-4", "a-5", "b-1", "b-2"}


async def test_compaction_reports_what_a_client_cannot_remove(database: Database) -> None:
    places = await database.compact([table.name for table in ERASED_TABLES])
    assert places == ([] if database.is_sqlite else [POSTGRESQL_REMAINS])
