"""Renders provisionings as markdown for Prefect artifacts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from models.argil_avatar import Avatar
from models.outcomes import OUTCOMES
from models.provisioning import Provisioning, ProvisioningEvent, Status
from models.redaction import redact, redact_url

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~-])")
_LINK = re.compile(r"https://[^\s<>|]+")
_CODE_SPAN_BREAKERS = re.compile(r"[`|\s]")


def _escape_markdown(text: str) -> str:
    """Escape markdown and HTML markup: names and responses are untrusted input."""
    return _MARKDOWN.sub(r"\\\1", redact(" ".join(text.split())))


def _code_span(text: str) -> str:
    """Return an id as a code span, without characters that end it or its table cell: Argil chooses avatar ids."""
    return f"`{_CODE_SPAN_BREAKERS.sub('·', text)}`"


def _avatar_details(avatar: Avatar) -> list[str]:
    facts = {
        "Size": f"{avatar.width} x {avatar.height}" if avatar.width and avatar.height else None,
        "Orientation": avatar.orientation,
        "Model": avatar.model,
        "Gestures": str(len(avatar.gestures)) if avatar.gestures else None,
    }
    lines = [f"| {label} | {_escape_markdown(value)} |" for label, value in facts.items() if value]
    images = {"Thumbnail": avatar.thumbnail_url, "Cover": avatar.cover_image_url}
    lines += [f"| {label} | <{redact_url(url)}> |" for label, url in images.items() if url and _LINK.fullmatch(url)]
    return lines


def render_provisioning_report(provisioning: Provisioning, events: Sequence[ProvisioningEvent]) -> str:
    """Return markdown with the status, facts, reasons, next step and timeline (UTC), without secrets."""
    outcome = OUTCOMES[provisioning.status]
    avatar = Avatar.parse(provisioning.avatar_snapshot) if provisioning.avatar_snapshot else None
    lines = [
        f"# {_escape_markdown(provisioning.name)}: {provisioning.status}",
        "",
        f"{outcome.description[0].upper()}{outcome.description[1:]}.",
        "",
        "| | |",
        "|---|---|",
        f"| Provisioning | `{provisioning.id}` |",
        f"| Reference | {_escape_markdown(provisioning.reference)} |",
        f"| Avatar at Argil | {_code_span(provisioning.avatar_id) if provisioning.avatar_id else 'none'} |",
        *(_avatar_details(avatar) if avatar and provisioning.status is Status.READY else []),
        "",
    ]
    if provisioning.reasons:
        lines += ["## Reasons", ""]
        lines += [
            f"- **{reason.code}**: {_escape_markdown(reason.message)}. {_escape_markdown(reason.hint)}"
            for reason in provisioning.reasons
        ]
        lines.append("")
    lines += ["## What to do next", "", outcome.next_step_for(provisioning.id), ""]
    lines += ["## Timeline", "", "| Time | Status | Message |", "|---|---|---|"]
    lines += [
        f"| {event.occurred_at:%Y-%m-%d %H:%M:%S} | {event.to_status} | {_escape_markdown(event.message)} |"
        for event in events
    ]
    return "\n".join(lines)


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
    counts: Mapping[Status, int], newest: Mapping[Status, Sequence[Provisioning]], now: datetime
) -> str:
    """Return markdown with the counts per status and the newest provisionings, without secrets.

    Args:
        counts: The number of provisionings per status.
        newest: The newest provisionings per status; those that need attention and those in flight are listed.
        now: The time of the report, in UTC.
    """
    lines = [f"# Avatars, {now:%Y-%m-%d %H:%M} UTC", "", "| Status | Count | Meaning |", "|---|---|---|"]
    lines += [f"| {status} | {count} | {OUTCOMES[status].description} |" for status, count in counts.items()]
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
        _escape_markdown(provisioning.name),
        f"{provisioning.updated_at:%Y-%m-%d %H:%M}",
        _escape_markdown(reasons),
        OUTCOMES[provisioning.status].next_step_for(provisioning.id),
    )
    return f"| {' | '.join(cells)} |"
