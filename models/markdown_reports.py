"""Renders provisionings as markdown for Prefect artifacts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from models.argil_avatar import Avatar
from models.attempts import list_attempts
from models.escaping import inert, markdown, markdown_code, visible
from models.image_facts import describe_image
from models.media_rules import MediaRole
from models.outcomes import OUTCOMES
from models.provisioning import Provisioning, ProvisioningEvent, Status, Submission
from models.redaction import redact, redact_url

MAX_LISTED_EVENTS = 200
"""The newest events of a provisioning in its report; `avatars show` lists all."""
MAX_LISTED_REASONS = 50
"""Reasons of a provisioning in its report."""
MAX_LINK_CHARACTERS = 2000

_LINK = re.compile(r"https://[^\s<>|]+")


def _escape(text: str) -> str:
    return markdown(redact(text))


def _is_link(url: str) -> bool:
    return bool(_LINK.fullmatch(url)) and visible(url) == url and len(url) <= MAX_LINK_CHARACTERS


def _avatar_details(avatar: Avatar) -> list[str]:
    facts = {
        "Size": f"{avatar.width} x {avatar.height}" if avatar.width and avatar.height else None,
        "Orientation": avatar.orientation,
        "Model": avatar.model,
        "Gestures": str(len(avatar.gestures)) if avatar.gestures else None,
    }
    lines = [f"| {label} | {_escape(value)} |" for label, value in facts.items() if value]
    images = {"Thumbnail": avatar.thumbnail_url, "Cover": avatar.cover_image_url}
    lines += [f"| {label} | <{redact_url(url)}> |" for label, url in images.items() if url and _is_link(url)]
    return lines


def _image_row(provisioning: Provisioning) -> list[str]:
    text = describe_image((provisioning.media_facts or {}).get(MediaRole.IMAGE))
    return [] if text is None else [f"| Image | {_escape(text)} |"]


def describe_provisioning(provisioning: Provisioning) -> str:
    """Return the description of the artifact, which Prefect renders as Markdown on some pages, else as text."""
    return f"{inert(redact(provisioning.name))}: {provisioning.status}"


def render_provisioning_report(
    provisioning: Provisioning, events: Sequence[ProvisioningEvent], submissions: Sequence[Submission] = ()
) -> str:
    """Return markdown with the status, facts, reasons, next step, attempts and timeline (UTC), without secrets."""
    outcome = OUTCOMES[provisioning.status]
    avatar = Avatar.parse(provisioning.avatar_snapshot) if provisioning.avatar_snapshot else None
    lines = [
        f"# {_escape(provisioning.name)}: {provisioning.status}",
        "",
        f"{outcome.description[0].upper()}{outcome.description[1:]}.",
        "",
        "| | |",
        "|---|---|",
        f"| Provisioning | `{provisioning.id}` |",
        f"| Reference | {_escape(provisioning.reference)} |",
        f"| Avatar at Argil | {markdown_code(provisioning.avatar_id) if provisioning.avatar_id else 'none'} |",
        *_image_row(provisioning),
        *(_avatar_details(avatar) if avatar and provisioning.status is Status.READY else []),
        "",
    ]
    if provisioning.reasons:
        lines += ["## Reasons", ""]
        lines += [
            f"- **{reason.code}**: {_escape(reason.message)}. {_escape(reason.hint)}"
            for reason in provisioning.reasons[:MAX_LISTED_REASONS]
        ]
        lines.append("")
    lines += ["## What to do next", "", outcome.next_step_for(provisioning.id), ""]
    lines += _attempts_section(submissions, events)
    omitted = len(events) - MAX_LISTED_EVENTS
    note = [f"The first {omitted:,} events are omitted.", ""] if omitted > 0 else []
    lines += ["## Timeline", "", *note, "| Time | Status | By | Message |", "|---|---|---|---|"]
    lines += [
        f"| {event.occurred_at:%Y-%m-%d %H:%M:%S} | {event.to_status} | {_escape(event.actor)} "
        f"| {_escape(event.message)} |"
        for event in events[-MAX_LISTED_EVENTS:]
    ]
    return "\n".join(lines)


def _attempts_section(submissions: Sequence[Submission], events: Sequence[ProvisioningEvent]) -> list[str]:
    """Return the table of the submissions with who asked for each and why; nothing if there is none."""
    if not submissions:
        return []
    lines = ["## Attempts", "", "| # | Time | Requested by | Cause | State | Avatar |", "|---|---|---|---|---|---|"]
    for attempt in list_attempts(submissions, events)[-MAX_LISTED_EVENTS:]:
        submission = attempt.submission
        avatar = markdown_code(submission.avatar_id) if submission.avatar_id else "none"
        lines.append(
            f"| {submission.ordinal} | {submission.created_at:%Y-%m-%d %H:%M:%S} | {_escape(attempt.requested_by)} "
            f"| {_escape(attempt.cause)} | {submission.state} | {avatar} |"
        )
    return [*lines, ""]


_NEEDS_ATTENTION = (
    Status.REFUSED,
    Status.TRAINING_FAILED,
    Status.SUBMISSION_FAILED,
    Status.TIMED_OUT,
    Status.VANISHED,
    Status.REJECTED,
)
_IN_FLIGHT = (Status.TRAINING, Status.SUBMITTING, Status.ACCEPTED)


def render_fleet_report(
    counts: Mapping[Status, int],
    newest: Mapping[Status, Sequence[Provisioning]],
    now: datetime,
    limits: Sequence[str] = (),
    account: Sequence[str] = (),
) -> str:
    """Return markdown with counts, limits, the account and the newest provisionings per status, without secrets.

    Args:
        counts: The number of provisionings per status.
        newest: The newest provisionings per status; those that need attention and those in flight are listed.
        now: The time of the report, in UTC.
        limits: The pauses and the budget of the day, one line each.
        account: How the account at Argil differs from the ledger, one line each.
    """
    lines = [f"# Avatars, {now:%Y-%m-%d %H:%M} UTC", "", "| Status | Count | Meaning |", "|---|---|---|"]
    lines += [f"| {status} | {count} | {OUTCOMES[status].description} |" for status, count in counts.items()]
    if limits:
        lines += ["", "## Limits", "", *(f"- {_escape(line)}" for line in limits)]
    if account:
        lines += ["", "## Account at Argil", "", *(f"- {_escape(line)}" for line in account)]
    for title, statuses in (("Needs attention", _NEEDS_ATTENTION), ("In flight", _IN_FLIGHT)):
        lines += ["", f"## {title}", ""]
        provisionings = [provisioning for status in statuses for provisioning in newest.get(status, ())]
        if not provisionings:
            lines.append("None.")
            continue
        lines += ["| Status | Name | Since (UTC) | Reasons | What to do |", "|---|---|---|---|---|"]
        lines += [_table_row(provisioning) for provisioning in provisionings]
    return "\n".join(lines)


def _table_row(provisioning: Provisioning) -> str:
    reasons = "; ".join(f"{reason.code}: {reason.message}" for reason in provisioning.reasons)
    cells = (
        provisioning.status,
        _escape(provisioning.name),
        f"{provisioning.updated_at:%Y-%m-%d %H:%M}",
        _escape(reasons),
        OUTCOMES[provisioning.status].next_step_for(provisioning.id),
    )
    return f"| {' | '.join(cells)} |"
