"""The two readings of a limit such as "720p" or "4K" on the resolution of a video.

The narrow reading is a frame of 16:9 (1280x720, 3840x2160) that fits inside the picture, or around it. Argil's
page on avatars from pictures states it so. Its page on videos only has the words "720p" and "4K", which can also
mean one side: "720p" counts the lines, "4K" the columns, of which cinemas have 4096. The wide reading accepts
either side.

A count of pixels would accept nothing more: a picture that breaks both sides has too few or too many pixels, too.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

# The longest format in cinemas, Ultra Panavision, is 2.76:1. One side of a longer picture says nothing about it.
MAX_ASPECT_RATIO = 3


class Fit(StrEnum):
    """By which of its sides a picture is within a limit."""

    BOTH_SIDES = "both sides"
    SHORT_SIDE = "its short side only"
    LONG_SIDE = "its long side only"
    NO_SIDE = "no side"


class ResolutionLimit(BaseModel):
    """A limit on the sides of a picture in pixels, in either orientation.

    Attributes:
        name: The usual name of the limit.
        is_minimum: Whether the limit is a minimum; else it is a maximum.
        short: The limit of the short side, in both readings.
        long: The limit of the long side in the narrow reading.
        wide_long: The limit of the long side in the wide reading.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    is_minimum: bool
    short: int
    long: int
    wide_long: int

    def fit(self, width: int, height: int) -> Fit:
        """Return by which of its sides a picture is within this limit."""
        short, long = sorted((width, height))
        if self._accepts(short, self.short) and self._accepts(long, self.long):
            return Fit.BOTH_SIDES
        if long <= MAX_ASPECT_RATIO * short:
            if self._accepts(short, self.short):
                return Fit.SHORT_SIDE
            if self._accepts(long, self.wide_long):
                return Fit.LONG_SIDE
        return Fit.NO_SIDE

    def _accepts(self, side: int, limit: int) -> bool:
        return side >= limit if self.is_minimum else side <= limit

    @property
    def bound(self) -> str:
        """The kind of the limit in words."""
        return "at least" if self.is_minimum else "at most"

    def describe_wide(self) -> str:
        """Return the wide reading, as words after "must be"."""
        return (
            f"{self.bound} {self.name} by one side ({self.bound} {self.short} pixels on the short side or "
            f"{self.wide_long} on the long side, in a shape up to {MAX_ASPECT_RATIO}:1)"
        )


RESOLUTION_720P = ResolutionLimit(name="720p", is_minimum=True, short=720, long=1280, wide_long=1280)
RESOLUTION_4K = ResolutionLimit(name="4K", is_minimum=False, short=2160, long=3840, wide_long=4096)
