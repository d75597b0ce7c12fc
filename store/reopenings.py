"""Re-openings in the ledger: tied to one flow run or command, so that none happens twice."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from models.argil.avatar import Avatar, AvatarStatus
from models.errors import StaleVersion
from models.provisioning import LeaseOwner, Provisioning, Status, Submission, SubmissionState
from models.reopening import CallerAction
from models.request import AvatarRequest
from models.text.redaction import redact, redact_json
from store import mappers
from store.batches import require_running_batch
from store.requests import request_columns
from store.statements import BY_ID, HAS_CALLED
from store.submission_states import set_state
from store.transitions import ProvisioningChanges, TransitionWriter
from store.uploads import link_uploads


class EarlierAvatar(NamedTuple):
    """An avatar at Argil that an earlier submission of the provisioning created.

    `is_recorded` tells whether the ledger has it, as the avatar of its submission or as a duplicate.
    """

    submission: Submission
    avatar: Avatar
    is_recorded: bool

    def is_of_request(self, provisioning: Provisioning) -> bool:
        """Return whether its recordings are those of the current request."""
        return self.submission.request_fingerprint == provisioning.request_fingerprint

    def replaces_submission(self, provisioning: Provisioning) -> bool:
        """Return whether a provisioning in ACCEPTED continues with it, instead of another submission.

        One that its submission has on record failed or vanished before, and the list may show an earlier status. So
        it must be usable now, or refused. Any other is the outcome of its submission, also if it was reported as a
        duplicate meanwhile, for example while the provisioning was REJECTED.
        """
        is_known = self.submission.avatar_id == self.avatar.id
        has_another_outcome = self.avatar.status in {AvatarStatus.IDLE, AvatarStatus.REFUSED}
        return self.is_of_request(provisioning) and (not is_known or has_another_outcome)


class ReopeningWriter(TransitionWriter):
    """Writes re-openings. Every method raises DatabaseError if the database fails."""

    async def has_called(self, provisioning_id: str, owner: LeaseOwner, action: CallerAction) -> bool:
        """Return whether this flow run or command asked for this action before."""
        parameters = {"provisioning_id": provisioning_id, "caller_id": owner.caller_id, "action": action}
        return await self.database.read(
            lambda connection: connection.execute(HAS_CALLED, parameters).first() is not None
        )

    async def record_call(self, provisioning_id: str, owner: LeaseOwner, action: CallerAction) -> bool:
        """Record that this flow run or command asked for this action; return whether it is the first time."""
        return await self.database.write(
            lambda connection: self._record_call(connection, provisioning_id, owner, action)
        )

    async def reopen(
        self,
        provisioning: Provisioning,
        owner: LeaseOwner,
        action: CallerAction,
        message: str,
        new_status: Status,
        *,
        request: AvatarRequest | None = None,
        earlier: EarlierAvatar | None = None,
    ) -> Provisioning:
        """Re-open a terminal provisioning, or change one in flight for a person, once per caller and action.

        Its reasons and the time of the first 404 are cleared. In ACCEPTED it starts again: its media facts, avatar
        id and start of training are cleared, too. Its submissions and its retrain count remain.

        Args:
            provisioning: The provisioning as it was read.
            owner: The caller. The provisioning gets its flow run, or none.
            action: What the caller asked for.
            message: The event's message.
            new_status: The status to continue in.
            request: Replaces the request, if given; it has the same extras.
            earlier: The avatar to continue with in TRAINING, instead of the recorded one.

        Returns:
            The provisioning after the change; unchanged if this caller asked for this before.

        Raises:
            InvalidTransition: TRANSITIONS does not allow the change.
            ProvisioningErased: The provisioning was erased.
            StaleVersion: Another owner changed the provisioning since it was read; nothing was written.
            BatchCancelled: A person cancelled the batch of this owner; nothing was written.
        """
        message = redact(message)
        changes: ProvisioningChanges = {"not_found_since": None, "flow_run_id": owner.flow_run_id}
        if new_status is Status.ACCEPTED:
            changes |= {"media_facts": None, "avatar_id": None, "training_started_at": None}
        if request is not None:
            changes = {**changes, **request_columns(request)}
            if provisioning.request_fingerprint in request.fingerprints:  # its submissions have it
                changes["request_fingerprint"] = provisioning.request_fingerprint
        if earlier is not None:
            changes |= {
                "avatar_id": earlier.avatar.id,
                "training_started_at": earlier.submission.created_at,
                "avatar_snapshot": redact_json(earlier.avatar.raw),
            }

        def record(connection: Connection) -> Provisioning:
            require_running_batch(connection, owner, lock=True)
            if not self._record_call(connection, provisioning.id, owner, action):
                current = mappers.to_provisioning(connection.execute(BY_ID, {"id_": provisioning.id}).one())
                if current.version != provisioning.version:
                    raise StaleVersion(f"provisioning {provisioning.id} was changed since it was read")
                return current
            reopened = self._transition(
                connection,
                provisioning,
                owner,
                message,
                new_status=None if new_status is provisioning.status else new_status,
                raw_status=None if earlier is None else earlier.avatar.status,
                reasons=[],
                submission_id=None if earlier is None else earlier.submission.id,
                **changes,
            )
            if request is not None:
                now = self._clock.now()
                link_uploads(connection, provisioning.id, request, now, is_sqlite=self.database.is_sqlite)
            if earlier is not None and earlier.submission.avatar_id is None:
                resolution = {
                    "submission_id": earlier.submission.id,
                    "state": SubmissionState.CREATED,
                    "avatar_id": earlier.avatar.id,
                    "state_changed_at": self._clock.now(),
                }
                set_state(connection, resolution, is_sqlite=self.database.is_sqlite)
            return reopened

        return await self.database.write(record)
