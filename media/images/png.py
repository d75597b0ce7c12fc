"""Reads the chunks of a PNG file (PNG Specification, Third Edition): its header, animation and compressed texts."""

from __future__ import annotations

import re
import struct
import zlib

from media.images.exif import read_orientation
from media.images.structure import ImageDamaged, ImageStructure, limit_parts, take

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_EXPANDED_BYTES = 1024 * 1024
"""Of a compressed chunk beside the picture. Pillow refuses a file with more, and services commonly use Pillow."""
MAX_EXPANDED_TOTAL_BYTES = 64 * MAX_EXPANDED_BYTES

_HEADER_BYTES = 13
_CHUNK_NAME = re.compile(rb"[A-Za-z]{4}")
# Color type: its name, and the bits per channel that it may have.
_COLORS = {
    0: ("grayscale", (1, 2, 4, 8, 16)),
    2: ("rgb", (8, 16)),
    3: ("palette", (1, 2, 4, 8)),
    4: ("grayscale", (8, 16)),
    6: ("rgb", (8, 16)),
}


def read_png(data: memoryview, structure: ImageStructure) -> None:
    """Fill in the structure of a PNG file. Raises ImageDamaged and EndOfBytes."""
    _PngReader(data, structure).read()


class _PngReader:
    def __init__(self, data: memoryview, structure: ImageStructure) -> None:
        self._data = data
        self._structure = structure
        self._expanded_bytes = 0
        self._has_pixels = False
        self._is_default_image_a_frame = False
        self._frames = 0
        self._declares_animation = False

    def read(self) -> None:
        if bytes(take(self._data, 0, len(SIGNATURE))) != SIGNATURE:
            raise ImageDamaged("the first bytes of a PNG are changed, as by an upload as text")
        start, kind, count = len(SIGNATURE), b"", 0
        while kind != b"IEND":
            count += 1
            limit_parts(count)
            is_first = start == len(SIGNATURE)
            kind, body = self._chunk(start)
            if is_first != (kind == b"IHDR"):
                raise ImageDamaged("its header is not at its start")
            self._read_chunk(kind, body)
            start += len(body) + 12
        if not self._has_pixels:
            raise ImageDamaged("it has no picture data")

    def _chunk(self, start: int) -> tuple[bytes, memoryview]:
        length, kind = struct.unpack(">I4s", take(self._data, start, 8))
        if not _CHUNK_NAME.fullmatch(kind):
            raise ImageDamaged(f"no chunk begins at byte {start:,}")
        body = take(self._data, start + 8, length)
        (checksum,) = struct.unpack(">I", take(self._data, start + 8 + length, 4))
        if zlib.crc32(body, zlib.crc32(kind)) != checksum:
            raise ImageDamaged(f"the checksum of its chunk {kind.decode()} is wrong")
        return kind, body

    def _read_chunk(self, kind: bytes, body: memoryview) -> None:
        match kind:
            case b"IHDR":
                self._read_header(body)
            case b"IDAT":
                self._has_pixels = True
                self._is_default_image_a_frame = self._is_default_image_a_frame or self._frames > 0
            case b"acTL":
                self._declares_animation = self._declares_animation or not self._has_pixels
            case b"fcTL":
                self._frames += 1
            case b"eXIf":
                self._structure.orientation = read_orientation(bytes(body))
            case b"iCCP" | b"zTXt" | b"iTXt":
                self._limit_expansion(kind, bytes(body))
        if self._declares_animation and self._frames:
            self._structure.pictures = self._frames + (self._has_pixels and not self._is_default_image_a_frame)
            self._structure.is_animated = self._structure.pictures > 1

    def _read_header(self, body: memoryview) -> None:
        if len(body) != _HEADER_BYTES:
            raise ImageDamaged("its header has a wrong length")
        width, height, bits, color_type = struct.unpack_from(">IIBB", body)
        color, allowed_bits = _COLORS.get(color_type, ("", ()))
        if bits not in allowed_bits or 0 in (width, height):
            raise ImageDamaged("its header has invalid values")
        structure = self._structure
        structure.width, structure.height = width, height
        structure.color, structure.bits_per_channel = color, bits

    def _limit_expansion(self, kind: bytes, body: bytes) -> None:
        """Refuse what expands a thousandfold; damaged compression is left to the decoder, which ignores it."""
        expanded = _expanded_size(_compressed_part(kind, body))
        self._expanded_bytes += expanded
        if expanded > MAX_EXPANDED_BYTES or self._expanded_bytes > MAX_EXPANDED_TOTAL_BYTES:
            raise ImageDamaged(
                f"its chunk {kind.decode()} expands to more than {MAX_EXPANDED_BYTES:,} bytes, or all such chunks "
                f"to more than {MAX_EXPANDED_TOTAL_BYTES:,}"
            )


def _compressed_part(kind: bytes, body: bytes) -> bytes:
    """Return the compressed bytes of a chunk: behind its keyword and method, of iTXt also behind two texts."""
    _, _, rest = body.partition(b"\0")
    if kind != b"iTXt":
        return rest[1:]
    flag, texts = rest[:1], rest[2:]
    return texts.split(b"\0", 2)[-1] if flag == b"\1" else b""


def _expanded_size(data: bytes) -> int:
    try:
        return len(zlib.decompressobj().decompress(data, MAX_EXPANDED_BYTES + 1))
    except zlib.error:
        return 0
