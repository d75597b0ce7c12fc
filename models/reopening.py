"""What a request does to the provisioning of its reference, and who re-opens a terminal one."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from models.errors import ReferenceConflict, ReferenceIsAdopted
from models.provisioning import Provisioning, Status, SubmissionState
from models.request import RequestKind

RESUMABLE_STATUSES = frozenset({Status.TIMED_OUT, Status.CANCELLED, Status.VANISHED})
"""`resume` re-opens them without another submission: where they stopped."""
SCHEDULE_RESUMABLE_STATUSES = RESUMABLE_STATUSES - {Status.CANCELLED}
"""Schedules and batches re-open them, too. Only a person continues what a person cancelled."""
RETRYABLE_STATUSES = frozenset({Status.REJECTED})
"""`retry` re-opens them, and so does the same request: free, because nothing was sent."""
RETRAINABLE_STATUSES = frozenset({Status.TRAINING_FAILED, Status.SUBMISSION_FAILED, Status.VANISHED})
"""`retrain` re-opens them for another submission, which may cost money; see also `retrainable_statuses`."""
REPLACEABLE_STATUSES = frozenset({Status.ACCEPTED, Status.REJECTED})
REPLACED = "another request replaced the earlier one, which Argil never accepted"
RETRAINED = "retrained with"
"""The start of the message of a retrain that submits; what it is retrained with and the person's reason follow."""
REQUEST_CHANGES = (REPLACED, RETRAINED)
"""The starts of the messages of events that may change the request of a provisioning that stays in ACCEPTED."""


class CallerAction(StrEnum):
    """What a flow run or command asked of a provisioning. Each caller re-opens it at most once per action."""

    REQUEST = "request"
    """The same reference: provision, enqueue or batch."""
    RESUME = "resume"
    RETRY = "retry"
    RETRAIN = "retrain"


class RequestAction(StrEnum):
    """What a request does to the existing provisioning of its reference."""

    ATTACH = "attach"
    RENEW = "renew"
    """Attach, and use the request's URLs: earlier signatures may have expired."""
    REPLACE = "replace"
    """Take the place of the request, which was certainly never accepted by Argil."""
    CONFLICT = "conflict"


def retrainable_statuses(
    submission_states: Collection[SubmissionState], *, has_other_recordings: bool
) -> frozenset[Status]:
    """Return the statuses from which `retrain` re-opens a provisioning with these submissions.

    Once a request was submitted, no other request can replace it. Therefore `retrain` also takes REJECTED, and with
    other recordings a provisioning that waits in ACCEPTED for a submission with recordings that do not work.
    """
    if not set(submission_states) - {SubmissionState.NOT_CREATED}:
        return RETRAINABLE_STATUSES
    return RETRAINABLE_STATUSES | {Status.REJECTED} | ({Status.ACCEPTED} if has_other_recordings else set())


def decide_request(
    status: Status,
    avatar_id: str | None,
    submission_states: Collection[SubmissionState],
    *,
    is_same_request: bool,
    has_called: bool,
    is_erased: bool,
) -> RequestAction:
    """Return what a request does to the existing provisioning of its reference.

    Args:
        status: The status of the provisioning.
        avatar_id: Its avatar at Argil, if one is recorded.
        submission_states: The states of its submissions.
        is_same_request: Whether both requests have the same fingerprint.
        has_called: Whether this caller asked for the provisioning before. A run that starts again has its old
            request, which must not replace a newer one, nor newer signatures of its URLs.
        is_erased: Whether the personal data was erased.
    """
    if is_same_request:
        is_renewable = status is Status.ACCEPTED and not is_erased
        return RequestAction.RENEW if is_renewable and not has_called else RequestAction.ATTACH
    was_never_accepted = avatar_id is None and set(submission_states) <= {SubmissionState.NOT_CREATED}
    is_replaceable = status in REPLACEABLE_STATUSES and was_never_accepted and not is_erased
    return RequestAction.REPLACE if is_replaceable and not has_called else RequestAction.CONFLICT


def reference_conflict(existing: Provisioning) -> ReferenceConflict:
    """Return the error of another request with the reference of this provisioning."""
    is_adopted = existing.kind is RequestKind.ADOPTED
    return (ReferenceIsAdopted if is_adopted else ReferenceConflict)(
        existing.reference, existing.id, existing.status
    )
