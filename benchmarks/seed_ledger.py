"""Seeds an empty ledger: 100 provisionings in flight, and a configurable number with a terminal status."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, insert, literal, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from models.evidence import InputEvidence
from models.provisioning import Status, SubmissionState
from models.tables import (
    UtcDateTime,
    batch_table,
    event_table,
    evidence_table,
    extra_table,
    provisioning_table,
    submission_table,
    webhook_delivery_table,
)
from store import migrate
from store.database import Database

IN_FLIGHT = {Status.ACCEPTED: 10, Status.SUBMITTING: 10, Status.TRAINING: 80}
TERMINAL = {
    Status.READY: 800,
    Status.REJECTED: 30,
    Status.TRAINING_FAILED: 20,
    Status.REFUSED: 20,
    Status.SUBMISSION_FAILED: 10,
    Status.CANCELLED: 10,
    Status.TIMED_OUT: 9,
    Status.VANISHED: 1,
}
"""Of the first 1,000 rows; all further rows are copies of these."""
BASE_ROWS = sum(IN_FLIGHT.values()) + sum(TERMINAL.values())
EVENTS = 5
"""Per provisioning: accepted, validated, submitted, created, completed."""
HISTORY = timedelta(days=365)
COPY_BATCH_SIZE = 50
"""Copies per transaction."""
_URL = "https://videos.example/creators/{}/{}.mp4?X-Amz-Signature=" + 64 * "0"
_FACTS = {
    "container": "mp4",
    "video_codec": "h264",
    "width": 1920,
    "height": 1080,
    "seconds": 91.2,
    "etag": 32 * "e",
}
_COPIED, _NOT_COPIED = "00000000", "ffffffff"
"""Id prefixes of the first 1,000 rows; each copy replaces the prefix."""
_KEYS = {"id", "provisioning_id", "submission_id", "reference", "avatar_id", "batch_id", "digest"}
_TIMES = {"occurred_at", "recorded_at", "received_at", "created_at", "updated_at", "started_at"}
NAME = "Ada Lovelace"
BATCH_ID = f"{_COPIED}{str(uuid.UUID(int=0))[8:]}"
"""The batch of the first 900 terminal provisionings; each copy has a batch of its own."""
CREATOR_ID, TEAM = "creator_id", "team"
"""Keys of the extras: the value of the first is the id of the provisioning, that of the second is `berlin`."""
_COPIED_BY = {
    provisioning_table: provisioning_table.c.id,
    submission_table: submission_table.c.provisioning_id,
    evidence_table: evidence_table.c.provisioning_id,
    event_table: event_table.c.provisioning_id,
    webhook_delivery_table: webhook_delivery_table.c.avatar_id,
    extra_table: extra_table.c.provisioning_id,
    batch_table: batch_table.c.id,
}


async def seed(url: str, rows: int) -> None:
    """Seed an empty database with at least `rows` provisionings, then checkpoint or vacuum it."""
    database = Database(url)
    try:
        await migrate.upgrade(database)
        await database.write(lambda connection: _insert_base_rows(connection, datetime.now(UTC)))
        copies = range(-(-(rows - BASE_ROWS) // sum(TERMINAL.values())))

        def copy_batch(connection: Connection, start: int) -> None:
            if database.is_sqlite:
                connection.execute(text("PRAGMA cache_size = -262144"))
            for number in copies[start : start + COPY_BATCH_SIZE]:
                _copy(connection, datetime.now(UTC) - HISTORY * (1 - number / len(copies)))

        for start in range(0, len(copies), COPY_BATCH_SIZE):
            await database.write(partial(copy_batch, start=start))
        await maintain(database)
    finally:
        await database.close()


async def maintain(database: Database) -> None:
    """Checkpoint SQLite's WAL, or vacuum PostgreSQL. Neither runs in a transaction."""
    if database.is_sqlite:
        with contextlib.closing(database.engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return
    engine = create_async_engine(database.engine.url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as autocommitting:
        await autocommitting.exec_driver_sql("VACUUM ANALYZE")
    await engine.dispose()


def _insert_base_rows(connection: Connection, now: datetime) -> None:
    statuses = [status for status, count in {**IN_FLIGHT, **TERMINAL}.items() for _ in range(count)]
    batch: dict[str, Any] = {
        "id": BATCH_ID,
        "manifest": "creators.csv",
        "manifest_sha256": 64 * "0",
        "started_by": "benchmark",
    }
    batch |= {"started_at": now, "row_count": sum(TERMINAL.values()), "invalid_count": 0}
    connection.execute(insert(batch_table), [batch])
    keyed = ((seeded_id(number, status), status) for number, status in enumerate(statuses, 1))
    insert_provisionings(connection, [seeded_row(key, status, now) for key, status in keyed], now)


def insert_provisionings(connection: Connection, provisionings: Sequence[dict[str, Any]], now: datetime) -> None:
    """Insert provisionings from `seeded_row` with their submissions, evidence, events, deliveries and extras."""
    video = InputEvidence.from_facts(_URL.format("ada", "dataset"), _FACTS).model_dump(mode="json")
    submissions = [
        {
            "id": provisioning["id"],
            "provisioning_id": provisioning["id"],
            "ordinal": 1,
            "state": SubmissionState.CREATED,
            "request_fingerprint": provisioning["request_fingerprint"],
            "avatar_id": provisioning["avatar_id"],
            "created_at": now,
            "state_changed_at": now,
        }
        for provisioning in provisionings
    ]
    evidence = [
        {
            "provisioning_id": submission["provisioning_id"],
            "submission_id": submission["id"],
            "reference": submission["provisioning_id"],
            "actor": "provision-avatar",
            "dataset": video,
            "consent": video,
            "recorded_at": now,
        }
        for submission in submissions
    ]
    events = [
        {
            "provisioning_id": provisioning["id"],
            "occurred_at": now,
            "actor": "provision-avatar",
            "to_status": provisioning["status"],
            "message": f"event {number} of {provisioning['id']}, with a message of typical length",
            "flow_run_id": provisioning["flow_run_id"],
        }
        for provisioning in provisionings
        for number in range(EVENTS)
    ]
    deliveries = [
        {
            "digest": provisioning["request_fingerprint"],
            "event": "AVATAR_TRAINING_SUCCESS",
            "avatar_id": provisioning["avatar_id"],
            "body": 300 * ".",
            "received_at": now,
        }
        for provisioning in provisionings
    ]
    extras = [
        {"provisioning_id": provisioning["id"], "key": name, "value": value, "created_at": now}
        for provisioning in provisionings
        for name, value in provisioning["request"]["extras"].items()
    ]
    for table, values in (
        (provisioning_table, provisionings),
        (extra_table, extras),
        (submission_table, submissions),
        (evidence_table, evidence),
        (event_table, events),
        (webhook_delivery_table, deliveries),
    ):
        connection.execute(insert(table), values)


def seeded_id(number: int, status: Status) -> str:
    """Return the id of one of the first 1,000 provisionings by its number, from 1."""
    return (_COPIED if status in TERMINAL else _NOT_COPIED) + str(uuid.UUID(int=number))[8:]


def seeded_row(key: str, status: Status, now: datetime) -> dict[str, Any]:
    """Return the row of a provisioning with this id; its submission has the same id."""
    return {
        "id": key,
        "version": EVENTS,
        "reference": f"{key}-creator",
        "request": {
            "name": NAME,
            "dataset_video": _URL.format(key, "dataset"),
            "consent_video": _URL.format(key, "consent"),
            "extras": {CREATOR_ID: key, TEAM: "berlin"},
        },
        "request_fingerprint": key.replace("-", "") * 2,
        "status": status,
        "avatar_id": key,
        "reasons": [],
        "retrain_count": 0,
        "submission_count": 1,
        "training_started_at": now,
        "created_at": now,
        "updated_at": now,
        "flow_run_id": str(uuid.uuid4()),
        "media_facts": {"dataset": _FACTS, "consent": _FACTS},
        "name": NAME,
        "batch_id": BATCH_ID if status in TERMINAL else None,
    }


def _copy(connection: Connection, at: datetime) -> None:
    prefix = uuid.uuid4().hex[: len(_COPIED)]
    for table, key in _COPIED_BY.items():
        has_serial_id = table in {evidence_table, event_table, webhook_delivery_table}
        columns = [column for column in table.columns if not (has_serial_id and column.name == "id")]
        values: list[ColumnElement[Any]] = []
        for column in columns:
            copied_key = literal(prefix) + func.substr(column, len(_COPIED) + 1)
            if column.name in _KEYS:
                values.append(copied_key)
            elif column is extra_table.c.value:
                values.append(case((extra_table.c.key == CREATOR_ID, copied_key), else_=column))
            elif column.name in _TIMES:
                values.append(literal(at, UtcDateTime()))
            else:
                values.append(column)
        copied_rows = select(*values).where(key >= _COPIED, key < "00000001")
        connection.execute(insert(table).from_select(columns, copied_rows))
