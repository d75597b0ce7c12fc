"""Argil's requirements for the recordings, as tables of limits.

Argil's page gives round numbers ("1 to 5 minutes", "at most 1.5 GB") without a rounding rule. If a number has two
interpretations, the wider one applies here: a video is rejected only if it breaks the rule in every interpretation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

from models.media.resolution import RESOLUTION_4K, RESOLUTION_720P, ResolutionLimit

CONTAINERS = ("mp4", "mov")

# GB and MB are 1024³ and 1024², the units of file managers on Windows and of many upload forms.
GIB = 1024**3
MIB = 1024**2

# Containers round a track to whole frames and audio packets, and a player displays 59.5 s as 1:00.
DURATION_TOLERANCE_SECONDS = 0.5

# A shorter duration rounds to 0.00 seconds: the file states none. One frame at 120 per second is longer.
MIN_MEASURED_SECONDS = 0.005

# Recorders stop both tracks within a second of each other. A tenth is a rounding error in a recording of minutes.
AUDIO_EXCESS_SECONDS = 1.0
AUDIO_EXCESS_RATIO = 0.1

# Measured with FFmpeg 5.1. Digital silence: AAC 300 to 2,300 (mono and stereo, up to 48 kHz), Opus 1,200,
# FLAC 1,200, ALAC 3,000. Speech at the lowest bit rates, even 70 dB attenuated: Opus 3,600, AAC 8,200.
SILENCE_BITS_PER_SECOND = 3200

Enforcement = Literal["strict", "warn", "off"]
"""The effect of a violation: a rejection, a warning, or none."""

SMALLER_FILE_HINT = "export it with a lower bit rate"


class MediaRole(StrEnum):
    """The purpose of a recording. A dataset or consent recording is a video, a voice sample is audio."""

    DATASET = "dataset"
    CONSENT = "consent"
    IMAGE = "image"
    VOICE_SAMPLE = "voice-sample"

    @property
    def medium(self) -> str:
        """The kind of file that the recording is, in words."""
        return {MediaRole.IMAGE: "image", MediaRole.VOICE_SAMPLE: "audio"}.get(self, "video")

    @property
    def label(self) -> str:
        """The recording in words, as messages name it."""
        own = {MediaRole.IMAGE: "image", MediaRole.VOICE_SAMPLE: "voice sample"}
        return own.get(self, f"{self} {self.medium}")

    @property
    def column(self) -> str:
        """The column of the evidence about the recording."""
        return self.replace("-", "_")

    @property
    def slug(self) -> str:
        """The recording in the names of runs."""
        return self.label.replace(" ", "-")


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


def is_measured(seconds: float) -> bool:
    """Return whether a duration is one: neither zero, as displayed, nor negative, infinite or NaN."""
    return MIN_MEASURED_SECONDS <= seconds < math.inf


class MediaRules(BaseModel):
    """Argil's rules for a video of one role; None without such a rule. `resolution`: minimum and maximum."""

    model_config = ConfigDict(frozen=True)

    max_bytes: int
    max_size_text: str
    min_seconds: int | None = None
    max_seconds: int
    resolution: tuple[ResolutionLimit, ResolutionLimit] | None = None

    def is_too_long(self, seconds: float) -> bool:
        """Return whether a duration breaks the rule, also with the tolerance."""
        return seconds > self.max_seconds + DURATION_TOLERANCE_SECONDS

    def is_too_short(self, seconds: float) -> bool:
        """Return whether a duration breaks the rule, also with the tolerance."""
        return self.min_seconds is not None and seconds < self.min_seconds - DURATION_TOLERANCE_SECONDS


RULES: Mapping[MediaRole, MediaRules] = MappingProxyType(
    {
        MediaRole.DATASET: MediaRules(
            max_bytes=int(1.5 * GIB),
            max_size_text="1.5 GB",
            min_seconds=60,
            max_seconds=300,
            resolution=(RESOLUTION_720P, RESOLUTION_4K),
        ),
        MediaRole.CONSENT: MediaRules(max_bytes=100 * MIB, max_size_text="100 MB", max_seconds=30),
    }
)
"""The rules of the videos. Those of images are in models/media/image_rules.py."""

MAX_IMAGE_BYTES = 10 * MIB
