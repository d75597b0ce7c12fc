"""Parses the indexes of fragments: segments (`sidx`), and key frames (`mfra`). All numbers are untrusted."""

from __future__ import annotations

import struct
from itertools import accumulate
from typing import NamedTuple

from media.mp4.boxes import Box, SeekableBytes, iter_children, read_body
from media.mp4.fragment_tables import MAX_TABLE_BYTES

_TFRA_NUMBER_WIDTHS = (4, 2, 0)


def parse_sidx(sidx: Box, table: bytes) -> tuple[int, ...]:
    """Return the offsets of the segments in a segment index, and that of the end of the last one; empty if invalid.

    Args:
        sidx: The box, for its position.
        table: Its body.
    """
    is_wide = table[:1] == b"\x01"
    head = 32 if is_wide else 24
    if len(table) < head:
        return ()
    (first_offset,) = struct.unpack_from(">Q" if is_wide else ">I", table, 20 if is_wide else 16)
    (count,) = struct.unpack_from(">H", table, head - 2)
    if not count or len(table) < head + 12 * count:
        return ()
    sizes = (size & 0x7FFF_FFFF for size, _, _ in struct.iter_unpack(">III", table[head : head + 12 * count]))
    return tuple(accumulate(sizes, initial=sidx.end + first_offset))


class RandomAccess(NamedTuple):
    """The last fragment of a track that starts with a key frame: the tick of that frame, and its offset."""

    ticks: int
    offset: int


def read_mfra(file: SeekableBytes, mfra: Box) -> dict[int, RandomAccess]:
    """Return the last entry of each track in the index of fragments."""
    entries: dict[int, RandomAccess] = {}
    for box in iter_children(file, mfra):
        table = read_body(file, box, MAX_TABLE_BYTES)
        if box.kind != b"tfra" or len(table) < 16:  # noqa: PLR2004  # the size of its header
            continue
        track_id, widths, count = struct.unpack_from(">III", table, 4)
        is_wide = table[0] == 1
        entry = (16 if is_wide else 8) + sum((widths >> shift & 3) + 1 for shift in _TFRA_NUMBER_WIDTHS)
        last = 16 + (count - 1) * entry
        if count and last + entry <= len(table):
            entries[track_id] = RandomAccess(*struct.unpack_from(">QQ" if is_wide else ">II", table, last))
    return entries
