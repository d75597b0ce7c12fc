"""Erases personal data from the ledger; statuses, timestamps and digests remain."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Update, case, delete, insert, or_, select, update

from models.archive import ARCHIVE_ACTOR
from models.clock import Clock
from models.errors import StaleVersion
from models.media.rules import MediaRole
from models.privacy.data_subject import DataSubject, LedgerTraces
from models.privacy.erasure import ERASED_PLACEHOLDER, KEPT_RAW_STATUSES, erased_raw_status
from models.privacy.erasure_report import ErasureReport
from models.provisioning import LeaseOwner, Provisioning, SubmissionState
from models.request import AvatarRequest
from models.tables import (
    batch_table,
    duplicate_table,
    event_table,
    evidence_table,
    extra_table,
    provisioning_table,
    quarantine_table,
    submission_table,
    unknown_avatar_table,
    voice_clone_table,
    webhook_delivery_table,
)
from store.database import Database
from store.webhook_deliveries import ERASED_BODY

ERASED_TABLES = (
    *(provisioning_table, extra_table, submission_table, event_table, quarantine_table),
    *(webhook_delivery_table, unknown_avatar_table, batch_table, voice_clone_table),
)
"""The tables whose rows an erasure changes."""


async def read_traces(database: Database, provisioning: Provisioning) -> LedgerTraces:
    """Return what the ledger records about a provisioning that identifies it elsewhere. Raises DatabaseError."""
    return await database.read(lambda connection: _read_traces(connection, provisioning))


async def erase(
    database: Database, clock: Clock, provisioning: Provisioning, owner: LeaseOwner, message: str
) -> ErasureReport:
    """Erase name, URLs, extras and every text that may contain them.

    Identities remain as digests, so the same reference and request still attach, and refused recordings
    remain in quarantine. The caller checks that the provisioning is terminal.

    Returns:
        What remains outside the ledger: avatars at Argil, Prefect runs and archives.

    Raises:
        StaleVersion: Another owner changed the provisioning since it was read.
        DatabaseError: The database failed.
    """
    now = clock.now()

    def blank(connection: Connection) -> ErasureReport:
        # Before the provisioning: a batch that takes a row locks itself first, and must not wait for this one.
        _erase_manifest_names(
            connection, DataSubject.from_ledger(provisioning, _read_traces(connection, provisioning))
        )
        if connection.execute(_erase_statement(provisioning, now)).rowcount == 0:
            raise StaleVersion(f"provisioning {provisioning.id} was changed by another owner")
        traces = _read_traces(connection, provisioning)  # with a duplicate that was recorded until now
        cloned = connection.execute(
            select(voice_clone_table.c.id, voice_clone_table.c.voice_id, voice_clone_table.c.state).where(
                voice_clone_table.c.provisioning_id == provisioning.id
            )
        ).all()
        for statement in (
            delete(extra_table).where(extra_table.c.provisioning_id == provisioning.id),
            update(event_table)
            .where(event_table.c.provisioning_id == provisioning.id, event_table.c.actor != ARCHIVE_ACTOR)
            .values(message=ERASED_PLACEHOLDER),
            update(event_table)
            .where(
                event_table.c.provisioning_id == provisioning.id,
                event_table.c.raw_status.not_in(KEPT_RAW_STATUSES),
            )
            .values(raw_status=ERASED_PLACEHOLDER),
            update(submission_table)
            .where(submission_table.c.provisioning_id == provisioning.id)
            .values(response=None),
            update(quarantine_table)
            .where(quarantine_table.c.provisioning_id == provisioning.id)
            .values(
                input_identity=ERASED_PLACEHOLDER,
                release_reason=case(
                    (quarantine_table.c.release_reason.is_not(None), ERASED_PLACEHOLDER), else_=None
                ),
            ),
            update(voice_clone_table)
            .where(voice_clone_table.c.provisioning_id == provisioning.id)
            .values(name=None, voice_id=None),
            update(webhook_delivery_table).where(_is_delivery_of(traces)).values(body=ERASED_BODY, voice_id=None),
            # The next comparison with the account would remove it, too: the ledger knows the submission.
            delete(unknown_avatar_table).where(unknown_avatar_table.c.submission_id.in_(traces.submission_ids)),
            insert(event_table).values(
                provisioning_id=provisioning.id,
                occurred_at=now,
                actor=owner.actor,
                from_status=provisioning.status,
                to_status=provisioning.status,
                message=message,
                flow_run_id=owner.flow_run_id,
            ),
        ):
            connection.execute(statement)
        return ErasureReport(
            avatar_ids=list(traces.avatar_ids),
            voice_ids=list(
                _sorted({row.voice_id for row in cloned if row.voice_id is not None}, provisioning.voice_id)
            ),
            voice_clone_ids=[
                row.id for row in cloned if row.voice_id is None and row.state != SubmissionState.NOT_CREATED
            ],
            flow_run_ids=list(traces.flow_run_ids),
            archives=list(traces.archive_messages),
        )

    return await database.write(blank)


def _erase_statement(provisioning: Provisioning, now: datetime) -> Update:
    return (
        update(provisioning_table)
        .where(provisioning_table.c.id == provisioning.id, provisioning_table.c.version == provisioning.version)
        .values(
            request=_erased_request(provisioning.request),
            reasons=[
                {"code": reason.code, "message": ERASED_PLACEHOLDER, "hint": ""} for reason in provisioning.reasons
            ],
            raw_status=erased_raw_status(provisioning.raw_status),
            avatar_snapshot=None,
            voice_id=None,
            voice_source=None,
            voice_due_at=None,
            name=None,
            version=provisioning.version + 1,
            updated_at=now,
            erased_at=now,
        )
    )


def _erased_request(request: AvatarRequest) -> dict[str, Any]:
    """Return the value of the column `request` without personal data, and with all fields of its kind."""
    recordings = dict.fromkeys(request.recording_fields.values(), "")
    others = dict.fromkeys(type(request).model_fields.keys() - {"reference"})
    return {**others, **recordings, "name": ERASED_PLACEHOLDER, "extras": {}}


def _erase_manifest_names(connection: Connection, subject: DataSubject) -> None:
    """Replace the names of manifests that contain the name of the person, for example of a list of one."""
    query = select(batch_table.c.id, batch_table.c.manifest).where(batch_table.c.manifest.is_not(None))
    query = query.order_by(batch_table.c.id)  # two erasures lock the batches in the same order
    for batch in connection.execute(query).all():
        if subject.is_mentioned(batch.manifest) or subject.is_in_file_name(batch.manifest):
            own = update(batch_table).where(batch_table.c.id == batch.id)
            connection.execute(own.values(manifest=ERASED_PLACEHOLDER))


def _read_traces(connection: Connection, provisioning: Provisioning) -> LedgerTraces:
    def values(column: ColumnElement[str], *conditions: ColumnElement[bool]) -> list[str]:
        own = column.table.c.provisioning_id == provisioning.id
        return [value for value in connection.execute(select(column).where(own, *conditions)).scalars() if value]

    evidence = connection.execute(
        select(*(evidence_table.c[role.column] for role in MediaRole)).where(
            evidence_table.c.provisioning_id == provisioning.id
        )
    )
    avatar_ids = {*values(submission_table.c.avatar_id), *values(duplicate_table.c.avatar_id)}
    flow_run_ids = set(values(event_table.c.flow_run_id))
    return LedgerTraces(
        avatar_ids=_sorted(avatar_ids, provisioning.avatar_id),
        submission_ids=_sorted(set(values(submission_table.c.id))),
        flow_run_ids=_sorted(flow_run_ids, provisioning.flow_run_id),
        request_fingerprint=connection.execute(
            select(provisioning_table.c.request_fingerprint).where(provisioning_table.c.id == provisioning.id)
        ).scalar_one(),
        recording_digests=_sorted(
            {recording["identity_sha256"] for row in evidence for recording in row if recording}
        ),
        archive_messages=tuple(values(event_table.c.message, event_table.c.actor == ARCHIVE_ACTOR)),
    )


def _sorted(values: set[str], *others: str | None) -> tuple[str, ...]:
    return tuple(sorted({*values, *(other for other in others if other)}))


def _is_delivery_of(traces: LedgerTraces) -> ColumnElement[bool]:
    """Match the deliveries about its avatars. An avatar that is not on record carries the submission id."""
    body = webhook_delivery_table.c.body
    return or_(
        webhook_delivery_table.c.avatar_id.in_(traces.avatar_ids),
        *(body.contains(submission_id) for submission_id in traces.submission_ids),
    )
