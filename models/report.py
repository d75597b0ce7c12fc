"""Renders a provisioning for people: the markdown of its Prefect artifact."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from models.avatar import Avatar
from models.outcomes import OUTCOMES
from models.provisioning import Event, Provisioning, Status
from models.redaction import redact, redact_url

_LINK = re.compile(r"https://[^\s<>|]+")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~-])")
_LINK = re.compile(r"https://[^\s<>|]+")
_BREAKS_CODE = re.compile(r"[`|\s]")


def _plain(text: str) -> str:
    """Escape what markdown or HTML would read as markup: names and answers come from outside."""
    return _MARKDOWN.sub(r"\\\1", redact(" ".join(text.split())))


def _code(text: str) -> str:
    """Return an identifier as code, without what could end the code or its table cell: Argil names avatars."""
    return f"`{_BREAKS_CODE.sub('·', text)}`"


def _facts(avatar: Avatar) -> list[str]:
    facts = {
        "Size": f"{avatar.width} x {avatar.height}" if avatar.width and avatar.height else None,
        "Orientation": avatar.orientation,
        "Model": avatar.model,
        "Gestures": str(len(avatar.gestures)) if avatar.gestures else None,
    }
    lines = [f"| {label} | {_plain(value)} |" for label, value in facts.items() if value]
    images = {"Thumbnail": avatar.thumbnail_url, "Cover": avatar.cover_image_url}
    lines += [f"| {label} | <{redact_url(url)}> |" for label, url in images.items() if url and _LINK.fullmatch(url)]
    return lines


def avatar_report(provisioning: Provisioning, events: Sequence[Event]) -> str:
    """Return markdown: status, facts, reasons, what to do next, and the timeline (UTC). Free of secrets."""
    outcome = OUTCOMES[provisioning.status]
    avatar = Avatar.read(provisioning.avatar) if provisioning.avatar else None
    lines = [
        f"# {_plain(provisioning.name)}: {provisioning.status}",
        "",
        f"{outcome.meaning[0].upper()}{outcome.meaning[1:]}.",
        "",
        "| | |",
        "|---|---|",
        f"| Provisioning | `{provisioning.id}` |",
        f"| Reference | {_plain(provisioning.reference)} |",
        f"| Avatar at Argil | {_code(provisioning.avatar_id) if provisioning.avatar_id else 'none'} |",
        *(_facts(avatar) if avatar and provisioning.status is Status.READY else []),
        "",
    ]
    if provisioning.reasons:
        lines += ["## Reasons", ""]
        lines += [
            f"- **{reason.code}**: {_plain(reason.message)}. {_plain(reason.hint)}"
            for reason in provisioning.reasons
        ]
        lines.append("")
    lines += ["## What to do next", "", outcome.next_step_of(provisioning.id), ""]
    lines += ["## Timeline", "", "| When | Status | Why |", "|---|---|---|"]
    lines += [f"| {event.at:%Y-%m-%d %H:%M:%S} | {event.to_status} | {_plain(event.why)} |" for event in events]
    return "\n".join(lines)


_NEEDS_A_PERSON = (
    Status.REFUSED,
    Status.TRAINING_FAILED,
    Status.SUBMISSION_FAILED,
    Status.TIMED_OUT,
    Status.VANISHED,
    Status.REJECTED,
)
_IN_FLIGHT = (Status.TRAINING, Status.SUBMITTING, Status.ACCEPTED)


def fleet_report(
    counts: Mapping[Status, int], newest: Mapping[Status, Sequence[Provisioning]], now: datetime
) -> str:
    """Return markdown: counts, what needs a person and what to do, what is in flight. Free of secrets."""
    lines = [f"# Avatars, {now:%Y-%m-%d %H:%M} UTC", "", "| Status | Count | Means |", "|---|---|---|"]
    lines += [f"| {status} | {count} | {OUTCOMES[status].meaning} |" for status, count in counts.items()]
    for title, statuses in (("Needs a person", _NEEDS_A_PERSON), ("In flight", _IN_FLIGHT)):
        lines += ["", f"## {title}", ""]
        listed = [one for status in statuses for one in newest.get(status, ())]
        if not listed:
            lines.append("Nothing.")
            continue
        lines += ["| Status | Name | Since (UTC) | Why | What to do |", "|---|---|---|---|---|"]
        lines += [_row(one) for one in listed]
    return "\n".join(lines)


def _row(one: Provisioning) -> str:
    why = "; ".join(f"{reason.code}: {reason.message}" for reason in one.reasons)
    to_do = OUTCOMES[one.status].next_step_of(one.id)
    return f"| {one.status} | {_plain(one.name)} | {one.updated_at:%Y-%m-%d %H:%M} | {_plain(why)} | {to_do} |"
