"""Renders provisionings as markdown for Prefect artifacts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from models.argil.avatar import Avatar
from models.attempts import list_attempts
from models.image_request import CREDITS_PER_IMAGE
from models.media.image_facts import describe_image
from models.media.rules import MediaRole
from models.outcomes import deployment_step, describe, further_reasons, next_step
from models.provisioning import Provisioning, ProvisioningEvent, Status, Submission
from models.release import Release
from models.request import RequestKind
from models.text.escaping import inert, markdown, markdown_code, markdown_with_code, visible
from models.text.redaction import redact
from models.text.url_redaction import redact_url

MAX_LISTED_EVENTS = 200
"""The newest events of a provisioning in its report; `avatars show` lists all."""
MAX_LISTED_REASONS = 50
"""Reasons of a provisioning in its report."""
MAX_LINK_CHARACTERS = 2000

_MEGABYTE = 1_000_000
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
    # The host is the text of the link: an address of Argil's has hundreds of characters and no place to break.
    lines += [
        f"| {label} | [{_escape(urlsplit(url).netloc)}](<{redact_url(url)}>) |"
        for label, url in images.items()
        if url and _is_link(url)
    ]
    return lines


def _voice_details(provisioning: Provisioning) -> list[str]:
    if provisioning.voice_id is not None:
        return [f"| Voice at Argil | {markdown_code(provisioning.voice_id)} ({provisioning.voice_source}) |"]
    return ["| Voice at Argil | not known |"] if provisioning.status is Status.READY else []


def _recordings_section(media_facts: Mapping[str, Any]) -> list[str]:
    """Return the list of the recordings with what the media check read from each; nothing without a check."""
    lines = [
        f"- {_escape(role.replace('-', ' ').capitalize())}: {_escape(', '.join(facts))}"
        for role, values in media_facts.items()
        if role != MediaRole.IMAGE and isinstance(values, Mapping) and (facts := _facts(values))
    ]
    return ["## Recordings", "", *lines, ""] if lines else []


def _facts(values: Mapping[str, Any]) -> list[str]:
    size, seconds = values.get("size_bytes"), values.get("duration_seconds")
    width, height = values.get("width"), values.get("height")
    facts = [
        _size(size) if isinstance(size, int) else None,
        f"{seconds:,.1f} s" if isinstance(seconds, int | float) else None,
        values.get("video_codec"),
        f"{width} x {height} pixels" if width and height else None,
    ]
    return [str(fact) for fact in facts if fact]


def _size(size_bytes: int) -> str:
    return f"{size_bytes / _MEGABYTE:,.1f} MB" if size_bytes >= _MEGABYTE else f"{size_bytes / 1000:,.1f} kB"


def _image_row(provisioning: Provisioning) -> list[str]:
    text = describe_image((provisioning.media_facts or {}).get(MediaRole.IMAGE))
    return [] if text is None else [f"| Image | {_escape(text)} |"]


def describe_provisioning(provisioning: Provisioning) -> str:
    """Return the description of the artifact, which Prefect renders as Markdown on some pages, else as text."""
    return f"{inert(redact(provisioning.name))}: {provisioning.status}"


def render_provisioning_report(
    provisioning: Provisioning,
    events: Sequence[ProvisioningEvent],
    submissions: Sequence[Submission] = (),
    releases: Sequence[Release] = (),
) -> str:
    """Return markdown with the status, facts, reasons, next step, attempts and timeline, without secrets.

    Args:
        provisioning: The provisioning.
        events: Its events, oldest first.
        submissions: Its submissions, oldest first.
        releases: The releases of its recordings from quarantine; empty while one is in quarantine.
    """
    description = describe(provisioning, is_released=bool(releases))
    avatar = Avatar.parse(provisioning.avatar_snapshot) if provisioning.avatar_snapshot else None
    lines = [
        f"# {_escape(provisioning.name)}: {provisioning.status}",
        "",
        f"{_escape(description[0].upper() + description[1:])}.",
        "",
        "| | |",
        "|---|---|",
        f"| Provisioning | {markdown_code(provisioning.id)} |",
        f"| Reference | {_escape(provisioning.reference)} |",
        f"| Avatar at Argil | {markdown_code(provisioning.avatar_id) if provisioning.avatar_id else 'none'} |",
        *_image_details(provisioning),
        *_image_row(provisioning),
        *_voice_details(provisioning),
        *(_avatar_details(avatar) if avatar and provisioning.status is Status.READY else []),
        "",
    ]
    if reasons := [reason.addressed_to(provisioning.id) for reason in further_reasons(provisioning, description)]:
        lines += ["## Reasons", ""]
        lines += [
            f"- **{reason.code}**: {_escape(reason.message)}. {markdown_with_code(redact(reason.hint))}".rstrip()
            for reason in reasons[:MAX_LISTED_REASONS]
        ]
        lines.append("")
    lines += ["## What to do next", ""]
    lines.append(f"- {markdown_with_code(next_step(provisioning, is_released=bool(releases)))}")
    if not releases and (step := deployment_step(provisioning)):
        lines.append(f"- In Prefect: {markdown_with_code(step)}")
    lines.append("")
    lines += [
        f"Released from quarantine at {_time(release.released_at)}: {_escape(release.reason)}\n"
        for release in releases
    ]
    lines += _recordings_section(provisioning.media_facts or {})
    lines += _attempts_section(submissions, events)
    omitted = len(events) - MAX_LISTED_EVENTS
    note = [f"The first {omitted:,} events are omitted.", ""] if omitted > 0 else []
    lines += ["## Timeline", "", *note]
    lines += [
        f"- {_time(event.occurred_at)}, **{event.to_status}** by {_escape(event.actor)}: {_escape(event.message)}"
        for event in events[-MAX_LISTED_EVENTS:]
    ]
    return "\n".join(lines)


def _image_details(provisioning: Provisioning) -> list[str]:
    """Return the row of an avatar from an image; nothing for one from videos."""
    if provisioning.kind is not RequestKind.IMAGE:
        return []
    return [f"| Made from | an image; {CREDITS_PER_IMAGE} credits per submission that Argil accepts |"]


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _attempts_section(submissions: Sequence[Submission], events: Sequence[ProvisioningEvent]) -> list[str]:
    """Return the list of the submissions with who asked for each and why; nothing if there is none."""
    if not submissions:
        return []
    lines = ["## Attempts", ""]
    for attempt in list_attempts(submissions, events)[-MAX_LISTED_EVENTS:]:
        submission = attempt.submission
        avatar = markdown_code(submission.avatar_id) if submission.avatar_id else "none"
        asked = f" by {_escape(attempt.requested_by)}: {_escape(attempt.cause)}" if attempt.requested_by else ""
        lines.append(
            f"- Attempt {submission.ordinal} at {_time(submission.created_at)}{asked}. "
            f"{submission.state}, avatar {avatar}"
        )
    return [*lines, ""]
