"""Reads the markers of a JPEG file (ITU-T T.81): its frame header, scans, EXIF and multi-picture data."""

from __future__ import annotations

import re
import struct

from media.images.exif import NUMBER_OF_PICTURES, read_number, read_orientation
from media.images.structure import EndOfBytes, ImageDamaged, ImageStructure, limit_parts, take

MAX_SCANS = 500
"""Progressive files have about 10. Each scan can take a pass over all pixels; libjpeg-turbo names this limit."""

_SOI, _EOI, _SOS, _APP1, _APP2 = 0xD8, 0xD9, 0xDA, 0xE1, 0xE2
_WITHOUT_LENGTH = {0x01, _SOI, *range(0xD0, 0xD8)}
_ARITHMETIC_FRAMES = {0xC9, 0xCA}
_COMMON_FRAMES = {0xC0, 0xC1, 0xC2, *_ARITHMETIC_FRAMES}
# Lossless, differential and hierarchical frames; C4, C8 and CC are no frames. F7 is JPEG-LS.
_UNCOMMON_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
_BITS = 8
_COLORS = {1: "grayscale", 3: "rgb", 4: "cmyk"}
# What ends the picture data of a scan: a marker that is neither a restart nor an escaped byte.
# Without the bytes FF that may fill up before it: matching their run would take quadratic time.
_NEXT_MARKER = re.compile(rb"\xff[^\xff\0\xd0-\xd7]")


def read_jpeg(data: memoryview, structure: ImageStructure) -> None:
    """Fill in the structure of a JPEG file. Raises ImageDamaged and EndOfBytes."""
    _JpegReader(data, structure).read()


class _JpegReader:
    def __init__(self, data: memoryview, structure: ImageStructure) -> None:
        self._data = data
        self._structure = structure
        self._scans = 0
        self._has_exif = False

    def read(self) -> None:
        position = count = 0
        while True:
            count += 1
            limit_parts(count)
            match = _NEXT_MARKER.search(self._data, position)
            if match is None:
                raise EndOfBytes
            marker, position = self._data[match.end() - 1], match.end()
            if marker == _EOI:
                break
            if marker in _WITHOUT_LENGTH:
                continue
            (length,) = struct.unpack(">H", take(self._data, position, 2))
            self._read_segment(marker, bytes(take(self._data, position + 2, max(length - 2, 0))))
            position += max(length, 2)
        if not self._scans:
            raise ImageDamaged("it has no picture data")

    def _read_segment(self, marker: int, body: bytes) -> None:
        if marker in _UNCOMMON_FRAMES:
            raise ImageDamaged("it is a lossless or hierarchical JPEG, which programs commonly cannot read")
        if marker in _COMMON_FRAMES:
            self._read_frame(marker, body)
        elif marker == _SOS:
            self._scans += 1
            if not self._structure.width:
                raise ImageDamaged("its picture data have no header")
            if self._scans > MAX_SCANS:
                raise ImageDamaged(f"it has more than {MAX_SCANS} scans")
        elif marker == _APP1 and body.startswith(b"Exif\0") and not self._has_exif:
            self._has_exif = True
            self._structure.orientation = read_orientation(body)
        elif marker == _APP2 and body.startswith(b"MPF\0"):
            self._structure.pictures = max(read_number(body[4:], NUMBER_OF_PICTURES) or 1, 1)

    def _read_frame(self, marker: int, body: bytes) -> None:
        structure = self._structure
        if structure.width:
            raise ImageDamaged("it has two headers")
        try:
            bits, height, width, channels = struct.unpack_from(">BHHB", body)
        except struct.error:
            raise ImageDamaged("its header has a wrong length") from None
        if channels not in _COLORS or 0 in (width, height):
            raise ImageDamaged("its header has invalid values")
        structure.width, structure.height = width, height
        structure.color, structure.bits_per_channel = _COLORS[channels], bits
        structure.is_arithmetic = marker in _ARITHMETIC_FRAMES
        if bits != _BITS:
            raise ImageDamaged(f"it has {bits} bits per channel, and programs commonly read JPEG with 8 only")
