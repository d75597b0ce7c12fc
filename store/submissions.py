"""Submissions in the ledger: recorded before the POST, resolved with the transition that follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack, cast

from sqlalchemy import Connection, select

from models.limits import PauseCause, SubmissionGuard
from models.provisioning import LeaseOwner, Provisioning, Status, Submission, SubmissionState
from models.reason import Reason
from models.submission_ids import new_submission_id
from models.tables import duplicate_table, provisioning_table
from models.text.redaction import redact, redact_json
from store import mappers
from store.batches import require_running_batch
from store.counters import count_submission
from store.evidence import INSERT_EVIDENCE, evidence_values
from store.pauses import choose_probe, start_pause
from store.statements import INSERT_SUBMISSION
from store.submission_states import set_state
from store.transitions import ProvisioningChanges, TrainingChanges, TransitionWriter, redact_changes
from store.upsert import insert_or_ignore

_NO_GUARD = SubmissionGuard()


class SubmissionWriter(TransitionWriter):
    """Writes submissions and duplicates. Every method raises DatabaseError if the database fails."""

    async def begin_submission(
        self, provisioning: Provisioning, owner: LeaseOwner, message: str, guard: SubmissionGuard = _NO_GUARD
    ) -> tuple[Provisioning, Submission]:
        """Record a submission and its evidence before the POST is sent, and count it.

        Also raises the errors of `transition`.

        Raises:
            DayBudgetUsed: AVATARS_MAX_CREATES_PER_DAY is used up; nothing was written.
            BatchBudgetUsed: AVATARS_MAX_CREATES_PER_BATCH is used up; nothing was written.
            SubmissionPaused: A pause stands, and this is not the submission that may end it; nothing was written.
            BatchCancelled: A person cancelled the batch of this owner; nothing was written.
        """
        submission_id = new_submission_id(provisioning.reference, provisioning.request_fingerprint)
        now = self._clock.now()
        values = {
            "id": submission_id,
            "provisioning_id": provisioning.id,
            "ordinal": provisioning.submission_count + 1,
            "state": SubmissionState.PENDING,
            "request_fingerprint": provisioning.request_fingerprint,
            "created_at": now,
            "state_changed_at": now,
        }
        is_sqlite = self.database.is_sqlite

        def record(connection: Connection) -> tuple[Provisioning, Submission]:
            require_running_batch(connection, owner)
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
                not_found_since=None,
            )
            batch_id = submitting.batch_id  # another batch may have taken it since it was read
            count_submission(connection, now, batch_id, guard.limits, is_sqlite=is_sqlite)
            key = guard.api_key_sha256
            pause = choose_probe(connection, key, now, submission_id, provisioning.kind, {provisioning.id})
            if pause is not None:
                raise pause.error(now)
            row = connection.execute(INSERT_SUBMISSION, {**values, "batch_id": batch_id}).one()
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
        pause: tuple[PauseCause, SubmissionGuard] | None = None,
        **changes: Unpack[TrainingChanges],
    ) -> Provisioning:
        """Record the outcome of a submission and the resulting transition in one transaction.

        `pause` is one that the outcome causes, for the API key of the guard. Raises the errors of `transition`.
        """
        message, transition_changes = redact(message), redact_changes(cast("ProvisioningChanges", dict(changes)))
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
        is_sqlite = self.database.is_sqlite

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
            set_state(connection, resolution, is_sqlite=is_sqlite)
            if pause is not None:
                cause, guard = pause
                start_pause(connection, cause, guard.api_key_sha256, self._clock.now(), is_sqlite=is_sqlite)
            return resolved

        return await self.database.write(record)

    async def record_avatar(self, submission: Submission, avatar_id: str) -> None:
        """Record the avatar of a submission that had none on record; the provisioning itself does not change."""
        resolution = {
            "submission_id": submission.id,
            "state": SubmissionState.CREATED,
            "avatar_id": avatar_id,
            "state_changed_at": self._clock.now(),
        }
        is_sqlite = self.database.is_sqlite
        await self.database.write(lambda connection: set_state(connection, resolution, is_sqlite=is_sqlite))

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
