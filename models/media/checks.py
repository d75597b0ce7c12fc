"""Checks the facts about a recording against every rule of its role."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from models.media.audio_checks import check_audio, check_audio_length
from models.media.codes import MediaCode
from models.media.facts import MediaFacts
from models.media.image_checks import check_image
from models.media.image_facts import ImageFacts
from models.media.picture_checks import check_codec, check_duration, check_resolution
from models.media.report import RuleResult, RuleRow, failure_reasons
from models.media.rules import (
    CONTAINERS,
    DEFAULT_MEDIA_POLICY,
    RULES,
    SMALLER_FILE_HINT,
    MediaPolicy,
    MediaRole,
    MediaRules,
)
from models.media.voice_sample_checks import check_voice_sample
from models.reason import Reason


def check_rules(
    facts: MediaFacts | ImageFacts, role: MediaRole, policy: MediaPolicy = DEFAULT_MEDIA_POLICY
) -> list[RuleResult]:
    """Check the facts against every rule of `role`. Rules about the picture are checked only with a video track."""
    if isinstance(facts, ImageFacts):
        rows = check_image(facts)
    else:
        rows = check_voice_sample(facts) if role is MediaRole.VOICE_SAMPLE else _rows(facts, role, policy)
    return [RuleResult.from_row(row, role) for row in rows]


def violations(facts: MediaFacts | ImageFacts, role: MediaRole) -> list[Reason]:
    """Return a reason for every rule of `role` that the facts break, in the order of the rules."""
    return failure_reasons(check_rules(facts, role), role)


def recorded_warnings(
    media_facts: Mapping[str, Any], policy: MediaPolicy = DEFAULT_MEDIA_POLICY, *, is_enforced: bool = True
) -> list[Reason]:
    """Return the warnings of a media check from the facts that the ledger recorded.

    Args:
        media_facts: The facts as JSON, by role. Those that are absent or of an earlier version have no warnings.
        policy: The configurable rules.
        is_enforced: Whether violated rules reject a request; otherwise they are warnings, too.
    """
    warnings: list[Reason] = []
    for role in MediaRole:
        facts_type = ImageFacts if role is MediaRole.IMAGE else MediaFacts
        try:
            facts = facts_type.model_validate(media_facts.get(role))
        except ValidationError:
            continue
        results = check_rules(facts, role, policy)
        if not is_enforced:
            warnings += failure_reasons(results, role)
        warnings += failure_reasons(results, role, enforced=False)
    return warnings


def _rows(facts: MediaFacts, role: MediaRole, policy: MediaPolicy) -> Iterator[RuleRow]:
    rules = RULES[role]
    yield from _check_file(facts, rules)
    if facts.video_codec is not None:
        yield from check_codec(facts.video_codec, facts.pixel_format, facts.color_transfer)
        yield from check_duration(facts.duration_seconds, rules)
        yield from check_resolution(facts.width or 0, facts.height or 0, rules.resolution)
        yield from check_audio_length(facts, rules)
    yield from check_audio(facts, role, policy.audio_enforcement(role))


def _check_file(facts: MediaFacts, rules: MediaRules) -> Iterator[RuleRow]:
    yield RuleRow(
        MediaCode.WRONG_CONTAINER,
        "an MP4 or MOV file",
        facts.container,
        facts.container in CONTAINERS,
        "export it as MP4 (H.264)",
    )
    yield RuleRow(
        MediaCode.FILE_TOO_LARGE,
        f"at most {rules.max_size_text}",
        f"{facts.size_bytes:,} bytes",
        facts.size_bytes <= rules.max_bytes,
        SMALLER_FILE_HINT,
    )
    yield RuleRow(
        MediaCode.NO_VIDEO_STREAM,
        "a file with a video track",
        facts.video_codec or "no video track",
        facts.video_codec is not None,
        "export it with a video track",
    )
