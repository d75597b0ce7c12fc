"""What the readers of the three formats share: the structure that they fill in, and the errors that end them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ImageStructure:
    """The structure of an image, as far as it was read; see ImageInspection for the fields."""

    format: str
    width: int = 0
    height: int = 0
    orientation: int = 1
    color: str = "rgb"
    bits_per_channel: int = 8
    pictures: int = 1
    is_animated: bool = False
    is_arithmetic: bool = False


MAX_PARTS = 100_000
"""Chunks or segments of a file. Readers take microseconds for each, and Pillow keeps some of them in memory."""


class ImageDamaged(Exception):
    """The image breaks its format, or a limit; the message continues "the image cannot be read: "."""


class EndOfBytes(Exception):
    """The bytes end before the image does."""


def limit_parts(count: int) -> None:
    """Raise ImageDamaged if a file has too many chunks or segments."""
    if count > MAX_PARTS:
        raise ImageDamaged(f"it has more than {MAX_PARTS:,} parts")


def take(data: memoryview, start: int, size: int) -> memoryview:
    """Return `size` bytes from `start`. Raises EndOfBytes if there are fewer."""
    end = start + size
    if end > len(data):
        raise EndOfBytes
    return data[start:end]
