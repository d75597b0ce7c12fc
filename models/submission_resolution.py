"""Determines from the ledger how each submission was resolved, for example answered, adopted or lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from models.attempts import RECOVERED
from models.provisioning import DuplicateAvatar, ProvisioningEvent, Status, Submission, SubmissionState


class Resolution(StrEnum):
    """How a submission was resolved."""

    IN_PROGRESS = "in-progress"
    """Recorded; its POST may be in progress. If its process crashed, the next run resolves it."""
    ANSWERED = "answered"
    """Argil answered with the avatar."""
    NOT_CREATED = "not-created"
    """Argil did not create an avatar."""
    CREATED = "created"
    """Argil created an avatar; whether it answered or the avatar was adopted is in the archived events."""
    RECOVERED = "recovered"
    """This ledger had lost the submission; its avatar was found by the submission id, which proves the request."""
    ADOPTED = "adopted"
    """Argil did not answer; the avatar was found by its submission id."""
    LOST = "lost"
    """Argil did not answer, and no avatar had the submission id after the grace period."""
    UNKNOWN = "unknown"
    """Argil did not answer, and the submission is not resolved yet."""
    DUPLICATE = "duplicate"
    """Argil created an avatar for it in addition to the one that was kept."""


@dataclass(frozen=True)
class ResolvedSubmission:
    """The resolution of one submission: its kind, a description, and the ids of additional avatars."""

    kind: Resolution
    description: str
    duplicate_avatar_ids: tuple[str, ...] = ()


def resolve_submissions(
    submissions: Sequence[Submission], events: Sequence[ProvisioningEvent], duplicates: Sequence[DuplicateAvatar]
) -> dict[str, ResolvedSubmission]:
    """Return the resolution of each submission of one provisioning, by submission id.

    Args:
        submissions: The submissions of the provisioning, oldest first.
        events: Its events, oldest first.
        duplicates: Its duplicate avatars, oldest first.
    """
    return {
        submission.id: _resolve(
            submission,
            next((later for later in submissions if later.ordinal > submission.ordinal), None),
            [event for event in events if event.submission_id == submission.id],
            tuple(avatar.avatar_id for avatar in duplicates if avatar.submission_id == submission.id),
        )
        for submission in submissions
    }


def _resolve(
    submission: Submission,
    later: Submission | None,
    events: Sequence[ProvisioningEvent],
    duplicate_avatar_ids: tuple[str, ...],
) -> ResolvedSubmission:
    kind, description = _resolve_by_state(submission, later, events)
    if duplicate_avatar_ids:
        reported = f"duplicate reported: {', '.join(duplicate_avatar_ids)}"
        if submission.avatar_id is None:
            return ResolvedSubmission(Resolution.DUPLICATE, f"no answer; {reported}", duplicate_avatar_ids)
        description += f"; {reported}"
    return ResolvedSubmission(kind, description, duplicate_avatar_ids)


def _resolve_by_state(
    submission: Submission, later: Submission | None, events: Sequence[ProvisioningEvent]
) -> tuple[Resolution, str]:
    match submission.state:
        case SubmissionState.PENDING:
            return Resolution.IN_PROGRESS, "in progress, or its process crashed"
        case SubmissionState.NOT_CREATED:
            status = f" ({submission.http_status})" if submission.http_status else ""
            return Resolution.NOT_CREATED, f"Argil did not create an avatar{status}"
        case SubmissionState.CREATED:
            return _resolve_created(events)
        case SubmissionState.LOST:
            resubmitted = f"submitted again as #{later.ordinal}" if later else "not submitted again yet"
            return Resolution.LOST, f"no answer; presumed lost after the grace period, {resubmitted}"
        case SubmissionState.UNKNOWN:
            return Resolution.UNKNOWN, "no answer; not resolved yet"


def _resolve_created(events: Sequence[ProvisioningEvent]) -> tuple[Resolution, str]:
    if events and events[0].message.startswith(RECOVERED):
        return Resolution.RECOVERED, "this ledger had lost it; its avatar was found by its submission id"
    if not events or events[0].to_status is not Status.SUBMITTING:
        return Resolution.CREATED, "Argil created its avatar; its history was archived"
    if _answered_immediately(events):
        return Resolution.ANSWERED, "answered"
    return Resolution.ADOPTED, "no answer; adopted: its avatar was found by its submission id"


def _answered_immediately(events: Sequence[ProvisioningEvent]) -> bool:
    """Whether the event after the recording of the submission is the training of its avatar."""
    return len(events) > 1 and events[1].to_status is Status.TRAINING
