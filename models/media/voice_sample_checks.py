"""Checks a voice sample against Argil's advice. Its reference states no limits, so only warnings follow."""

from __future__ import annotations

from collections.abc import Iterator

from models.media.codes import MediaCode
from models.media.facts import MediaFacts
from models.media.report import RuleRow

MIN_SAMPLE_SECONDS = 20
MAX_SAMPLE_SECONDS = 300
MAX_SAMPLE_BYTES = 100 * 1024 * 1024
"""A recording of 5 minutes without compression has 50 MB. A larger file is probably another one."""


def check_voice_sample(facts: MediaFacts) -> Iterator[RuleRow]:
    """Check the size and, if it is known, the duration: 20 seconds to 5 minutes are Argil's advice."""
    yield RuleRow(
        MediaCode.FILE_TOO_LARGE,
        "at most 100 MB",
        f"{facts.size_bytes:,} bytes",
        facts.size_bytes <= MAX_SAMPLE_BYTES,
        "export it as MP3, or cut it to 5 minutes",
        enforced=False,
    )
    if (seconds := facts.audio_seconds) is None:
        return
    yield RuleRow(
        MediaCode.DURATION_TOO_SHORT,
        f"at least {MIN_SAMPLE_SECONDS} seconds long",
        f"{seconds:.1f} seconds",
        seconds >= MIN_SAMPLE_SECONDS,
        "record more natural speech, without silence and noise",
        enforced=False,
    )
    yield RuleRow(
        MediaCode.DURATION_TOO_LONG,
        "at most 5 minutes long",
        f"{seconds:.1f} seconds",
        seconds <= MAX_SAMPLE_SECONDS,
        "cut it to its best 5 minutes",
        enforced=False,
    )
