"""Renders a provisioning for people: the markdown of its Prefect artifact."""

from __future__ import annotations

import re
from collections.abc import Sequence

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
    lines += ["## What to do next", "", outcome.next_step.replace("ID", provisioning.id), ""]
    lines += ["## Timeline", "", "| When | Status | Why |", "|---|---|---|"]
    lines += [f"| {event.at:%Y-%m-%d %H:%M:%S} | {event.to_status} | {_plain(event.why)} |" for event in events]
    return "\n".join(lines)
