"""What people are told of each event that needs them: Jinja templates, rendered by Prefect's server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.outcomes import OUTCOMES, Outcome
from models.provisioning import Status
from tasks.publish_outcome import DUPLICATE

_ID = "{{ event.payload.provisioning_id }}"
_NAME = "{{ event.resource.name }}"
_AVATAR = "{% if event.payload.avatar_id %}, avatar {{ event.payload.avatar_id }}{% endif %}"
_REASONS = "{% for reason in event.payload.reasons %}- {{ reason.message }}\n{% endfor %}"
_WITH_REASONS = {Status.REJECTED, Status.SUBMISSION_FAILED}
"""The reasons of the others only repeat the meaning."""


@dataclass(frozen=True)
class Notice:
    """One message. `when` says in a word or two what happened."""

    when: str
    event: str
    subject: str
    body: str


def _notice(when: str, event: str, meaning: str, next_step: str, details: str = "") -> Notice:
    # Neither the reference nor the request: both are the caller's own.
    return Notice(
        when,
        event,
        subject=f"Avatar {_NAME}: {when}",
        body=f"{_NAME} (provisioning {_ID}{_AVATAR}): {meaning}.\n{details}\n"
        f"Next: {next_step}.\nEverything about it: `avatars show {_ID}`",
    )


def _notice_of(status: Status, outcome: Outcome, event: str) -> Notice:
    return _notice(
        status.lower().replace("_", " "),
        event,
        outcome.meaning,
        outcome.next_step_of(_ID),
        _REASONS if status in _WITH_REASONS else "",
    )


NOTICES: Sequence[Notice] = (
    *(
        _notice_of(status, outcome, outcome.event)
        for status, outcome in OUTCOMES.items()
        if outcome.event and status is not Status.READY
    ),
    _notice(
        "duplicated",
        DUPLICATE,
        "Argil holds a second avatar of it, {{ event.payload.duplicate_avatar_id }}, which is not used",
        "ask Argil's support to take the second one back: both may have been paid",
    ),
)
