"""Checks the facts about a recording against the rules of its role."""

from __future__ import annotations

from collections.abc import Iterator

from models.media_codes import MediaCode
from models.media_facts import MediaFacts
from models.media_report import RuleResult, failure_reasons
from models.media_rules import (
    CONTAINERS,
    DEFAULT_MEDIA_POLICY,
    DURATION_TOLERANCE_SECONDS,
    RULES,
    SMALLER_FILE_HINT,
    MediaPolicy,
    MediaRole,
    MediaRules,
    PixelBounds,
)
from models.reason import Reason

# The code without the role, the expected value, the actual value, whether the check passed, and the hint.
_Row = tuple[MediaCode, str, str, bool, str]


def check_rules(facts: MediaFacts, role: MediaRole, policy: MediaPolicy = DEFAULT_MEDIA_POLICY) -> list[RuleResult]:
    """Check the facts against every rule of `role`. Rules about the picture are checked only with a video track."""
    results = [
        RuleResult(code=f"{role}.{name}", expected=expected, actual=actual, passed=passed, hint=hint)
        for name, expected, actual, passed, hint in _rule_results(facts, RULES[role])
    ]
    if (audio := policy.audio_enforcement(role)) != "off":
        results.append(_check_audio(role, present=facts.has_audio, enforced=audio == "strict"))
    return results


def _check_audio(role: MediaRole, *, present: bool, enforced: bool) -> RuleResult:
    cause = "the voice is trained on it" if role is MediaRole.DATASET else "the consent must be audible"
    return RuleResult(
        code=f"{role}.{MediaCode.NO_AUDIO}",
        expected="a file with an audio track",
        actual="an audio track" if present else "no audio track",
        passed=present,
        enforced=enforced,
        hint=f"record it with sound: {cause}",
    )


def _rule_results(facts: MediaFacts, rules: MediaRules) -> Iterator[_Row]:
    container, size, codec = facts.container, facts.size_bytes, facts.video_codec
    yield (
        MediaCode.WRONG_CONTAINER,
        "an MP4 or MOV file",
        container,
        container in CONTAINERS,
        "export it as MP4 (H.264)",
    )
    yield (
        MediaCode.FILE_TOO_LARGE,
        f"at most {rules.max_size_text}",
        f"{size:,} bytes",
        size <= rules.max_bytes,
        SMALLER_FILE_HINT,
    )
    yield (
        MediaCode.NO_VIDEO_STREAM,
        "a file with a video track",
        codec or "no video track",
        codec is not None,
        "export it with a video track",
    )
    if codec is not None:
        yield from _duration_results(facts.duration_seconds, rules)
        yield from _resolution_results(facts.width or 0, facts.height or 0, rules.pixels)


def _duration_results(seconds: float | None, rules: MediaRules) -> Iterator[_Row]:
    if seconds is None:
        yield (
            MediaCode.UNKNOWN_DURATION,
            "of known duration",
            "not stated in the index or the fragments",
            False,
            "remux it without quality loss: ffmpeg -i IN -c copy -movflags +faststart OUT.mp4",
        )
        return
    actual = f"{seconds:.2f} seconds"
    if rules.min_seconds is not None:
        yield (
            MediaCode.DURATION_TOO_SHORT,
            f"at least {rules.min_seconds} seconds long",
            actual,
            seconds >= rules.min_seconds - DURATION_TOLERANCE_SECONDS,
            f"record at least {rules.min_seconds} seconds",
        )
    yield (
        MediaCode.DURATION_TOO_LONG,
        f"at most {rules.max_seconds} seconds long",
        actual,
        seconds <= rules.max_seconds + DURATION_TOLERANCE_SECONDS,
        f"cut it to {rules.max_seconds} seconds or less",
    )


def _resolution_results(width: int, height: int, bounds: PixelBounds | None) -> Iterator[_Row]:
    if bounds is None:
        return
    short, long = sorted((width, height))
    yield (
        MediaCode.RESOLUTION_TOO_LOW,
        f"at least 720p ({bounds.min_long}x{bounds.min_short}, in either orientation)",
        f"{width}x{height}",
        long >= bounds.min_long and short >= bounds.min_short,
        "record it in 720p or more; upscaling does not add detail",
    )
    yield (
        MediaCode.RESOLUTION_TOO_HIGH,
        f"at most 4K ({bounds.max_long}x{bounds.max_short}, in either orientation)",
        f"{width}x{height}",
        long <= bounds.max_long and short <= bounds.max_short,
        "export it in 4K or less",
    )


def violations(facts: MediaFacts, role: MediaRole) -> list[Reason]:
    """Return a reason for every rule of `role` that the facts break, in the order of the rules."""
    return failure_reasons(check_rules(facts, role), role)
