"""Reads where the samples of a track are (`dref` box): in this file, or in another one."""

from __future__ import annotations

import struct

_ENTRY = struct.Struct(">I4sI")
_HEADER_BYTES = 8
_SELF_CONTAINED = 1


def is_external(dref: bytes, number: int) -> bool:
    """Return whether an entry of the body of a `dref` box names another file.

    Args:
        dref: The body. A missing or damaged one has no such entry.
        number: The number of the entry, from 1 on.
    """
    offset = _HEADER_BYTES
    while offset + _ENTRY.size <= len(dref):
        length, _, flags = _ENTRY.unpack_from(dref, offset)
        number -= 1
        if not number:
            # Some tools omit the flag, but name no file then.
            return not flags & _SELF_CONTAINED and any(dref[offset + _ENTRY.size : offset + length])
        offset += max(length, _ENTRY.size)
    return False
