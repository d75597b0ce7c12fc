"""Decodes an image with Pillow. Untrusted bytes: only child processes call it."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from typing import NamedTuple

from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

# The classes themselves: `Image.open` tries every format that Pillow knows.
_READERS: Mapping[str, type[ImageFile]] = {"png": PngImageFile, "jpeg": JpegImageFile, "webp": WebPImageFile}
_OPAQUE = 255
_PRINTABLE = re.compile(r"[\x20-\x7e]{1,200}")


class Decoded(NamedTuple):
    """The size in pixels, whether a pixel is not opaque, and why decoding failed (None: it did not)."""

    size: tuple[int, int] = (0, 0)
    is_transparent: bool | None = None
    error: str | None = None
    is_truncated: bool = False


def decode(data: bytes, image_format: str) -> Decoded:
    """Decode all pixels of an image. It must be no animation, and its size must be within a limit."""
    try:
        with warnings.catch_warnings(action="ignore"), _READERS[image_format](io.BytesIO(data)) as image:
            image.load()
            return Decoded(image.size, _is_transparent(image))
    except MemoryError:
        return Decoded(error="its decoder needs too much memory")
    except Exception as error:  # noqa: BLE001  # Pillow raises errors of many types for damaged files
        text = str(error)
        shown = text if _PRINTABLE.fullmatch(text) else type(error).__name__
        return Decoded(error=f"Pillow refuses it ({shown})", is_truncated="truncated" in text)


def _is_transparent(image: ImageFile) -> bool:
    if not image.has_transparency_data:
        return False
    if image.mode not in ("LA", "RGBA"):
        if image.mode == "I;16":  # it cannot be converted, and a color is declared transparent
            return True
        with image.convert("RGBA") as converted:
            return _lowest_alpha(converted.getchannel("A").getextrema()) < _OPAQUE
    return _lowest_alpha(image.getchannel("A").getextrema()) < _OPAQUE


def _lowest_alpha(extrema: tuple[object, ...]) -> int:
    lowest = extrema[0]
    return lowest if isinstance(lowest, int) else 0
