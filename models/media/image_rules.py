"""Argil's requirements for an image, and the crop or scale that makes a picture meet them.

The source is Argil's page on avatars from images: PNG, JPEG or WEBP, from 1280x720 or 720x1280 to 3840x2160 or
2160x3840, exactly 16:9 or 9:16, at most 10 MB. Pixels are exact, so that a picture of 1366x768 is not 16:9.
"""

from __future__ import annotations

from typing import NamedTuple

FORMATS = ("png", "jpeg", "webp")
MIN_LONG, MIN_SHORT = 1280, 720
MAX_LONG, MAX_SHORT = 3840, 2160
LONG_PART, SHORT_PART = 16, 9

MAX_SIZE_TEXT = "10 MB"
EXPORT_IMAGE_HINT = "export it as PNG, JPEG or WEBP"
SMALLER_IMAGE_HINT = "save it as JPEG with a lower quality; a picture of 3840x2160 then has 1 to 4 MB"
LARGER_IMAGE_HINT = (
    f"use a picture that has at least {MIN_LONG}x{MIN_SHORT} or {MIN_SHORT}x{MIN_LONG} pixels in 16:9 or 9:16; "
    "upscaling adds no detail"
)


class Crop(NamedTuple):
    """The largest part of a picture that is exactly 16:9 or 9:16, and how many pixels it leaves out."""

    width: int
    height: int
    columns: int
    rows: int


def has_exact_ratio(width: int, height: int) -> bool:
    """Return whether a size in pixels is exactly 16:9 or 9:16."""
    short, long = sorted((width, height))
    return long * SHORT_PART == short * LONG_PART


def is_large_enough(width: int, height: int) -> bool:
    """Return whether a size in pixels is not below the minimum, in either orientation."""
    short, long = sorted((width, height))
    return short >= MIN_SHORT and long >= MIN_LONG


def is_small_enough(width: int, height: int) -> bool:
    """Return whether a size in pixels is not above the maximum, in either orientation."""
    short, long = sorted((width, height))
    return short <= MAX_SHORT and long <= MAX_LONG


def find_crop(width: int, height: int) -> Crop:
    """Return the largest crop of a size in pixels: in its own orientation, unless the other one keeps more."""
    wide = min(width // LONG_PART, height // SHORT_PART)
    tall = min(width // SHORT_PART, height // LONG_PART)
    if wide > tall or (wide == tall and width >= height):
        size = wide * LONG_PART, wide * SHORT_PART
    else:
        size = tall * SHORT_PART, tall * LONG_PART
    return Crop(*size, width - size[0], height - size[1])


def describe_fix(width: int, height: int) -> str:
    """Return how to make a picture fit: crop it, scale it down, both, or use another one if it is too small."""
    crop = find_crop(width, height)
    if not is_large_enough(crop.width, crop.height):
        return LARGER_IMAGE_HINT
    steps = []
    if crop.columns or crop.rows:
        rows = _parts(crop.rows, "row", "top", "bottom")
        columns = _parts(crop.columns, "column", "left", "right")
        removed = "; ".join(filter(None, (rows, columns)))
        steps.append(f"crop it to {crop.width}x{crop.height} (remove {removed})")
    if not is_small_enough(crop.width, crop.height):
        is_wide = crop.width > crop.height
        size = (MAX_LONG, MAX_SHORT) if is_wide else (MAX_SHORT, MAX_LONG)
        steps.append(f"scale it to {size[0]}x{size[1]}")
    return ", then ".join(steps)


def _parts(count: int, noun: str, first: str, last: str) -> str:
    """Return how many rows or columns to remove at either end; empty for none."""
    before, after = count // 2, count - count // 2
    if not count:
        return ""
    if not before:
        return f"{after} {noun} at the {last}"
    return f"{before:,} {noun}{'' if before == 1 else 's'} at the {first} and {after:,} at the {last}"
