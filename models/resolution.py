"""Tells what became of each create, from what the ledger holds: answered, adopted, lost, still unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from models.provisioning import Duplicate, Event, Status, Submission, SubmissionState


class Resolution(StrEnum):
    """How a create was resolved."""

    UNDER_WAY = "under-way"
    """Recorded; its POST may be under way, or its driver died: then the next look settles it."""
    ANSWERED = "answered"
    NOT_TAKEN = "not-taken"
    """Argil surely took nothing."""
    TAKEN = "taken"
    """Argil made its avatar; whether it answered so is told by events that were archived."""
    ADOPTED = "adopted"
    """It got no answer, and its avatar was found by its key."""
    LOST = "lost"
    """It got no answer, and after the grace period no avatar carried its key."""
    UNKNOWN = "unknown"
    """It got no answer, and nobody has settled it yet."""
    DUPLICATE = "duplicate"
    """It made an avatar beyond the one that was kept."""


@dataclass(frozen=True)
class Resolved:
    """What became of one create: the kind, the same in words, and the avatars beyond the one that was kept."""

    kind: Resolution
    told: str
    duplicates: tuple[str, ...] = ()


def resolutions(
    submissions: Sequence[Submission], events: Sequence[Event], duplicates: Sequence[Duplicate]
) -> dict[str, Resolved]:
    """Return by submission id what became of each create of one provisioning. All three oldest first."""
    return {
        one.id: _resolved(
            one,
            next((later for later in submissions if later.ordinal > one.ordinal), None),
            [event for event in events if event.submission_id == one.id],
            tuple(each.avatar_id for each in duplicates if each.submission_id == one.id),
        )
        for one in submissions
    }


def _resolved(
    one: Submission, later: Submission | None, events: Sequence[Event], duplicates: tuple[str, ...]
) -> Resolved:
    kind, told = _settled(one, later, events)
    if duplicates:
        reported = f"duplicate reported: {', '.join(duplicates)}"
        if one.avatar_id is None:
            return Resolved(Resolution.DUPLICATE, f"no answer; {reported}", duplicates)
        told += f"; {reported}"
    return Resolved(kind, told, duplicates)


def _settled(one: Submission, later: Submission | None, events: Sequence[Event]) -> tuple[Resolution, str]:
    match one.state:
        case SubmissionState.PENDING:
            return Resolution.UNDER_WAY, "under way, or left by a driver that died"
        case SubmissionState.NOT_TAKEN:
            status = f" ({one.http_status})" if one.http_status else ""
            return Resolution.NOT_TAKEN, f"Argil surely took nothing{status}"
        case SubmissionState.TAKEN:
            if not events or events[0].to_status is not Status.SUBMITTING:
                return Resolution.TAKEN, "Argil made its avatar; its history was archived"
            return (
                (Resolution.ANSWERED, "answered")
                if _at_once(events)
                else (Resolution.ADOPTED, "no answer; adopted: its avatar was found by its key")
            )
        case SubmissionState.LOST:
            anew = f"submitted anew as #{later.ordinal}" if later else "not submitted anew yet"
            return Resolution.LOST, f"no answer; taken for lost after the grace period, {anew}"
        case SubmissionState.UNKNOWN:
            return Resolution.UNKNOWN, "no answer; still unknown"


def _at_once(events: Sequence[Event]) -> bool:
    """Whether the first thing that followed the recording of the create was its avatar's training."""
    return len(events) > 1 and events[1].to_status is Status.TRAINING
