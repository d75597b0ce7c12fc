"""Fills an empty ledger with a history: a hundred in flight, and as many that have ended as are asked for."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, insert, literal, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.evidence import InputEvidence
from models.provisioning import Status, SubmissionState
from models.tables import (
    DeliveryRow,
    EventRow,
    EvidenceRow,
    ProvisioningRow,
    SubmissionRow,
    UtcDateTime,
)
from store import migration
from store.database import Database

IN_FLIGHT = {Status.ACCEPTED: 10, Status.SUBMITTING: 10, Status.TRAINING: 80}
ENDED = {
    Status.READY: 800,
    Status.REJECTED: 30,
    Status.TRAINING_FAILED: 20,
    Status.REFUSED: 20,
    Status.SUBMISSION_FAILED: 10,
    Status.CANCELLED: 10,
    Status.TIMED_OUT: 9,
    Status.VANISHED: 1,
}
"""Of the first thousand; the others are copies of those that have ended."""
FIRST = sum(IN_FLIGHT.values()) + sum(ENDED.values())
EVENTS = 5
"""Of each provisioning: recorded, checked, submitted, created, ended."""
HISTORY = timedelta(days=365)
KEPT_TOGETHER = 50
"""Copies a transaction."""
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
"""With these the ids of the first thousand begin; each copy has others in their place."""
_KEYS = {"id", "provisioning_id", "submission_id", "reference", "avatar_id", "digest"}
_COPIED_BY = {
    ProvisioningRow: ProvisioningRow.id,
    SubmissionRow: SubmissionRow.provisioning_id,
    EvidenceRow: EvidenceRow.provisioning_id,
    EventRow: EventRow.provisioning_id,
    DeliveryRow: DeliveryRow.avatar_id,
}


async def fill(url: str, rows: int) -> None:
    """Bring an empty database to at least `rows` provisionings, as it stands once its own upkeep is done."""
    database = Database(url)
    try:
        await migration.upgrade(database)
        async with database.writing() as connection:
            await _first(connection, datetime.now(UTC))
        copies = range(-(-(rows - FIRST) // sum(ENDED.values())))
        for start in range(0, len(copies), KEPT_TOGETHER):
            async with database.writing() as connection:
                if database.is_sqlite:
                    await connection.execute(text("PRAGMA cache_size = -262144"))
                for number in copies[start : start + KEPT_TOGETHER]:
                    await _copy(connection, datetime.now(UTC) - HISTORY * (1 - number / len(copies)))
        upkeep = "PRAGMA wal_checkpoint(TRUNCATE)" if database.is_sqlite else "VACUUM ANALYZE"
        async with database.engine.connect() as connection:
            if not database.is_sqlite:  # there nothing but a write begins a transaction
                await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.exec_driver_sql(upkeep)
    finally:
        await database.close()


async def _first(connection: AsyncConnection, now: datetime) -> None:
    statuses = [status for status, count in {**IN_FLIGHT, **ENDED}.items() for _ in range(count)]
    provisionings = [_provisioning(status, now) for status in statuses]
    video = InputEvidence.of(_URL.format("ada", "dataset"), _FACTS).model_dump(mode="json")
    submissions = [
        {
            "id": one["id"],
            "provisioning_id": one["id"],
            "ordinal": 1,
            "state": SubmissionState.TAKEN,
            "avatar_id": one["avatar_id"],
            "created_at": now,
            "state_at": now,
        }
        for one in provisionings
    ]
    evidence = [
        {
            "provisioning_id": one["provisioning_id"],
            "submission_id": one["id"],
            "reference": one["provisioning_id"],
            "actor": "provision-avatar",
            "dataset": video,
            "consent": video,
            "at": now,
        }
        for one in submissions
    ]
    events = [
        {
            "provisioning_id": one["id"],
            "at": now,
            "actor": "provision-avatar",
            "to_status": one["status"],
            "why": f"event {number} of {one['id']}, in as many words as such an event has",
            "flow_run_id": one["flow_run_id"],
        }
        for one in provisionings
        for number in range(EVENTS)
    ]
    deliveries = [
        {
            "digest": one["request_identity"],
            "event": "AVATAR_TRAINING_SUCCESS",
            "avatar_id": one["avatar_id"],
            "body": 300 * ".",
            "at": now,
        }
        for one in provisionings
    ]
    for table, values in (
        (ProvisioningRow, provisionings),
        (SubmissionRow, submissions),
        (EvidenceRow, evidence),
        (EventRow, events),
        (DeliveryRow, deliveries),
    ):
        await connection.execute(insert(table), values)


def _provisioning(status: Status, now: datetime) -> dict[str, Any]:
    key = (_COPIED if status in ENDED else _NOT_COPIED) + str(uuid.uuid4())[8:]
    return {
        "id": key,
        "version": EVENTS,
        "reference": f"{key}-creator",
        "request": {
            "name": f"Ada {key}",
            "dataset_video": _URL.format(key, "dataset"),
            "consent_video": _URL.format(key, "consent"),
            "extras": {"creator_id": key},
        },
        "request_identity": key.replace("-", "") * 2,
        "status": status,
        "avatar_id": key,
        "reasons": [],
        "retrains": 0,
        "submissions": 1,
        "training_since": now,
        "created_at": now,
        "updated_at": now,
        "flow_run_id": str(uuid.uuid4()),
        "media": {"dataset": _FACTS, "consent": _FACTS},
    }


async def _copy(connection: AsyncConnection, at: datetime) -> None:
    prefix = uuid.uuid4().hex[: len(_COPIED)]
    for table, key in _COPIED_BY.items():
        numbered = table in {EvidenceRow, EventRow, DeliveryRow}
        columns = [column for column in table.__table__.columns if not (numbered and column.name == "id")]
        values: list[ColumnElement[Any]] = []
        for column in columns:
            if column.name in _KEYS:
                values.append(literal(prefix) + func.substr(column, len(_COPIED) + 1))
            elif column.name in {"at", "created_at", "updated_at"}:
                values.append(literal(at, UtcDateTime()))
            else:
                values.append(column)
        those = select(*values).where(key >= _COPIED, key < "00000001")
        await connection.execute(insert(table).from_select(columns, those))
