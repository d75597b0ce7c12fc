"""The ledger: the source of truth for every provisioning.

Each write is one transaction: a compare-and-set on `version`, the change, and the event that records it. A
writer that has read an older version changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack, cast

from sqlalchemy import Connection, Row, bindparam, false, insert, select, update

from models.errors import (
    InvalidTransition,
    ProvisioningErased,
    ReferenceConflict,
    ReferenceIsId,
    StaleVersion,
)
from models.provisioning import (
    TRANSITIONS,
    LeaseOwner,
    Provisioning,
    Status,
    Submission,
    SubmissionState,
    parse_provisioning_id,
)
from models.reason import Reason
from models.redaction import redact, redact_json, redact_stored
from models.request import ProvisioningRequest
from models.tables import duplicate_table, event_table, provisioning_table, submission_table
from store import mappers
from store.evidence import INSERT_EVIDENCE, evidence_values
from store.ledger_reader import LedgerReader
from store.upsert import insert_or_ignore

MAX_TEXT = 256

# Built once, from tables and bind parameters, because building a statement costs more than running it.
_BY_REFERENCE = select(provisioning_table).where(provisioning_table.c.reference == bindparam("reference_"))
_HAS_ID = select(provisioning_table.c.id).where(provisioning_table.c.id == bindparam("id_"))
_UPDATE_REQUEST = (
    update(provisioning_table)
    .where(
        provisioning_table.c.reference == bindparam("reference_"),
        provisioning_table.c.request_fingerprint == bindparam("fingerprint"),
        provisioning_table.c.status == Status.ACCEPTED,
    )
    .values(request=bindparam("new_request", type_=provisioning_table.c.request.type))
)
_COMPARE_AND_SET = (
    update(provisioning_table)
    .where(
        provisioning_table.c.id == bindparam("expected_id"),
        provisioning_table.c.version == bindparam("expected_version"),
    )
    .returning(*provisioning_table.c)
)
_INSERT_EVENT = insert(event_table)
_INSERT_SUBMISSION = insert(submission_table).returning(*submission_table.c)
_UPDATE_SUBMISSION = update(submission_table).where(submission_table.c.id == bindparam("submission_id"))


class TrainingChanges(TypedDict, total=False):
    """Columns that the resolution of a submission may set in addition to the status."""

    training_started_at: datetime | None
    avatar_snapshot: dict[str, Any] | None
    media_facts: dict[str, Any] | None
    retrain_count: int
    submission_count: int


class ProvisioningChanges(TrainingChanges, total=False):
    """Columns that a transition may set in addition to the status."""

    avatar_id: str | None


class Ledger(LedgerReader):
    """Reads and writes provisionings. Every method raises DatabaseError if the database fails."""

    async def get_or_create(
        self, request: ProvisioningRequest, reference: str, owner: LeaseOwner
    ) -> tuple[Provisioning, bool]:
        """Record the request, or attach to the existing provisioning with this reference.

        If that is still ACCEPTED, its URLs are replaced by the given ones, because earlier signatures may
        have expired.

        Returns:
            The provisioning, and whether it is new.

        Raises:
            ReferenceConflict: The reference belongs to another request.
            ReferenceIsId: The reference is new, and is the id of another provisioning in any form.
        """
        provisioning_id, same_id = str(uuid.uuid4()), parse_provisioning_id(reference)
        now = self._clock.now()
        request_values = request.model_dump(exclude={"reference"})
        values = {
            "id": provisioning_id,
            "version": 1,
            "reference": reference,
            "request": request_values,
            "request_fingerprint": request.fingerprint,
            "status": Status.ACCEPTED,
            "reasons": [],
            "retrain_count": 0,
            "submission_count": 0,
            "created_at": now,
            "updated_at": now,
            "flow_run_id": owner.flow_run_id,
        }
        statement = insert_or_ignore(provisioning_table, is_sqlite=self.database.is_sqlite)
        update_values = {
            "reference_": reference,
            "fingerprint": request.fingerprint,
            "new_request": request_values,
        }

        def get_or_insert(connection: Connection) -> tuple[Row[Any], bool]:
            inserted = connection.execute(statement, values).one_or_none()
            if inserted is not None:
                if same_id is not None and connection.execute(_HAS_ID, {"id_": same_id}).first() is not None:
                    raise ReferenceIsId(reference, same_id)
                self._append_event(
                    connection, provisioning_id, None, Status.ACCEPTED, owner, "the request was recorded"
                )
                return inserted, True
            connection.execute(_UPDATE_REQUEST, update_values)
            return connection.execute(_BY_REFERENCE, {"reference_": reference}).one(), False

        row, is_new = await self.database.write(get_or_insert)
        if row.request_fingerprint != request.fingerprint:
            raise ReferenceConflict(reference, row.id)
        return mappers.to_provisioning(row), is_new

    async def transition(
        self,
        provisioning: Provisioning,
        owner: LeaseOwner,
        message: str,
        *,
        new_status: Status | None = None,
        raw_status: str | None = None,
        reasons: Sequence[Reason] | None = None,
        **changes: Unpack[ProvisioningChanges],
    ) -> Provisioning:
        """Change the status or, without `new_status`, record something in the current status.

        Args:
            provisioning: The provisioning as it was read.
            owner: The writer, recorded in the event.
            message: The event's message.
            new_status: The status to change to.
            raw_status: Argil's status, as reported.
            reasons: Replaces the reasons, if given.
            **changes: Further columns to set.

        Returns:
            The provisioning after the change.

        Raises:
            InvalidTransition: TRANSITIONS does not allow the change.
            ProvisioningErased: The provisioning was erased.
            StaleVersion: Another owner changed the provisioning since it was read; nothing was written.
        """
        message, redacted = redact(message), _redact_changes(changes)
        return await self.database.write(
            lambda connection: self._transition(
                connection,
                provisioning,
                owner,
                message,
                new_status=new_status,
                raw_status=raw_status,
                reasons=reasons,
                **redacted,
            )
        )

    async def touch(self, provisioning: Provisioning) -> Provisioning:
        """Set `updated_at` without an event, when nothing else has changed. Raises StaleVersion."""
        values = {
            "expected_id": provisioning.id,
            "expected_version": provisioning.version,
            "status": provisioning.status,
            "version": provisioning.version + 1,
            "updated_at": self._clock.now(),
        }
        return await self.database.write(lambda connection: _compare_and_set(connection, provisioning, values))

    async def begin_submission(
        self, provisioning: Provisioning, owner: LeaseOwner, message: str
    ) -> tuple[Provisioning, Submission]:
        """Record a submission and its evidence before the POST is sent. Raises the errors of `transition`."""
        submission_id = str(uuid.uuid4())
        now = self._clock.now()
        values = {
            "id": submission_id,
            "provisioning_id": provisioning.id,
            "ordinal": provisioning.submission_count + 1,
            "state": SubmissionState.PENDING,
            "created_at": now,
            "state_changed_at": now,
        }

        def record(connection: Connection) -> tuple[Provisioning, Submission]:
            submitting = self._transition(
                connection,
                provisioning,
                owner,
                message,
                new_status=Status.SUBMITTING,
                submission_id=submission_id,
                reasons=[],
                submission_count=provisioning.submission_count + 1,
                avatar_id=None,
                training_started_at=None,
            )
            row = connection.execute(_INSERT_SUBMISSION, values).one()
            connection.execute(INSERT_EVIDENCE, evidence_values(provisioning, submission_id, owner, now))
            return submitting, mappers.to_submission(row)

        return await self.database.write(record)

    async def resolve_submission(
        self,
        provisioning: Provisioning,
        owner: LeaseOwner,
        message: str,
        submission: Submission,
        state: SubmissionState,
        *,
        new_status: Status | None = None,
        raw_status: str | None = None,
        reasons: Sequence[Reason] | None = None,
        http_status: int | None = None,
        response: dict[str, Any] | None = None,
        avatar_id: str | None = None,
        **changes: Unpack[TrainingChanges],
    ) -> Provisioning:
        """Record the outcome of a submission and the resulting transition in one transaction.

        Raises the errors of `transition`.
        """
        message, transition_changes = redact(message), _redact_changes(cast("ProvisioningChanges", dict(changes)))
        if avatar_id is not None:
            transition_changes["avatar_id"] = avatar_id
        resolution = {
            "submission_id": submission.id,
            "state": state,
            "http_status": http_status,
            "response": redact_json(response),
            "avatar_id": avatar_id,
            "state_changed_at": self._clock.now(),
        }

        def record(connection: Connection) -> Provisioning:
            resolved = self._transition(
                connection,
                provisioning,
                owner,
                message,
                new_status=new_status,
                raw_status=raw_status,
                reasons=reasons,
                submission_id=submission.id,
                **transition_changes,
            )
            connection.execute(_UPDATE_SUBMISSION, resolution)
            return resolved

        return await self.database.write(record)

    async def record_duplicate(
        self, provisioning: Provisioning, owner: LeaseOwner, submission_id: str, avatar_id: str, message: str
    ) -> bool:
        """Record another avatar that Argil created for a provisioning; return whether it is new.

        The provisioning itself does not change, so its lease owner's next write does not fail.
        """
        values = {
            "avatar_id": avatar_id,
            "provisioning_id": provisioning.id,
            "submission_id": submission_id,
            "detected_at": self._clock.now(),
        }
        statement = insert_or_ignore(duplicate_table, is_sqlite=self.database.is_sqlite)
        status_query = (
            select(provisioning_table.c.status).where(provisioning_table.c.id == provisioning.id).with_for_update()
        )

        def record(connection: Connection) -> bool:
            is_new = connection.execute(statement, values).one_or_none() is not None
            if is_new:
                status = Status(connection.execute(status_query).scalar_one())
                self._append_event(connection, provisioning.id, status, status, owner, message, None, submission_id)
            return is_new

        return await self.database.write(record)

    async def check_writable(self) -> None:
        """Begin and commit a write that changes nothing. Raises DatabaseError if the ledger is read-only."""
        statement = update(provisioning_table).where(false()).values(version=0)
        await self.database.write(lambda connection: connection.execute(statement))

    def _transition(
        self,
        connection: Connection,
        provisioning: Provisioning,
        owner: LeaseOwner,
        message: str,
        *,
        new_status: Status | None = None,
        raw_status: str | None = None,
        reasons: Sequence[Reason] | None = None,
        submission_id: str | None = None,
        **changes: Unpack[ProvisioningChanges],
    ) -> Provisioning:
        status = new_status or provisioning.status
        if provisioning.erased_at is not None:
            raise ProvisioningErased(provisioning.id)
        if new_status is not None and new_status not in TRANSITIONS[provisioning.status]:
            raise InvalidTransition(
                f"provisioning {provisioning.id}: cannot change from {provisioning.status} to {new_status}"
            )
        values: dict[str, Any] = {
            "expected_id": provisioning.id,
            "expected_version": provisioning.version,
            "status": status,
            "version": provisioning.version + 1,
            "updated_at": self._clock.now(),
            **changes,
        }
        if reasons is not None:
            values["reasons"] = [reason.model_dump() for reason in reasons]
        if raw_status is not None:
            raw_status = values["raw_status"] = _sanitize_status(raw_status)
        changed = _compare_and_set(connection, provisioning, values)
        self._append_event(
            connection, provisioning.id, provisioning.status, status, owner, message, raw_status, submission_id
        )
        return changed

    def _append_event(
        self,
        connection: Connection,
        provisioning_id: str,
        from_status: Status | None,
        to_status: Status,
        owner: LeaseOwner,
        message: str,
        raw_status: str | None = None,
        submission_id: str | None = None,
    ) -> None:
        event = {
            "provisioning_id": provisioning_id,
            "occurred_at": self._clock.now(),
            "actor": owner.actor,
            "from_status": from_status,
            "to_status": to_status,
            "message": message,
            "raw_status": raw_status,
            "flow_run_id": owner.flow_run_id,
            "submission_id": submission_id,
        }
        connection.execute(_INSERT_EVENT, event)


def _redact_changes(changes: ProvisioningChanges) -> ProvisioningChanges:
    """Return the columns to set with Argil's response redacted.

    The columns do not redact the secrets of the request that the caller processes; its facts are compared later.
    """
    if changes.get("avatar_snapshot") is None:
        return changes
    return {**changes, "avatar_snapshot": redact_json(changes["avatar_snapshot"])}


def _compare_and_set(connection: Connection, provisioning: Provisioning, values: dict[str, Any]) -> Provisioning:
    row = connection.execute(_COMPARE_AND_SET, values).one_or_none()
    if row is None:
        raise StaleVersion(f"provisioning {provisioning.id} was changed by another owner")
    return mappers.to_provisioning(row)


def _sanitize_status(text: str) -> str:
    """Return an external status in storable form: redacted, without NUL or lone surrogates, truncated."""
    stored: str = redact_stored(text)
    return stored.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:MAX_TEXT]
