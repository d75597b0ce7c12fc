"""What a child process tells about an image: the contract between it and its parent. Only standard types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from media.processes.available_bytes import AvailableBytes


@dataclass(frozen=True)
class ImageInspection:
    """The facts about an image.

    Attributes:
        format: "png", "jpeg" or "webp", by its bytes.
        width: Of the stored picture in pixels, before EXIF turns it; 0 if it is behind the bytes fetched.
        height: The same.
        orientation: The EXIF orientation, 1 to 8; 1 also without one, or with a damaged one.
        color: "rgb", "grayscale", "palette" or "cmyk".
        bits_per_channel: Bits of one color of a pixel; of a palette, those of the index.
        pictures: The pictures in the file: the frames of an animation, or those of a multi-picture JPEG.
        is_animated: Whether the file is an animation.
        is_arithmetic: Whether a JPEG has arithmetic coding.
        is_transparent: Whether a pixel is not opaque; None if the picture was not decoded.
        damage: Why programs commonly cannot read the image; None if the file shows no reason.
        is_truncated: Whether the damage is that the file ends too early.
    """

    format: str
    width: int = 0
    height: int = 0
    orientation: int = 1
    color: str = "rgb"
    bits_per_channel: int = 8
    pictures: int = 1
    is_animated: bool = False
    is_arithmetic: bool = False
    is_transparent: bool | None = None
    damage: str | None = None
    is_truncated: bool = False


InspectImage = Callable[[AvailableBytes], ImageInspection]
"""Inspects the bytes of an image, or the first bytes of one that is too large. Raises InspectionFailed."""
