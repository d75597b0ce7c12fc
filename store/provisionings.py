"""The ledger: the truth about every provisioning.

Each write is one transaction: a compare-and-set on `version`, the change, and the event that tells of it. A
driver that read an older version writes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Table, bindparam, false, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from models.errors import (
    ForbiddenTransition,
    Forgotten,
    ReferenceConflict,
    StaleVersion,
)
from models.provisioning import TRANSITIONS, Driver, Provisioning, Status, Submission, SubmissionState
from models.reason import Reason
from models.redaction import redact
from models.request import ProvisioningRequest
from models.tables import DuplicateRow, EventRow, ProvisioningRow, SubmissionRow
from store import rows
from store.evidence import ADD_EVIDENCE, evidence_of
from store.ledger_reader import LedgerReader

MAX_TEXT = 256

# Built once, of tables and parameters: building a statement costs more than running it.
_PROVISIONINGS = cast("Table", ProvisioningRow.__table__)
_SUBMISSIONS = cast("Table", SubmissionRow.__table__)
_EVENTS = cast("Table", EventRow.__table__)
# Said by a prefix, since SQLAlchemy compiles `on_conflict_do_nothing` anew each time.
_ADD_ON_SQLITE = insert(_PROVISIONINGS).prefix_with("OR IGNORE").returning(*_PROVISIONINGS.c)
_ADD_ON_POSTGRESQL = postgresql.insert(_PROVISIONINGS).on_conflict_do_nothing().returning(*_PROVISIONINGS.c)
_OF_REFERENCE = select(_PROVISIONINGS).where(_PROVISIONINGS.c.reference == bindparam("reference_"))
_REFRESH = (
    update(_PROVISIONINGS)
    .where(
        _PROVISIONINGS.c.reference == bindparam("reference_"),
        _PROVISIONINGS.c.request_identity == bindparam("identity"),
        _PROVISIONINGS.c.status == Status.ACCEPTED,
    )
    .values(request=bindparam("stored", type_=_PROVISIONINGS.c.request.type))
)
_CHANGE = (
    update(_PROVISIONINGS)
    .where(_PROVISIONINGS.c.id == bindparam("seen_id"), _PROVISIONINGS.c.version == bindparam("seen_version"))
    .returning(*_PROVISIONINGS.c)
)
_TELL = insert(_EVENTS)
_SUBMIT = insert(_SUBMISSIONS).returning(*_SUBMISSIONS.c)
_SETTLE = update(_SUBMISSIONS).where(_SUBMISSIONS.c.id == bindparam("submission"))


class Ledger(LedgerReader):
    """Reads and writes provisionings. Every method raises DatabaseError where the database fails."""

    async def open(self, request: ProvisioningRequest, reference: str, driver: Driver) -> tuple[Provisioning, bool]:
        """Record the request, or attach to what is there under its reference.

        Returns the provisioning and whether it is new. One that is still ACCEPTED takes the URLs given now:
        the signatures in those recorded earlier may have expired. Raises ReferenceConflict where the
        reference belongs to another request.
        """
        provisioning_id = str(uuid.uuid4())
        now = self._clock.now()
        stored = request.model_dump(exclude={"reference"})
        values = {
            "id": provisioning_id,
            "version": 1,
            "reference": reference,
            "request": stored,
            "request_identity": request.identity,
            "status": Status.ACCEPTED,
            "reasons": [],
            "retrains": 0,
            "submissions": 0,
            "created_at": now,
            "updated_at": now,
            "flow_run_id": driver.flow_run_id,
        }
        add = _ADD_ON_SQLITE if self.database.is_sqlite else _ADD_ON_POSTGRESQL
        same = {"reference_": reference, "identity": request.identity, "stored": stored}
        async with self.database.writing() as connection:
            row = (await connection.execute(add, values)).one_or_none()
            if is_new := row is not None:
                await self._tell(
                    connection, provisioning_id, None, Status.ACCEPTED, driver, "the request was recorded"
                )
            else:
                await connection.execute(_REFRESH, same)
                row = (await connection.execute(_OF_REFERENCE, {"reference_": reference})).one()
        if row.request_identity != request.identity:
            raise ReferenceConflict(reference, row.id)
        return rows.provisioning(row), is_new

    async def record(
        self,
        seen: Provisioning,
        driver: Driver,
        why: str,
        *,
        to: Status | None = None,
        raw_status: str | None = None,
        reasons: Sequence[Reason] | None = None,
        **columns: Any,
    ) -> Provisioning:
        """Move the provisioning to a status, or (without `to`) note something where it stands.

        Returns it as it is now. Raises ForbiddenTransition, Forgotten, and StaleVersion where another driver wrote
        since `seen` was read: then nothing is kept.
        """
        async with self.database.writing() as connection:
            return await self._record(
                connection, seen, driver, why, to=to, raw_status=raw_status, reasons=reasons, **columns
            )

    async def begin_submission(
        self, seen: Provisioning, driver: Driver, why: str
    ) -> tuple[Provisioning, Submission]:
        """Record the intent to POST with its evidence, before anything is sent. Raises as `record` does."""
        submission_id = str(uuid.uuid4())
        now = self._clock.now()
        values = {
            "id": submission_id,
            "provisioning_id": seen.id,
            "ordinal": seen.submissions + 1,
            "state": SubmissionState.PENDING,
            "created_at": now,
            "state_at": now,
        }
        async with self.database.writing() as connection:
            moved = await self._record(
                connection,
                seen,
                driver,
                why,
                to=Status.SUBMITTING,
                submission_id=submission_id,
                reasons=[],
                submissions=seen.submissions + 1,
                avatar_id=None,
                training_since=None,
            )
            row = (await connection.execute(_SUBMIT, values)).one()
            await connection.execute(ADD_EVIDENCE, evidence_of(seen, submission_id, driver, now))
        return moved, rows.submission(row)

    async def settle_submission(
        self,
        seen: Provisioning,
        driver: Driver,
        why: str,
        submission: Submission,
        state: SubmissionState,
        *,
        to: Status | None = None,
        http_status: int | None = None,
        answer: dict[str, Any] | None = None,
        avatar_id: str | None = None,
        **columns: Any,
    ) -> Provisioning:
        """Record what became of a POST together with where that leaves the provisioning."""
        if avatar_id is not None:
            columns["avatar_id"] = avatar_id
        settled = {
            "submission": submission.id,
            "state": state,
            "http_status": http_status,
            "answer": answer,
            "avatar_id": avatar_id,
            "state_at": self._clock.now(),
        }
        async with self.database.writing() as connection:
            now = await self._record(connection, seen, driver, why, to=to, submission_id=submission.id, **columns)
            await connection.execute(_SETTLE, settled)
        return now

    async def note_duplicate(
        self, provisioning: Provisioning, driver: Driver, submission_id: str, avatar_id: str, why: str
    ) -> bool:
        """Record that Argil holds another avatar of a provisioning; returns whether that is new.

        It changes nothing of the provisioning itself, so whoever drives it is not disturbed.
        """
        engine = sqlite if self.database.is_sqlite else postgresql
        values = {
            "avatar_id": avatar_id,
            "provisioning_id": provisioning.id,
            "submission_id": submission_id,
            "at": self._clock.now(),
        }
        add = engine.insert(DuplicateRow).values(values).on_conflict_do_nothing()
        async with self.database.writing() as connection:
            is_new = (await connection.execute(add)).rowcount == 1
            if is_new:
                stands = select(ProvisioningRow.status).where(ProvisioningRow.id == provisioning.id)
                status = Status((await connection.execute(stands.with_for_update())).scalar_one())
                await self._tell(connection, provisioning.id, status, status, driver, why, None, submission_id)
        return is_new

    async def try_writing(self) -> None:
        """Do as every write does, and change nothing: raises DatabaseError where the ledger can only be read."""
        nothing = update(ProvisioningRow).where(false()).values(version=0)
        async with self.database.writing() as connection:
            await connection.execute(nothing)

    async def _record(
        self,
        connection: AsyncConnection,
        seen: Provisioning,
        driver: Driver,
        why: str,
        *,
        to: Status | None = None,
        raw_status: str | None = None,
        reasons: Sequence[Reason] | None = None,
        submission_id: str | None = None,
        **columns: Any,
    ) -> Provisioning:
        status = to or seen.status
        if seen.forgotten_at is not None:
            raise Forgotten(seen.id)
        if to is not None and to not in TRANSITIONS[seen.status]:
            raise ForbiddenTransition(f"provisioning {seen.id}: no way from {seen.status} to {to}")
        if reasons is not None:
            columns["reasons"] = [reason.model_dump() for reason in reasons]
        if raw_status is not None:
            raw_status = columns["raw_status"] = _storable(raw_status)
        change = {
            "seen_id": seen.id,
            "seen_version": seen.version,
            "status": status,
            "version": seen.version + 1,
            "updated_at": self._clock.now(),
            **columns,
        }
        row = (await connection.execute(_CHANGE, change)).one_or_none()
        if row is None:
            raise StaleVersion(f"provisioning {seen.id} was changed by another driver")
        await self._tell(connection, seen.id, seen.status, status, driver, why, raw_status, submission_id)
        return rows.provisioning(row)

    async def _tell(
        self,
        connection: AsyncConnection,
        provisioning_id: str,
        before: Status | None,
        after: Status,
        driver: Driver,
        why: str,
        raw_status: str | None = None,
        submission_id: str | None = None,
    ) -> None:
        event = {
            "provisioning_id": provisioning_id,
            "at": self._clock.now(),
            "actor": driver.actor,
            "from_status": before,
            "to_status": after,
            "why": why,
            "raw_status": raw_status,
            "flow_run_id": driver.flow_run_id,
            "submission_id": submission_id,
        }
        await connection.execute(_TELL, event)


def _storable(text: str) -> str:
    """Return a status from outside as it may be kept: no secret, no NUL, no lone surrogate, not too long."""
    return redact(text).replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:MAX_TEXT]
