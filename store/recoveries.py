"""Submissions that the ledger lost, for example because it was restored from a backup: found again and recorded."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, delete, select

from models.argil.avatar import Avatar
from models.attempts import RECOVERED
from models.provisioning import FINAL_STATUSES, LeaseOwner, Provisioning, Status, SubmissionState
from models.spend_limits import SpendLimits
from models.submission_ids import request_tag
from models.tables import provisioning_table, unknown_avatar_table
from models.text.redaction import redact, redact_json
from store.counters import count_submission
from store.statements import INSERT_SUBMISSION
from store.transitions import TrainingChanges, TransitionWriter

_NO_LIMITS = SpendLimits()
_OPEN_STATUSES = [status for status in Status if status not in FINAL_STATUSES]
_TAG_QUERY = select(
    provisioning_table.c.id, provisioning_table.c.reference, provisioning_table.c.request_fingerprint
).where(provisioning_table.c.status.in_(_OPEN_STATUSES), provisioning_table.c.erased_at.is_(None))
"""A final provisioning is never submitted again. Most provisionings of a large ledger are final."""


class RecoveryWriter(TransitionWriter):
    """Records lost submissions. Every method raises DatabaseError if the database fails."""

    async def find_ids_by_tag(self, tags: Collection[str]) -> dict[str, str]:
        """Return the ids of the provisionings whose current request has one of these tags, by tag.

        It reads three columns of every provisioning that is neither final nor erased.
        """

        def find(connection: Connection) -> dict[str, str]:
            found: dict[str, str] = {}
            for key, reference, fingerprint in connection.execute(_TAG_QUERY):
                if (tag := request_tag(reference, fingerprint)) in tags:
                    found[tag] = key
            return found

        return await self.database.read(find)

    async def recover_submission(
        self, provisioning: Provisioning, owner: LeaseOwner, submission_id: str, avatar: Avatar
    ) -> Provisioning:
        """Record a lost submission of the current request, which created an avatar.

        In ACCEPTED, the provisioning continues with the avatar instead of another submission. In any other status
        it stays as it is, and its submission is LOST, so that the avatar is found as that of any other submission
        without a response. The submission counts for the day on which the avatar was created. It has no evidence,
        because the media facts of its time are unknown.

        Args:
            provisioning: The provisioning as it was read.
            owner: The writer.
            submission_id: The id that the avatar carries.
            avatar: The avatar as Argil reports it.

        Returns:
            The provisioning after the change.

        Raises:
            ProvisioningErased: The provisioning was erased.
            StaleVersion: Another owner changed the provisioning since it was read; nothing was written.
        """
        now = self._clock.now()
        created_at = avatar.created_by(now)
        continues = provisioning.status is Status.ACCEPTED
        training: TrainingChanges = {"submission_count": provisioning.submission_count + 1}
        if continues:
            training |= {"training_started_at": created_at, "avatar_snapshot": redact_json(avatar.raw)}
        values = {
            "id": submission_id,
            "provisioning_id": provisioning.id,
            "ordinal": provisioning.submission_count + 1,
            "state": SubmissionState.CREATED if continues else SubmissionState.LOST,
            "request_fingerprint": provisioning.request_fingerprint,
            "avatar_id": avatar.id if continues else None,
            "created_at": created_at,
            "state_changed_at": now,
            "batch_id": None,
        }
        avatar_change: dict[str, Any] = {"avatar_id": avatar.id} if continues else {}
        message = redact(f"{RECOVERED}: Argil has its avatar {avatar.id}")

        def record(connection: Connection) -> Provisioning:
            recovered = self._transition(
                connection,
                provisioning,
                owner,
                message,
                new_status=Status.TRAINING if continues else None,
                raw_status=avatar.status if continues else None,
                reasons=[] if continues else None,
                submission_id=submission_id,
                **training,
                **avatar_change,
            )
            count_submission(connection, created_at, None, _NO_LIMITS, is_sqlite=self.database.is_sqlite)
            connection.execute(INSERT_SUBMISSION, values)
            connection.execute(
                delete(unknown_avatar_table).where(unknown_avatar_table.c.submission_id == submission_id)
            )
            return recovered

        return await self.database.write(record)
