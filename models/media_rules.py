"""Argil's requirements for the two recordings, and checks of a recording's facts against them.

Argil's page gives round numbers ("1 to 5 minutes", "at most 1.5 GB") without a rounding rule. If a number has two
interpretations, the wider one applies here: a video is rejected only if it breaks the rule in every interpretation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

from models.errors import MediaRejected
from models.media_codes import MediaCode
from models.reason import Reason

CONTAINERS = ("mp4", "mov")

# GB and MB are 1024³ and 1024², the units of file managers on Windows and of many upload forms.
GIB = 1024**3
MIB = 1024**2

# Containers round a track to whole frames and audio packets, and a player displays 59.5 s as 1:00.
DURATION_TOLERANCE_SECONDS = 0.5

Enforcement = Literal["strict", "warn", "off"]
"""The effect of a violation: a rejection, a warning, or none."""

# The code without the role, the expected value, the actual value, whether the check passed, and the hint.
_Row = tuple[MediaCode, str, str, bool, str]

SMALLER_FILE_HINT = "export it with a lower bit rate"


class MediaRole(StrEnum):
    """The purpose of a recording."""

    DATASET = "dataset"
    CONSENT = "consent"


class MediaFacts(BaseModel):
    """The facts about a recording, parsed from its index. Facts about the picture are None without a video track.

    `width` and `height` are pixels as displayed, after rotation. `container` is "mp4" or "mov" by the brand that
    the file declares, else that brand. `duration_seconds` is the duration of the longest video track, None if the
    file does not state it. `etag` is the ETag of the host, or None if absent. `sha256` is the digest of the whole
    file, None if it was not requested. `sample_sha256` is that of its size, first and last bytes; see
    media/remote_file.py.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_bytes: int
    container: str
    video_codec: str | None = None
    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    frame_rate: float | None = None
    has_audio: bool
    etag: str | None = None
    sha256: str | None = None
    sample_sha256: str | None = None


class MediaPolicy(BaseModel):
    """The configurable rules: the enforcement of an audio track, and the minimum validity of a presigned URL."""

    model_config = ConfigDict(frozen=True)

    dataset_audio: Enforcement = "warn"
    consent_audio: Enforcement = "strict"
    url_min_validity_seconds: float = 3600

    def audio_enforcement(self, role: MediaRole) -> Enforcement:
        """Return how the rule about the audio track is enforced for a role."""
        return self.dataset_audio if role is MediaRole.DATASET else self.consent_audio


DEFAULT_MEDIA_POLICY = MediaPolicy()


class PixelBounds(BaseModel):
    """Bounds of the long and the short side in pixels, independent of the orientation."""

    model_config = ConfigDict(frozen=True)

    min_long: int
    min_short: int
    max_long: int
    max_short: int


class MediaRules(BaseModel):
    """Argil's rules for one role; None if Argil has no such rule."""

    model_config = ConfigDict(frozen=True)

    max_bytes: int
    max_size_text: str
    min_seconds: int | None = None
    max_seconds: int
    pixels: PixelBounds | None = None


RULES: Mapping[MediaRole, MediaRules] = MappingProxyType(
    {
        MediaRole.DATASET: MediaRules(
            max_bytes=int(1.5 * GIB),
            max_size_text="1.5 GB",
            min_seconds=60,
            max_seconds=300,
            pixels=PixelBounds(min_long=1280, min_short=720, max_long=3840, max_short=2160),
        ),
        MediaRole.CONSENT: MediaRules(max_bytes=100 * MIB, max_size_text="100 MB", max_seconds=30),
    }
)


class RuleResult(BaseModel):
    """The result of one rule for one recording: a row of the printed table.

    `expected` continues the phrase "must be"; `actual` is the value of the recording. `code` is the code of the
    violation, also if the check passed. A rule that is not `enforced` only warns.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    expected: str
    actual: str
    passed: bool
    hint: str
    enforced: bool = True


class MediaReport(BaseModel):
    """The result of a media check: every rule that could be checked for the recording.

    `facts` is None if the recording was rejected before it was probed. `requests` and `bytes_fetched` are the cost
    of the check, or None if there are no facts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: MediaRole
    facts: MediaFacts | None
    checks: tuple[RuleResult, ...]
    requests: int | None = None
    bytes_fetched: int | None = None

    @property
    def reasons(self) -> list[Reason]:
        """One reason for each enforced rule that is broken; empty if the recording is acceptable."""
        return failure_reasons(self.checks, self.role)

    @property
    def warnings(self) -> list[Reason]:
        """One reason for each broken rule that only warns."""
        return failure_reasons(self.checks, self.role, enforced=False)


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


def rejected_result(error: MediaRejected, role: MediaRole) -> RuleResult:
    """Return the failed check for a recording that could not be probed."""
    return RuleResult(
        code=f"{role}.{error.rule_code}",
        expected="a video file that anyone with its URL can download and parse",
        actual=error.message,
        passed=False,
        hint=error.hint,
    )


def failure_reasons(rows: Iterable[RuleResult], role: MediaRole, *, enforced: bool = True) -> list[Reason]:
    """Return a reason for each failed check of the enforced rules, or of the rules that only warn."""
    return [
        Reason(
            code=row.code, message=f"the {role} video must be {row.expected}; actual: {row.actual}", hint=row.hint
        )
        for row in rows
        if not row.passed and row.enforced is enforced
    ]


def violations(facts: MediaFacts, role: MediaRole) -> list[Reason]:
    """Return a reason for every rule of `role` that the facts break, in the order of the rules."""
    return failure_reasons(check_rules(facts, role), role)
