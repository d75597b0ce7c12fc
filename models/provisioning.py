"""A provisioning: the life it may lead, and what the ledger tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from models.reason import Reason
from models.request import ProvisioningRequest


class Status(StrEnum):
    """Where a provisioning stands. The meaning of each is in docs/outcomes.md."""

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
    def is_end(self) -> bool:
        """Whether a driver stops here (TIMED_OUT and CANCELLED may be re-opened by `resume`)."""
        return self not in {Status.ACCEPTED, Status.SUBMITTING, Status.TRAINING}


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.ACCEPTED: frozenset({Status.REJECTED, Status.SUBMITTING, Status.CANCELLED}),
    Status.SUBMITTING: frozenset(
        {
            Status.ACCEPTED,  # surely not taken, or looked for and not found
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
            Status.ACCEPTED,  # failed, and the retrain policy allows another one
        }
    ),
    Status.TIMED_OUT: frozenset({Status.TRAINING, Status.CANCELLED}),
    # Re-opened where it stopped: before a create, in the middle of one, or with an avatar in training.
    Status.CANCELLED: frozenset({Status.ACCEPTED, Status.SUBMITTING, Status.TRAINING}),
    Status.REJECTED: frozenset(),
    Status.READY: frozenset(),
    Status.TRAINING_FAILED: frozenset(),
    Status.REFUSED: frozenset(),
    Status.SUBMISSION_FAILED: frozenset(),
    Status.VANISHED: frozenset(),
}

SETTLED = frozenset(status for status, ways in TRANSITIONS.items() if not ways)
"""Ends for good; TIMED_OUT and CANCELLED may be re-opened."""


class SubmissionState(StrEnum):
    """What became of one POST."""

    PENDING = "PENDING"
    """Recorded; the POST may be under way, or its driver died."""
    UNKNOWN = "UNKNOWN"
    """Sent, and nothing tells whether Argil took it."""
    TAKEN = "TAKEN"
    """Argil made an avatar of it."""
    NOT_TAKEN = "NOT_TAKEN"
    """Argil surely made none of it."""
    LOST = "LOST"
    """Looked for over the grace period and not found: taken for not taken."""


UNSETTLED = frozenset({SubmissionState.PENDING, SubmissionState.UNKNOWN})
"""Submissions whose avatar, if there is one, is still to be found."""


class Driver(BaseModel):
    """Who writes to the ledger: `actor` for people to read, `id` for the lease, unique per run and attempt."""

    model_config = ConfigDict(frozen=True)

    actor: str
    id: str
    flow_run_id: str | None = None


class Submission(BaseModel):
    """One POST /avatars: recorded before it is sent."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str
    ordinal: int
    state: SubmissionState
    avatar_id: str | None
    http_status: int | None
    answer: dict[str, Any] | None
    created_at: datetime
    state_at: datetime


class Duplicate(BaseModel):
    """An avatar at Argil beyond the one that its provisioning kept: told of, and left alone."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    avatar_id: str
    submission_id: str
    at: datetime


class Event(BaseModel):
    """Something that happened to a provisioning; never changed once written, but moved to an archive in time."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    at: datetime
    actor: str
    from_status: Status | None
    to_status: Status
    why: str
    raw_status: str | None
    flow_run_id: str | None
    submission_id: str | None


@dataclass(frozen=True, slots=True)
class Provisioning:
    """A row of the ledger as it was when read. `version` is what a compare-and-set compares.

    No pydantic model: it was checked when it was written, and a batch has tens of thousands of them in memory.
    """

    id: str
    version: int
    reference: str
    request: ProvisioningRequest
    status: Status
    avatar_id: str | None
    raw_status: str | None
    reasons: list[Reason]
    retrains: int
    submissions: int
    training_since: datetime | None
    created_at: datetime
    updated_at: datetime
    flow_run_id: str | None
    avatar: dict[str, Any] | None
    media: dict[str, Any] | None
    lease_owner: str | None
    """The driver that holds the lease, or held it when it died; None: given back."""
    forgotten_at: datetime | None = None
    """When name, URLs and extras were removed: since then nothing about it changes."""

    @property
    def name(self) -> str:
        """The avatar's name."""
        return self.request.name
