"""Reads single numbers from the first directory of a TIFF structure, as EXIF and multi-picture JPEG have it.

A damaged structure has no numbers: viewers ignore it, too.
"""

from __future__ import annotations

import struct

ORIENTATION = 0x0112
NUMBER_OF_PICTURES = 0xB001

_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_SHORT, _LONG = 3, 4
_MAX_ORIENTATION = 8
_EXIF_HEADER = b"Exif\0\0"


def read_orientation(exif: bytes) -> int:
    """Return the orientation (1 to 8) that EXIF data state, with or without their header; 1 without a valid one."""
    value = read_number(exif.removeprefix(_EXIF_HEADER), ORIENTATION)
    return value if value is not None and 1 <= value <= _MAX_ORIENTATION else 1


def read_number(tiff: bytes, tag: int) -> int | None:
    """Return the first number of a tag with whole numbers in the first directory, None without one."""
    order = _BYTE_ORDERS.get(tiff[:4])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for number in range(count):
            entry = start + 2 + 12 * number
            name, kind, length = struct.unpack_from(f"{order}HHI", tiff, entry)
            if name == tag and kind in (_SHORT, _LONG) and length == 1:
                value: int = struct.unpack_from(f"{order}{'H' if kind == _SHORT else 'I'}", tiff, entry + 8)[0]
                return value
    except struct.error:
        return None
    return None
