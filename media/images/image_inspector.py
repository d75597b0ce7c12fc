"""Inspects the bytes of an image: its structure, then its pixels. Untrusted bytes: only child processes call it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict

from media.images.inspection import ImageInspection
from media.images.jpeg import read_jpeg
from media.images.pillow_decoder import decode
from media.images.png import read_png
from media.images.structure import EndOfBytes, ImageDamaged, ImageStructure
from media.images.webp import read_webp
from media.processes.available_bytes import AvailableBytes

MAX_DECODED_PIXELS = 3840 * 2160
"""A picture with more is above the maximum of the rules, so that it is rejected without decoding it."""

_READERS: Mapping[bytes, tuple[str, Callable[[memoryview, ImageStructure], None]]] = {
    b"\x89PNG": ("png", read_png),
    b"\xff\xd8\xff": ("jpeg", read_jpeg),
    b"RIFF": ("webp", read_webp),
}


def inspect_image(available: AvailableBytes) -> ImageInspection:
    """Return the facts about an image. If it is complete, one picture and not too large, it is decoded, too.

    Args:
        available: All bytes, or the first ones of a file that is too large. Their kind is known; see
            media/kinds/image_kinds.py.
    """
    data = available.blocks[0][1]
    name, read = next(reader for magic, reader in _READERS.items() if data.startswith(magic))
    structure = ImageStructure(name)
    try:
        read(memoryview(data), structure)
    except ImageDamaged as error:
        return ImageInspection(**asdict(structure), damage=str(error))
    except EndOfBytes:
        is_truncated = len(data) == available.size
        damage = "it ends too early" if is_truncated else None
        return ImageInspection(**asdict(structure), damage=damage, is_truncated=is_truncated)
    if structure.is_animated or structure.width * structure.height > MAX_DECODED_PIXELS:
        return ImageInspection(**asdict(structure))
    decoded = decode(data, name)
    damage = decoded.error
    if damage is None and decoded.size != (structure.width, structure.height):
        damage = "its headers state different sizes"
    return ImageInspection(
        **asdict(structure),
        is_transparent=decoded.is_transparent,
        damage=damage,
        is_truncated=decoded.is_truncated,
    )
