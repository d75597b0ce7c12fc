"""A provisioning: its statuses and transitions, and the records that the ledger keeps of it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from models.reason import Reason
from models.request import AvatarRequest, RequestKind


class Status(StrEnum):
    """The status of a provisioning. docs/outcomes.md explains each.

    A run stops at a terminal status. A final status is a terminal status that cannot be re-opened.
    """

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    SUBMITTING = "SUBMITTING"
    TRAINING = "TRAINING"
    READY = "READY"
    TRAINING_FAILED = "TRAINING_FAILED"
    REFUSED = "REFUSED"
    SUBMISSION_FAILED = "SUBMISSION_FAILED"
    TIMED_OUT = "TIMED_OUT"
    VANISHED = "VANISHED"
    CANCELLED = "CANCELLED"

    @property
    def is_terminal(self) -> bool:
        """Whether a run stops at this status. models/reopening.py says what re-opens it."""
        return self not in {Status.ACCEPTED, Status.SUBMITTING, Status.TRAINING}


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.ACCEPTED: frozenset(
        {
            Status.REJECTED,
            Status.SUBMITTING,
            Status.TRAINING,  # the avatar of a submission that was presumed lost was found
            Status.CANCELLED,
        }
    ),
    Status.SUBMITTING: frozenset(
        {
            Status.ACCEPTED,  # Argil did not accept the submission, or its avatar was not found
            Status.TRAINING,
            Status.SUBMISSION_FAILED,
            Status.CANCELLED,
        }
    ),
    Status.TRAINING: frozenset(
        {
            Status.READY,
            Status.TRAINING_FAILED,
            Status.REFUSED,
            Status.TIMED_OUT,
            Status.VANISHED,
            Status.CANCELLED,
            Status.ACCEPTED,  # failed, and the retrain limit allows another training
        }
    ),
    Status.TIMED_OUT: frozenset({Status.TRAINING, Status.CANCELLED}),
    # Re-opened in the status it was cancelled in: before a submission, during one, or while the avatar is training.
    Status.CANCELLED: frozenset({Status.ACCEPTED, Status.SUBMITTING, Status.TRAINING}),
    # Re-opened by a request or `retry`: it was not sent. By `retrain` after an earlier submission.
    Status.REJECTED: frozenset({Status.ACCEPTED, Status.TRAINING}),
    # Re-opened by `retrain`: for another submission, or with an earlier avatar that is usable or in training.
    Status.TRAINING_FAILED: frozenset({Status.ACCEPTED, Status.TRAINING}),
    Status.SUBMISSION_FAILED: frozenset({Status.ACCEPTED, Status.TRAINING}),
    # Also by `resume` and by the account list, with its avatar.
    Status.VANISHED: frozenset({Status.ACCEPTED, Status.TRAINING}),
    Status.READY: frozenset(),
    Status.REFUSED: frozenset(),
}

FINAL_STATUSES = frozenset(status for status, targets in TRANSITIONS.items() if not targets)
"""The terminal statuses that cannot be re-opened: READY and REFUSED."""
NEEDS_ATTENTION = (
    Status.REFUSED,
    Status.TRAINING_FAILED,
    Status.SUBMISSION_FAILED,
    Status.TIMED_OUT,
    Status.VANISHED,
    Status.REJECTED,
    Status.ACCEPTED,
)
"""The statuses in which a provisioning can wait for a person, in the order of the fleet report.

`models.outcomes.waits_for_person` decides about one: of those in ACCEPTED, only the blocked ones do.
"""


class SubmissionState(StrEnum):
    """The state of one submission."""

    PENDING = "PENDING"
    """Recorded; its POST is pending or in progress, or its process crashed."""
    UNKNOWN = "UNKNOWN"
    """May have been sent; the outcome is not known."""
    CREATED = "CREATED"
    """Argil created an avatar."""
    NOT_CREATED = "NOT_CREATED"
    """Argil did not create an avatar."""
    LOST = "LOST"
    """Not found by lookups during the grace period; presumed not created."""


class VoiceSource(StrEnum):
    """How the voice of an avatar became known."""

    WEBHOOK = "webhook"
    """A webhook delivery named it."""
    MATCHED = "matched"
    """It is the only voice of the avatar's name that was created during the training."""
    GIVEN = "given"
    """A person named it."""


UNRESOLVED = frozenset({SubmissionState.PENDING, SubmissionState.UNKNOWN})
"""The states of a submission whose avatar, if one exists, must still be looked up."""


def parse_provisioning_id(text: str) -> str | None:
    """Return the id of a provisioning that the text writes in any form of a UUID (RFC 9562), else None.

    For example, an id may be in upper case, without hyphens, in braces, or a URN.
    """
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


class LeaseOwner(BaseModel):
    """The owner of a lease.

    `actor` is its name in events. `id` is unique per run and attempt. `flow_run_id` is the id of its Prefect run.
    `batch_id` is the id of the batch whose rows it provisions; it takes each provisioning that it asks for.
    """

    model_config = ConfigDict(frozen=True)

    actor: str
    id: str
    flow_run_id: str | None = None
    batch_id: str | None = None

    @property
    def caller_id(self) -> str:
        """The id that all attempts of one run share, so that a restarted run re-opens nothing a second time."""
        return self.flow_run_id or self.id


class Submission(BaseModel):
    """One submission, recorded before it is sent.

    Its POST is sent at most MAX_CREATE_ATTEMPTS times (clients/argil.py), and again only if Argil certainly did not
    accept it.
    """

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str
    ordinal: int
    state: SubmissionState
    request_fingerprint: str | None
    """The fingerprint of its request. Its avatar is adopted only if the provisioning has the same."""
    avatar_id: str | None
    http_status: int | None
    response: dict[str, Any] | None
    created_at: datetime
    state_changed_at: datetime


def submission_of_avatar(provisioning: Provisioning, submissions: Sequence[Submission]) -> Submission | None:
    """Return the submission that created the avatar; None without one, for example of an adopted avatar."""
    own = [submission for submission in submissions if submission.avatar_id == provisioning.avatar_id]
    return own[-1] if own and provisioning.avatar_id else None


class DuplicateAvatar(BaseModel):
    """An additional avatar of the same provisioning at Argil: reported, and otherwise left unchanged."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    avatar_id: str
    submission_id: str
    detected_at: datetime


class ProvisioningEvent(BaseModel):
    """A recorded change of a provisioning. Events are never updated, but can be moved to an archive.

    The status changed if `from_status` differs from `to_status`. Otherwise the event records something else in the
    current status, such as an operational error or an erasure.
    """

    model_config = ConfigDict(frozen=True, from_attributes=True)

    occurred_at: datetime
    actor: str
    from_status: Status | None
    """None for the first event of a provisioning."""
    to_status: Status
    message: str
    raw_status: str | None
    flow_run_id: str | None
    submission_id: str | None


@dataclass(frozen=True, slots=True)
class Provisioning:
    """A snapshot of a ledger row. `version` is the value that compare-and-set compares.

    This is not a pydantic model, because a batch holds tens of thousands in memory. See
    docs/adr/0008-dataclass-records.md.
    """

    id: str
    version: int
    reference: str
    request: AvatarRequest
    request_fingerprint: str
    """The stored fingerprint of the request. It remains after an erasure."""
    status: Status
    avatar_id: str | None
    raw_status: str | None
    reasons: list[Reason]
    retrain_count: int
    submission_count: int
    training_started_at: datetime | None
    created_at: datetime
    updated_at: datetime
    """When something was last recorded, for example the same operational error again; not when the status changed.

    The status changed at `occurred_at` of the last event whose `from_status` differs from its `to_status`.
    """
    flow_run_id: str | None
    avatar_snapshot: dict[str, Any] | None
    media_facts: dict[str, Any] | None
    lease_owner: str | None
    """The id of the lease owner, also after its lease expired; None after a release."""
    not_found_since: datetime | None = None
    """Since when Argil answers 404 for its avatar; None after an answer with it (models/argil/vanished.py)."""
    voice_id: str | None = None
    """The id of the avatar's voice at Argil; None if it is not known."""
    voice_source: VoiceSource | None = None
    voice_due_at: datetime | None = None
    """When reconcile-avatars looks for the voice or, if there is one, announces it; None if it does neither."""
    batch_id: str | None = None
    """The id of the batch that took it last (models/batch_record.py); None if no batch ever did."""
    erased_at: datetime | None = None
    """When name, URLs and extras were removed; an erased provisioning no longer changes."""

    @property
    def name(self) -> str:
        """The avatar's name."""
        return self.request.name

    @property
    def kind(self) -> RequestKind:
        """What the avatar is made from."""
        return self.request.kind

    @property
    def sort_key(self) -> tuple[datetime, str]:
        """The key of pages that are ordered by creation."""
        return self.created_at, self.id
