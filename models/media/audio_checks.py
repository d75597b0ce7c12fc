"""Checks the audio of a recording: whether it exists, whether it is silent, whether it outlasts the picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from models.media.codes import MediaCode
from models.media.facts import MediaFacts
from models.media.report import RuleRow
from models.media.rules import (
    AUDIO_EXCESS_RATIO,
    AUDIO_EXCESS_SECONDS,
    SILENCE_BITS_PER_SECOND,
    Enforcement,
    MediaRole,
    MediaRules,
    is_measured,
)

_PURPOSE: Mapping[MediaRole, str] = MappingProxyType(
    {MediaRole.DATASET: "the voice is trained on it", MediaRole.CONSENT: "the consent must be audible"}
)


def check_audio(facts: MediaFacts, role: MediaRole, enforcement: Enforcement) -> Iterator[RuleRow]:
    """Check that there is audio, with `enforcement`, and that it is not silent, which is only a warning."""
    if enforcement == "off":
        return
    is_empty = facts.audio_seconds is not None and not is_measured(facts.audio_seconds)
    present = facts.has_audio and not is_empty
    yield RuleRow(
        MediaCode.NO_AUDIO,
        "a file with an audio track",
        "an audio track" if present else "an audio track without audio" if facts.has_audio else "no audio track",
        present,
        f"record it with sound: {_PURPOSE[role]}",
        enforced=enforcement == "strict",
    )
    bit_rate = facts.audio_bit_rate
    if present and bit_rate is not None:
        is_silent = bit_rate < SILENCE_BITS_PER_SECOND
        yield RuleRow(
            MediaCode.SILENT_AUDIO,
            "a recording with audible sound",
            f"audio of {bit_rate / 1000:.1f} kbit/s" + (", as of digital silence" if is_silent else ""),
            not is_silent,
            f"listen to it, check the microphone, and record it again: {_PURPOSE[role]}",
            enforced=False,
        )


def check_audio_length(facts: MediaFacts, rules: MediaRules) -> Iterator[RuleRow]:
    """Check that the audio does not outlast the picture, a warning. Yields nothing if a duration is unknown."""
    picture, audio = facts.duration_seconds, facts.audio_seconds
    if picture is None or audio is None or not is_measured(picture) or not is_measured(audio):
        return
    breaks_limit = rules.is_too_long(audio) and not rules.is_too_long(picture)
    excess = audio - picture
    is_longer = excess > AUDIO_EXCESS_SECONDS and excess > AUDIO_EXCESS_RATIO * picture
    limit = f"; players show the longer, over the limit of {rules.max_seconds} seconds" if breaks_limit else ""
    yield RuleRow(
        MediaCode.AUDIO_LONGER_THAN_VIDEO,
        "a recording whose audio ends with its picture",
        f"{picture:.2f} seconds of picture, {audio:.2f} seconds of audio{limit}",
        not (is_longer or breaks_limit),
        f"cut the audio: ffmpeg -i IN -c copy -t {picture:.2f} -movflags +faststart OUT.mp4",
        enforced=False,
    )
