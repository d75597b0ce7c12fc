"""Transitions of the ledger: a compare-and-set on `version`, the change, and the event that records it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection

from models.errors import AvatarTaken, InvalidTransition, ProvisioningErased, StaleVersion
from models.provisioning import TRANSITIONS, LeaseOwner, Provisioning, Status, VoiceSource
from models.reason import Reason
from models.reopening import CallerAction
from models.tables import caller_table
from models.text.redaction import redact, redact_json, redact_stored
from store import mappers
from store.ledger_reader import LedgerReader
from store.statements import COMPARE_AND_SET, ID_BY_AVATAR, INSERT_EVENT
from store.upsert import insert_or_ignore

MAX_TEXT = 256


class TrainingChanges(TypedDict, total=False):
    """Columns that the resolution of a submission may set in addition to the status."""

    training_started_at: datetime | None
    avatar_snapshot: dict[str, Any] | None
    media_facts: dict[str, Any] | None
    not_found_since: datetime | None
    retrain_count: int
    submission_count: int


class RequestColumns(TypedDict):
    """The columns of a provisioning that store its request."""

    request: dict[str, Any]
    request_fingerprint: str
    name: str
    kind: str


class ProvisioningChanges(TrainingChanges, total=False):
    """Columns that a transition may set in addition to the status."""

    avatar_id: str | None
    flow_run_id: str | None
    voice_id: str | None
    voice_source: VoiceSource | None
    voice_due_at: datetime | None
    request: dict[str, Any]
    request_fingerprint: str
    name: str
    kind: str


class TransitionWriter(LedgerReader):
    """Writes transitions and their events. Every method raises DatabaseError if the database fails."""

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
        message, redacted = redact(message), redact_changes(changes)
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
            raw_status = values["raw_status"] = sanitize_status(raw_status)
        if changes.get("avatar_id") is not None:
            _refuse_taken_avatar(connection, provisioning.id, changes["avatar_id"])
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
        connection.execute(INSERT_EVENT, event)

    def _record_call(
        self, connection: Connection, provisioning_id: str, owner: LeaseOwner, action: CallerAction
    ) -> bool:
        """Record that this caller asked for the provisioning; return whether this is its first call."""
        values = {
            "provisioning_id": provisioning_id,
            "caller_id": owner.caller_id,
            "action": action,
            "called_at": self._clock.now(),
        }
        statement = insert_or_ignore(caller_table, is_sqlite=self.database.is_sqlite)
        return connection.execute(statement, values).one_or_none() is not None


def redact_changes(changes: ProvisioningChanges) -> ProvisioningChanges:
    """Return the columns to set with Argil's response redacted.

    The columns do not redact the secrets of the request that the caller processes; its facts are compared later.
    """
    if changes.get("avatar_snapshot") is None:
        return changes
    return {**changes, "avatar_snapshot": redact_json(changes["avatar_snapshot"])}


def _refuse_taken_avatar(connection: Connection, provisioning_id: str, avatar_id: str | None) -> None:
    """Raise AvatarTaken if another provisioning has this avatar, for example because it was adopted."""
    taken_by = connection.execute(ID_BY_AVATAR, {"avatar_id_": avatar_id}).scalar_one_or_none()
    if taken_by not in {None, provisioning_id}:
        raise AvatarTaken(
            f"avatar {avatar_id} is on record for provisioning {taken_by}, and for one only",
            hint=f"compare both with `avatars show {taken_by}` and `avatars show {provisioning_id}`; nothing is "
            "submitted again for this one",
        )


def _compare_and_set(connection: Connection, provisioning: Provisioning, values: dict[str, Any]) -> Provisioning:
    row = connection.execute(COMPARE_AND_SET, values).one_or_none()
    if row is None:
        raise StaleVersion(f"provisioning {provisioning.id} was changed by another owner")
    return mappers.to_provisioning(row)


def sanitize_status(text: str) -> str:
    """Return an external status in storable form: redacted, without NUL or lone surrogates, truncated."""
    stored: str = redact_stored(text)
    return stored.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:MAX_TEXT]
