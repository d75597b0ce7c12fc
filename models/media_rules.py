"""Argil's requirements for the two recordings, as tables of limits.

Argil's page gives round numbers ("1 to 5 minutes", "at most 1.5 GB") without a rounding rule. If a number has two
interpretations, the wider one applies here: a video is rejected only if it breaks the rule in every interpretation.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

CONTAINERS = ("mp4", "mov")

# GB and MB are 1024³ and 1024², the units of file managers on Windows and of many upload forms.
GIB = 1024**3
MIB = 1024**2

# Containers round a track to whole frames and audio packets, and a player displays 59.5 s as 1:00.
DURATION_TOLERANCE_SECONDS = 0.5

Enforcement = Literal["strict", "warn", "off"]
"""The effect of a violation: a rejection, a warning, or none."""

SMALLER_FILE_HINT = "export it with a lower bit rate"


class MediaRole(StrEnum):
    """The purpose of a recording."""

    DATASET = "dataset"
    CONSENT = "consent"


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
