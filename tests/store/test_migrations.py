"""The upgrade of a ledger of revision `initial`, with its rows."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, Table, insert, inspect, text

from models.errors import BatchCancelled, DatabaseError
from models.manifest.manifest import parse_rows
from models.manifest.validation import DERIVED_REFERENCE_PREFIX
from models.provisioning import LeaseOwner, Status
from models.recordings.identity import RecordingIdentity
from models.request import ProvisioningRequest, parse_request
from store import migrate
from store.batches import BatchRepository, require_running_batch
from store.database import Database
from store.ledger import Ledger
from store.quarantine import QuarantineRepository
from tests.fakes import FakeClock

NOW = FakeClock().now()
CONTENT = "c" * 64
OLD_FINGERPRINT = "0" * 64
DATASET, CONSENT = "https://videos.example/dl?id=1&X-Amz-Signature=1", "https://videos.example/consent.mp4"


def alembic_config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def request_fields(name: str = "Ada", dataset: str = DATASET, consent: str = CONSENT) -> dict[str, Any]:
    return {"name": name, "dataset_video": dataset, "consent_video": consent, "extras": {}}


def insert_rows(connection: Connection, table: str, rows: list[dict[str, Any]]) -> None:
    connection.execute(insert(Table(table, MetaData(), autoload_with=connection)), rows)


def insert_row(connection: Connection, table: str, **values: Any) -> None:
    insert_rows(connection, table, [values])


def provisioning_values(key: str, reference: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": key,
        "version": 1,
        "reference": reference,
        "request": request_fields(),
        "request_fingerprint": OLD_FINGERPRINT,
        "status": "ACCEPTED",
        "reasons": [],
        "retrain_count": 0,
        "submission_count": 0,
        "created_at": NOW,
        "updated_at": NOW,
        **changes,
    }


def insert_provisioning(connection: Connection, key: str, reference: str, **changes: Any) -> None:
    insert_row(connection, "provisionings", **provisioning_values(key, reference, **changes))


def insert_quarantined(connection: Connection, key: str, unsigned_url: str, shown: str | None = None) -> None:
    insert_row(
        connection,
        "quarantine",
        provisioning_id=key,
        input_hash=hashlib.sha256(unsigned_url.encode()).hexdigest(),
        input_identity=shown or unsigned_url,
        quarantined_at=NOW,
    )


@pytest.fixture
async def old_database(database_url: str) -> AsyncIterator[Database]:
    """A ledger of revision `initial` with provisionings and quarantined recordings."""
    database = Database(database_url)

    def create(connection: Connection) -> None:
        command.upgrade(alembic_config(connection), "initial")
        facts = {"consent": {"sha256": CONTENT, "size_bytes": 7, "etag": '"1"'}, "dataset": {"size_bytes": 8}}
        insert_provisioning(connection, "refused", "creator-9\u00a0", media_facts=facts)
        insert_quarantined(connection, "refused", "https://videos.example/dl")
        insert_quarantined(connection, "refused", CONSENT)
        insert_row(
            connection,
            "submissions",
            id="s-1",
            provisioning_id="refused",
            ordinal=1,
            state="CREATED",
            created_at=NOW,
            state_changed_at=NOW,
        )
        blank = request_fields("(erased)", "", "")
        insert_provisioning(connection, "erased", "erased-1", request=blank, erased_at=NOW)
        insert_quarantined(connection, "erased", "https://videos.example/old.mp4", "(erased)")
        same_path = request_fields(
            dataset="https://files.example/get?id=1", consent="https://files.example/get?id=2"
        )
        insert_provisioning(connection, "same-path", "same-path", request=same_path)
        insert_quarantined(connection, "same-path", "https://files.example/get")
        insert_quarantined(connection, "same-path", "https://files.example/get")
        insert_provisioning(connection, "derived", f"{DERIVED_REFERENCE_PREFIX}{OLD_FINGERPRINT[:40]}")
        extras = {"team": "berlin", "note": "a\x00b"}
        insert_provisioning(connection, "extras", "extras-1", request=request_fields("Eve") | {"extras": extras})
        insert_provisioning(connection, "taken", "creator-10")
        insert_provisioning(connection, "variant", "creator-10 ")

    await asyncio.to_thread(database.create_file)
    await database.write(create)
    await migrate.upgrade(database)
    yield database
    await database.close()


async def blocker(database: Database, url: str, **facts: object) -> str | None:
    recording = RecordingIdentity.from_facts(url, facts)
    return await QuarantineRepository(database, FakeClock()).find_provisioning_for(recording)


async def test_refusal_of_an_old_ledger_still_blocks(old_database: Database) -> None:
    for url in ("https://videos.example/dl?id=1", "https://videos.example:443/x/../dl?id=%31", CONSENT):
        assert await blocker(old_database, url) == "refused"
    assert await blocker(old_database, "https://elsewhere.example/copy.mp4", sha256=CONTENT) == "refused"


async def test_recordings_that_differ_in_the_query_are_both_blocked(old_database: Database) -> None:
    for number in (1, 2):
        assert await blocker(old_database, f"https://files.example/get?id={number}") == "same-path"
    assert await blocker(old_database, "https://files.example/get?id=3") is None


async def test_refusal_of_an_erased_person_blocks_any_query(old_database: Database) -> None:
    for url in ("https://videos.example/old.mp4", "https://videos.example/old.mp4?sig=2"):
        assert await blocker(old_database, url) == "erased"


async def test_upgrade_frees_the_other_files_of_a_path(old_database: Database) -> None:
    assert await blocker(old_database, "https://videos.example/dl?id=2") is None
    assert await blocker(old_database, "https://videos.example/dl?id=2", etag='"1"', size_bytes=7) is None


async def test_same_request_attaches_after_the_upgrade(old_database: Database, owner: LeaseOwner) -> None:
    ledger = Ledger(old_database, FakeClock())
    request = parse_request({**request_fields(dataset=f"{DATASET}2"), "reference": "creator-9"})
    attached, is_new = await ledger.get_or_create(request, "creator-9", owner)
    assert (attached.id, is_new) == ("refused", False)
    [row] = parse_rows([request_fields()])
    assert row.request is not None
    attached, is_new = await ledger.get_or_create(row.request, row.reference, owner)
    assert (attached.id, is_new) == ("derived", False)


async def test_earlier_submission_has_the_request_of_its_provisioning(old_database: Database) -> None:
    ledger = Ledger(old_database, FakeClock())
    provisioning = await ledger.get("refused")
    [submission] = await ledger.list_submissions("refused")
    assert submission.request_fingerprint == provisioning.request_fingerprint != OLD_FINGERPRINT
    assert provisioning.not_found_since is None


async def test_upgrade_keeps_references_that_would_collide(old_database: Database) -> None:
    ledger = Ledger(old_database, FakeClock())
    assert (await ledger.get("creator-10")).id == "taken"
    assert (await ledger.get("creator-10 ")).id == "variant"
    assert (await ledger.get("\u00a0creator-9\u200b")).id == "refused"


async def test_upgrade_copies_names_and_extras(old_database: Database) -> None:
    def read(connection: Connection) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
        names = connection.execute(text("SELECT id, name FROM provisionings")).all()
        extras = connection.execute(text("SELECT provisioning_id, key, value FROM extras ORDER BY key"))
        return dict(names), [tuple(row) for row in extras]

    names, extras = await old_database.read(read)
    assert (names["extras"], names["taken"]) == ("Eve", "Ada")
    assert extras == [("extras", "note", "a?b"), ("extras", "team", "berlin")]


async def test_downgrade_restores_the_tables(old_database: Database) -> None:
    def downgrade(connection: Connection) -> set[str]:
        command.downgrade(alembic_config(connection), "initial")
        return {column["name"] for column in inspect(connection).get_columns("quarantine")}

    columns = await old_database.write(downgrade)
    assert "input_hash" in columns
    assert "identity_sha256" not in columns
    count = text("SELECT count(*) FROM quarantine WHERE input_hash IS NOT NULL")
    assert await old_database.read(lambda connection: connection.scalar(count)) == 5


ODD_EXTRAS: dict[str, Any] = {
    "": "empty key",
    "null": None,
    "number": 7,
    "list": ["a", {"b": None}],
    "long": "\U0001f600" * 300,
    "k" * 300: "long key",
    "k" * 256: "the same key, cut",
    "nul\x00": "\ud800",
}
DAYS = {
    "2026-01-31": ("CREATED", "NOT_CREATED", "PENDING"),
    "2026-02-01": ("LOST",),
    "2025-12-31": ("NOT_CREATED",),
}
PAGE_OF_THE_COPY = 1000
"""Provisionings that the migration `batches` copies at a time."""
TABLES_OF_BATCHES_AND_LIMITS = {"batches", "extras", "counters", "pauses"}


SAME_MOMENT = (
    "SELECT count(*) FROM extras JOIN provisionings ON provisionings.id = provisioning_id "
    "WHERE extras.created_at = provisionings.created_at"
)


def create_rows_of_every_kind(connection: Connection) -> None:
    """Write a provisioning per status, odd requests, and submissions of several days, before both migrations."""
    command.upgrade(alembic_config(connection), "observations")
    for status in Status:
        insert_provisioning(connection, f"is-{status}", f"is-{status}", status=status)
    odd = {**request_fields("n" * 300), "extras": ODD_EXTRAS}
    insert_provisioning(connection, "odd", "odd", request=odd)
    insert_provisioning(connection, "null", "null", request={**request_fields(), "name": None, "extras": None})
    insert_provisioning(connection, "none", "none", request={"dataset_video": DATASET})
    many = [
        provisioning_values(f"many-{number}", f"many-{number}", request=request_fields(f"Eve {number}"))
        for number in range(PAGE_OF_THE_COPY)
    ]
    insert_rows(connection, "provisionings", many)
    erased = {**request_fields("(erased)", "", ""), "extras": {"team": "berlin"}}
    insert_provisioning(connection, "erased", "erased", request=erased, erased_at=NOW)
    for day, states in DAYS.items():
        for ordinal, state in enumerate(states):
            # in Berlin the next day has begun
            at = datetime.fromisoformat(f"{day}T23:59:59.999999+00:00")
            values = {"ordinal": ordinal, "state": state, "created_at": at, "state_changed_at": NOW}
            key = f"s-{day}-{ordinal}"
            insert_row(connection, "submissions", id=key, provisioning_id=f"is-{state_owner(day)}", **values)


def state_owner(day: str) -> Status:
    return list(Status)[sorted(DAYS).index(day)]


async def test_batches_and_limits_upgrade_rows_of_every_kind(database_url: str) -> None:
    database = Database(database_url)
    await asyncio.to_thread(database.create_file)
    await database.write(create_rows_of_every_kind)

    def read(connection: Connection) -> tuple[dict[str, Any], dict[str, str], dict[str, int], set[Any]]:
        names = connection.execute(text("SELECT id, name FROM provisionings")).all()
        extras = connection.execute(text("SELECT key, value FROM extras")).all()
        owners = set(connection.scalars(text("SELECT DISTINCT provisioning_id FROM extras")))
        counters = connection.execute(text("SELECT name, count FROM counters")).all()
        assert owners == {"odd"}
        assert connection.scalar(text(SAME_MOMENT)) == len(extras)
        batch_ids = set(connection.scalars(text("SELECT batch_id FROM submissions")))
        return dict(names), dict(extras), dict(counters), batch_ids

    for _ in range(2):
        await migrate.upgrade(database)
        names, extras, counters, batch_ids = await database.read(read)
        assert (names["odd"], names["null"], names["none"], names["erased"]) == ("n" * 256, "", "", None)
        assert {names[f"is-{status}"] for status in Status} == {"Ada"}
        assert {names[f"many-{number}"] for number in range(PAGE_OF_THE_COPY)} == {
            f"Eve {number}" for number in range(PAGE_OF_THE_COPY)
        }
        assert extras == {
            "": "empty key",
            "null": "",
            "number": "7",
            "list": "['a', {'b': None}]",
            "long": "\U0001f600" * 256,
            "k" * 256: "the same key, cut",
            "nul?": "?",
        }
        assert counters == {"day:2026-01-31": 2, "day:2026-02-01": 1}
        assert batch_ids == {None}
        await database.write(lambda connection: command.downgrade(alembic_config(connection), "observations"))
        tables = await database.read(lambda connection: set(inspect(connection).get_table_names()))
        assert not tables & TABLES_OF_BATCHES_AND_LIMITS
    count = text("SELECT count(*) FROM provisionings")
    assert await database.read(lambda connection: connection.scalar(count)) == len(Status) + 4 + PAGE_OF_THE_COPY
    await database.close()


async def test_existing_requests_are_video_requests_after_the_upgrade(old_database: Database) -> None:
    def read(connection: Connection) -> set[str]:
        return set(connection.scalars(text("SELECT kind FROM provisionings")))

    assert await old_database.read(read) == {"video"}
    provisionings = await Ledger(old_database, FakeClock()).list_latest(None, 100)
    assert {type(provisioning.request) for provisioning in provisionings} == {ProvisioningRequest}


async def test_existing_batches_are_not_cancelled_by_the_upgrade(database_url: str, owner: LeaseOwner) -> None:
    database, clock, batch_id = Database(database_url), FakeClock(), str(UUID(int=1))
    await asyncio.to_thread(database.create_file)

    def create(connection: Connection) -> None:
        command.upgrade(alembic_config(connection), "kinds")
        values = {"manifest_sha256": CONTENT, "started_by": "test", "started_at": NOW}
        insert_row(connection, "batches", id=batch_id, row_count=1, invalid_count=0, **values)

    await database.write(create)
    await migrate.upgrade(database)
    batches = BatchRepository(database, clock)
    assert (await batches.get(batch_id)).cancelled_at is None
    run = owner.model_copy(update={"batch_id": batch_id})
    await database.write(lambda connection: require_running_batch(connection, run))
    await batches.cancel(batch_id)
    with pytest.raises(BatchCancelled):
        await database.write(lambda connection: require_running_batch(connection, run))
    await database.write(lambda connection: command.downgrade(alembic_config(connection), "kinds"))
    columns = await database.read(lambda connection: inspect(connection).get_columns("batches"))
    assert "cancelled_at" not in {column["name"] for column in columns}
    await database.close()


async def test_shared_voices_upgrade_keeps_each_voice_and_its_owner(database_url: str) -> None:
    """Afterwards only image requests that name a voice may share it, also with one from before the upgrade."""
    database = Database(database_url)
    await asyncio.to_thread(database.create_file)
    voices = {
        "webhook": ("video", "v-1", "webhook"),
        "matched": ("video", "v-2", "matched"),
        "named": ("image", "v-3", "given"),
        "none": ("image", None, None),
    }

    def values(key: str, kind: str, voice_id: str | None, source: str | None) -> dict[str, Any]:
        voice = {"kind": kind, "voice_id": voice_id, "voice_source": source}
        return provisioning_values(key, key, status="READY", **voice)

    def create(connection: Connection) -> None:
        command.upgrade(alembic_config(connection), "voice_clones")
        insert_rows(connection, "provisionings", [values(key, *voice) for key, voice in voices.items()])
        clone = {"sample_sha256": CONTENT, "state": "CREATED", "created_at": NOW, "state_changed_at": NOW}
        insert_row(connection, "voice_clones", id=str(UUID(int=1)), provisioning_id="none", **clone)

    def read(connection: Connection) -> dict[str, Any]:
        rows = connection.execute(text("SELECT id, kind, voice_id, voice_source FROM provisionings"))
        return {key: tuple(voice) for key, *voice in rows}

    def add(key: str, *voice: str) -> Awaitable[None]:
        return database.write(lambda connection: insert_row(connection, "provisionings", **values(key, *voice)))

    await database.write(create)
    for _ in range(2):
        await migrate.upgrade(database)
        assert await database.read(read) == voices
        await add("shares", "image", "v-3", "given")
        for voice_id in ("v-1", "v-2"):
            with pytest.raises(DatabaseError, match=r"(?i)unique"):
                await add("another", "video", voice_id, "given")
        await database.write(
            lambda connection: connection.execute(text("DELETE FROM provisionings WHERE id = 'shares'"))
        )
        await database.write(lambda connection: command.downgrade(alembic_config(connection), "voice_clones"))
        with pytest.raises(DatabaseError, match=r"(?i)unique"):
            await add("shares", "image", "v-3", "given")
    count = text("SELECT count(*) FROM voice_clones")
    assert await database.read(lambda connection: connection.scalar(count)) == 1
    await database.close()
