"""What Argil asks of the two recordings, and whether a recording's facts keep to it.

Argil's page gives round numbers ("1 to 5 minutes", "at most 1.5 GB") and not how it rounds. Where a number can be
read in two ways the wider one holds here: a video is refused only if it breaks the rule in every reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

from models.errors import MediaRejected
from models.reason import Reason

CONTAINERS = ("mp4", "mov")

# GB and MB are read as 1024³ and 1024², as file managers on Windows and many upload forms count.
GIB = 1024**3
MIB = 1024**2

# Containers round a track to whole frames and audio packets, and a player shows 59.5 s as 1:00.
DURATION_TOLERANCE_SECONDS = 0.5

Level = Literal["strict", "warn", "off"]
"""What a broken rule leads to: a rejection, a warning, nothing."""

# Of a check: the code without its role, the rule, what was seen, whether it passed, the hint.
_Row = tuple[str, str, str, bool, str]

SMALLER_FILE_HINT = "export it with a lower bit rate"


class MediaRole(StrEnum):
    """What a recording is for."""

    DATASET = "dataset"
    CONSENT = "consent"


class MediaFacts(BaseModel):
    """What is known of a video from its index; what is about the picture is None where there is none.

    `width` and `height` are pixels as displayed, after rotation. `container` is "mp4" or "mov" by the brand that
    the file itself declares, else that brand. `duration_seconds` is that of the longest video track, None where
    the file does not tell. `etag` is the host's, if it gave one; `sha256` is that of the whole file, where it was
    asked for.
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


class Demands(BaseModel):
    """What an operator decides: how much a missing audio track counts, and how long a presigned URL must last."""

    model_config = ConfigDict(frozen=True)

    dataset_audio: Level = "warn"
    consent_audio: Level = "strict"
    url_margin_seconds: float = 3600

    def audio(self, role: MediaRole) -> Level:
        """Return what it means that a recording has no audio track."""
        return self.dataset_audio if role is MediaRole.DATASET else self.consent_audio


DEFAULT_DEMANDS = Demands()


class PixelBounds(BaseModel):
    """Bounds of the long and the short side, in pixels, so that either orientation fits."""

    model_config = ConfigDict(frozen=True)

    min_long: int
    min_short: int
    max_long: int
    max_short: int


class MediaRules(BaseModel):
    """Argil's rules for one role; None where there is no such rule."""

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


class Check(BaseModel):
    """One rule held against one recording: a row of the table that a person reads.

    `rule` goes on from "must be", `seen` is what there is; `code` is the violation's, whether it is one or not. One
    that is not `binding` warns only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    rule: str
    seen: str
    passed: bool
    hint: str
    binding: bool = True


class MediaReport(BaseModel):
    """The outcome of a media check: every rule that could be held against the recording.

    `facts` is None where the recording was rejected before they were known. `requests` and `bytes_fetched` say what
    the check cost, where it got as far as the facts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: MediaRole
    facts: MediaFacts | None
    checks: tuple[Check, ...]
    requests: int | None = None
    bytes_fetched: int | None = None

    @property
    def reasons(self) -> list[Reason]:
        """One reason for each broken rule; empty: nothing speaks against the recording."""
        return reasons(self.checks, self.role)

    @property
    def warnings(self) -> list[Reason]:
        """One for each rule that is broken and does not bind."""
        return reasons(self.checks, self.role, binding=False)


def checks(facts: MediaFacts, role: MediaRole, demands: Demands = DEFAULT_DEMANDS) -> list[Check]:
    """Hold every rule of `role` against the facts. The rules about the picture need a video track to be held."""
    held = [
        Check(code=f"{role}.{name}", rule=rule, seen=seen, passed=passed, hint=hint)
        for name, rule, seen, passed, hint in _rows(facts, RULES[role])
    ]
    if (audio := demands.audio(role)) != "off":
        held.append(_audio_check(role, present=facts.has_audio, binding=audio == "strict"))
    return held


def _audio_check(role: MediaRole, *, present: bool, binding: bool) -> Check:
    heard = "the voice is learned from it" if role is MediaRole.DATASET else "the consent must be heard"
    return Check(
        code=f"{role}.no-audio",
        rule="a file with an audio track",
        seen="an audio track" if present else "no audio track",
        passed=present,
        binding=binding,
        hint=f"record it with sound: {heard}",
    )


def _rows(facts: MediaFacts, rules: MediaRules) -> Iterator[_Row]:
    container, size, codec = facts.container, facts.size_bytes, facts.video_codec
    yield "wrong-container", "an MP4 or MOV file", container, container in CONTAINERS, "export it as MP4 (H.264)"
    yield (
        "file-too-big",
        f"at most {rules.max_size_text}",
        f"{size:,} bytes",
        size <= rules.max_bytes,
        SMALLER_FILE_HINT,
    )
    yield (
        "no-video-stream",
        "a file with a video track",
        codec or "no video track",
        codec is not None,
        "export it with its picture",
    )
    if codec is not None:
        yield from _duration_rows(facts.duration_seconds, rules)
        yield from _pixel_rows(facts.width or 0, facts.height or 0, rules.pixels)


def _duration_rows(seconds: float | None, rules: MediaRules) -> Iterator[_Row]:
    if seconds is None:
        yield (
            "unknown-duration",
            "of known duration",
            "neither its index nor its fragments tell",
            False,
            "rewrite it without loss: ffmpeg -i IN -c copy -movflags +faststart OUT.mp4",
        )
        return
    seen = f"{seconds:.2f} seconds"
    if rules.min_seconds is not None:
        yield (
            "too-short",
            f"at least {rules.min_seconds} seconds long",
            seen,
            seconds >= rules.min_seconds - DURATION_TOLERANCE_SECONDS,
            f"record at least {rules.min_seconds} seconds",
        )
    yield (
        "too-long",
        f"at most {rules.max_seconds} seconds long",
        seen,
        seconds <= rules.max_seconds + DURATION_TOLERANCE_SECONDS,
        f"cut it to {rules.max_seconds} seconds or less",
    )


def _pixel_rows(width: int, height: int, bounds: PixelBounds | None) -> Iterator[_Row]:
    if bounds is None:
        return
    short, long = sorted((width, height))
    yield (
        "too-small",
        f"at least 720p ({bounds.min_long}x{bounds.min_short}, either way up)",
        f"{width}x{height}",
        long >= bounds.min_long and short >= bounds.min_short,
        "record it in 720p or more; enlarging a small picture adds nothing",
    )
    yield (
        "too-large",
        f"at most 4K ({bounds.max_long}x{bounds.max_short}, either way up)",
        f"{width}x{height}",
        long <= bounds.max_long and short <= bounds.max_short,
        "export it in 4K or less",
    )


def rejection(error: MediaRejected, role: MediaRole) -> Check:
    """Return the failed check that stands for a recording whose facts could not be had."""
    return Check(
        code=f"{role}.{error.rule}",
        rule="a video file that anyone with its URL can fetch and read",
        seen=error.message,
        passed=False,
        hint=error.hint,
    )


def reasons(rows: Iterable[Check], role: MediaRole, *, binding: bool = True) -> list[Reason]:
    """Return a reason for each check that failed, of those that bind or of those that warn."""
    return [
        Reason(code=row.code, message=f"the {role} video must be {row.rule}; seen: {row.seen}", hint=row.hint)
        for row in rows
        if not row.passed and row.binding is binding
    ]


def violations(facts: MediaFacts, role: MediaRole) -> list[Reason]:
    """Return every rule of `role` that the facts break, in the order of the rules."""
    return reasons(checks(facts, role), role)
