"""The facts about an image, as the probe reads them from its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class ImageFacts(BaseModel):
    """The facts about an image.

    Attributes:
        size_bytes: Size of the file.
        format: "png", "jpeg" or "webp", by the bytes.
        width: Width in pixels as displayed: after the rotation that EXIF states. None if it is behind the bytes
            that are read of a file that is too large.
        height: Height in pixels as displayed.
        orientation: The EXIF orientation, 1 to 8.
        color: "rgb", "grayscale", "palette" or "cmyk".
        bits_per_channel: Bits of one color of a pixel.
        pictures: The number of pictures in the file.
        is_animated: Whether the file is an animation.
        is_arithmetic: Whether a JPEG has arithmetic coding.
        is_transparent: Whether a pixel is not opaque; None if the picture was not decoded.
        damage: Why programs commonly cannot read the file; None if it shows no reason.
        is_truncated: Whether the damage is that the file ends too early.
        etag: ETag of the host.
        sha256: Digest of the whole file; None if it is too large, and was not read.
        sample_sha256: Digest of its size, first and last bytes; see media/remote/remote_file.py.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_bytes: int
    format: str
    width: int | None = None
    height: int | None = None
    orientation: int = 1
    color: str = "rgb"
    bits_per_channel: int = 8
    pictures: int = 1
    is_animated: bool = False
    is_arithmetic: bool = False
    is_transparent: bool | None = None
    damage: str | None = None
    is_truncated: bool = False
    etag: str | None = None
    sha256: str | None = None
    sample_sha256: str | None = None


def describe_image(facts: Mapping[str, Any] | None) -> str | None:
    """Return the format, the pixels and the size of an image, by its facts as JSON; None without facts."""
    if not facts:
        return None
    pixels = f", {facts['width']}x{facts['height']}" if facts.get("width") else ""
    return f"{facts['format'].upper()}{pixels}, {facts['size_bytes']:,} bytes"
