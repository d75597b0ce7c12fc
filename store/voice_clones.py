"""Intents to clone a voice: recorded before the POST, with the version of the provisioning as a fence."""

from __future__ import annotations

import uuid

from sqlalchemy import Connection, insert, select, update

from models.argil.voice_clone import VoiceClone, clone_name
from models.limits import PauseCause, SubmissionGuard
from models.provisioning import LeaseOwner, Provisioning, SubmissionState
from models.tables import voice_clone_table
from models.text.redaction import redact
from store.batches import require_running_batch
from store.pauses import start_pause
from store.transitions import TransitionWriter

_CLONE = voice_clone_table.c


class VoiceCloneWriter(TransitionWriter):
    """Reads and writes intents to clone a voice. Every method raises DatabaseError if the database fails."""

    async def list_voice_clones(self, provisioning_id: str) -> list[VoiceClone]:
        """Return the intents of a provisioning, oldest first."""
        query = (
            select(voice_clone_table)
            .where(_CLONE.provisioning_id == provisioning_id)
            .order_by(_CLONE.created_at, _CLONE.id)
        )
        return await self.database.read(
            lambda connection: [VoiceClone.model_validate(row) for row in connection.execute(query)]
        )

    async def begin_voice_clone(
        self, provisioning: Provisioning, owner: LeaseOwner, sample_sha256: str
    ) -> tuple[Provisioning, VoiceClone]:
        """Record the intent to clone a voice, before the POST is sent.

        An index of the table allows one open intent per provisioning and sample.

        Raises:
            StaleVersion: Another owner changed the provisioning since it was read; nothing was written.
            BatchCancelled: A person cancelled the batch of this owner; nothing was written.
        """
        clone_id, now = str(uuid.uuid4()), self._clock.now()
        values = {
            "id": clone_id,
            "provisioning_id": provisioning.id,
            "sample_sha256": sample_sha256,
            "name": clone_name(provisioning.name, clone_id),
            "state": SubmissionState.PENDING,
            "created_at": now,
            "state_changed_at": now,
        }
        statement = insert(voice_clone_table).returning(*_CLONE)

        def record(connection: Connection) -> tuple[Provisioning, VoiceClone]:
            require_running_batch(connection, owner)
            changed = self._transition(
                connection, provisioning, owner, "a voice is cloned from the sample: recorded before it is sent"
            )
            return changed, VoiceClone.model_validate(connection.execute(statement, values).one())

        return await self.database.write(record)

    async def resolve_voice_clone(
        self,
        provisioning: Provisioning,
        owner: LeaseOwner,
        message: str,
        clone: VoiceClone,
        state: SubmissionState,
        *,
        voice_id: str | None = None,
        pause: tuple[PauseCause, SubmissionGuard] | None = None,
    ) -> Provisioning:
        """Record the outcome of an intent with an event; `pause` is one that the outcome causes.

        Raises:
            StaleVersion: Another owner changed the provisioning since it was read; nothing was written.
        """
        now, is_sqlite, message = self._clock.now(), self.database.is_sqlite, redact(message)
        statement = (
            update(voice_clone_table)
            .where(_CLONE.id == clone.id)
            .values(state=state, voice_id=voice_id, state_changed_at=now)
        )

        def record(connection: Connection) -> Provisioning:
            changed = self._transition(connection, provisioning, owner, message)
            connection.execute(statement)
            if pause is not None:
                cause, guard = pause
                start_pause(connection, cause, guard.api_key_sha256, now, is_sqlite=is_sqlite)
            return changed

        return await self.database.write(record)
