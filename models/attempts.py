"""The attempts of a provisioning: each submission with who asked for it and why, from the events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.provisioning import ProvisioningEvent, Status, Submission
from models.reopening import REQUEST_CHANGES

RECOVERED = "recovered a submission that this ledger had lost"
"""The start of the message of an event that records a submission from its avatar, without a request for it."""


@dataclass(frozen=True)
class Attempt:
    """One submission and the event that led to it."""

    submission: Submission
    requested_by: str
    """The actor: a flow or command. Empty if the event was archived. Of a lost submission: what recovered it."""
    cause: str
    """The event's message; it ends with the person's reason, if one was given."""


def list_attempts(submissions: Sequence[Submission], events: Sequence[ProvisioningEvent]) -> list[Attempt]:
    """Return the attempts of one provisioning, oldest first.

    Args:
        submissions: Its submissions, oldest first.
        events: Its events, oldest first.
    """
    causes: dict[str, ProvisioningEvent] = {}
    latest: ProvisioningEvent | None = None
    for event in events:
        if event.to_status is Status.ACCEPTED and _asks_for_a_submission(event):
            latest = event
        elif event.submission_id is not None and event.message.startswith(RECOVERED):
            causes.setdefault(event.submission_id, event)
        elif event.to_status is Status.SUBMITTING and event.submission_id is not None and latest is not None:
            causes.setdefault(event.submission_id, latest)
    return [
        Attempt(submission, cause.actor if cause else "", cause.message if cause else "")
        for submission in submissions
        for cause in [causes.get(submission.id)]
    ]


def _asks_for_a_submission(event: ProvisioningEvent) -> bool:
    """Return whether an event that leads to ACCEPTED is a wish, and not a check or an error of one that waits."""
    return event.from_status is not Status.ACCEPTED or event.message.startswith(REQUEST_CHANGES)
