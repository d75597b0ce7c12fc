"""Reads the chunks of a WebP file (RFC 9649): its canvas, its frames and its EXIF data."""

from __future__ import annotations

import struct

from media.images.exif import read_orientation
from media.images.structure import EndOfBytes, ImageDamaged, ImageStructure, limit_parts, take

_FILE_HEADER_BYTES = 12
_CHUNK_HEADER_BYTES = 8
_ANIMATION_FLAG = 0x02
_LOSSY_START_CODE = b"\x9d\x01\x2a"
_LOSSLESS_SIGNATURE = 0x2F
_SIDE_MASK = 0x3FFF


def read_webp(data: memoryview, structure: ImageStructure) -> None:
    """Fill in the structure of a WebP file. Raises ImageDamaged and EndOfBytes."""
    (size,) = struct.unpack_from("<I", take(data, 4, 4))
    end = 8 + size
    frames, count, has_pixels = 0, 0, False
    start = _FILE_HEADER_BYTES
    while start + _CHUNK_HEADER_BYTES <= end:
        count += 1
        limit_parts(count)
        kind, length = struct.unpack("<4sI", take(data, start, _CHUNK_HEADER_BYTES))
        if start + _CHUNK_HEADER_BYTES + length > end:
            raise ImageDamaged("a chunk is longer than the file states")
        body_start = start + _CHUNK_HEADER_BYTES
        if kind in (b"VP8X", b"VP8 ", b"VP8L"):
            has_pixels = has_pixels or kind != b"VP8X"
            if not structure.width:
                _read_size(kind, bytes(data[body_start : body_start + min(length, 16)]), structure)
        elif kind == b"ANMF":
            frames += 1
            structure.pictures, structure.is_animated = frames, True
        elif kind == b"EXIF":
            structure.orientation = read_orientation(bytes(take(data, body_start, length)))
        start = body_start + length + length % 2
    if end > len(data):
        raise EndOfBytes
    if not (has_pixels or frames):
        raise ImageDamaged("it has no picture data")


def _read_size(kind: bytes, body: bytes, structure: ImageStructure) -> None:
    """Fill in the size that the first chunk states: that of the canvas, or of the only picture."""
    if len(body) < 10:  # noqa: PLR2004  # the header of each kind, and the first bytes of a picture
        raise EndOfBytes
    if kind == b"VP8X":
        structure.is_animated = bool(body[0] & _ANIMATION_FLAG)
        width, height = int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    elif kind == b"VP8L":
        if body[0] != _LOSSLESS_SIGNATURE:
            raise ImageDamaged("its header has invalid values")
        bits = int.from_bytes(body[1:5], "little")
        width, height = (bits & _SIDE_MASK) + 1, (bits >> 14 & _SIDE_MASK) + 1
    else:
        if body[3:6] != _LOSSY_START_CODE:
            raise ImageDamaged("its header has invalid values")
        width, height = (side & _SIDE_MASK for side in struct.unpack_from("<HH", body, 6))
        if 0 in (width, height):
            raise ImageDamaged("its header has invalid values")
    structure.width, structure.height = width, height
