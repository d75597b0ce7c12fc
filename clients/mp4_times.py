"""Reads the tables of a fragmented MP4 that tell times: of a track, of a fragment, and of all that is to come.

Every number in them comes from outside: sizes are held against the bytes there are, and sums are Python's own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from clients.mp4_boxes import Box, SeekableBytes, body, boxes, unreadable

MAX_TABLE_BYTES = 1024 * 1024

_TFHD_BEFORE_DURATION = ((0x1, 8), (0x2, 4))
_TFHD_DURATION = 0x8
_TRUN_BEFORE_FRAMES = ((0x1, 4), (0x4, 4))
_TRUN_DURATION = 0x100
_TRUN_OF_A_FRAME = (0x100, 0x200, 0x400, 0x800)
_TFRA_NUMBER_WIDTHS = (4, 2, 0)


class TrackTimes(NamedTuple):
    """What the index tells of a track: ticks a second, ticks that the index itself holds, ticks of a frame."""

    timescale: int
    indexed: int
    frame: int


class Subsegments(NamedTuple):
    """What a `sidx` tells of the rest of the file: where it ends, and how many seconds it lasts."""

    end: int
    seconds: float


def track_times(file: SeekableBytes, moov: Box, track: int) -> TrackTimes:
    """Read what the index tells of a track; all zero where there is no such track."""
    timescale = indexed = frame = 0
    for box in boxes(file, moov.body, moov.end):
        if box.kind == b"trak" and (found := _media_header(file, box, track)):
            timescale, indexed = found
        elif box.kind == b"mvex":
            for table in _tables(file, box, b"trex", 24):
                number, _, ticks = struct.unpack_from(">iII", table, 4)
                frame = ticks if number == track else frame
    return TrackTimes(timescale, indexed, frame)


def _media_header(file: SeekableBytes, trak: Box, track: int) -> tuple[int, int] | None:
    """Return timescale and duration of a track in ticks, None where it is another one."""
    header = next(_tables(file, trak, b"tkhd", 84), b"")
    if not header or struct.unpack_from(">i", header, 20 if header[0] == 1 else 12)[0] != track:
        return None
    for box in boxes(file, trak.body, trak.end):
        if box.kind == b"mdia":
            for table in _tables(file, box, b"mdhd", 24):
                if table[0] != 1:
                    return struct.unpack_from(">II", table, 12)
                return struct.unpack_from(">IQ", table, 20) if len(table) >= 32 else None  # noqa: PLR2004  # its size
    return None


def spans(file: SeekableBytes, moof: Box, track: int, frame: int) -> Iterator[tuple[int, int]]:
    """Yield where the track's parts of a fragment begin and end, in ticks; `frame` is the track's own default."""
    for traf in boxes(file, moof.body, moof.end):
        header = next(_tables(file, traf, b"tfhd", 8), b"") if traf.kind == b"traf" else b""
        begins = next(_tables(file, traf, b"tfdt", 8), b"") if header else b""
        if not begins or struct.unpack_from(">i", header, 4)[0] != track:
            continue
        flags = int.from_bytes(header[1:4])
        at = 8 + sum(size for flag, size in _TFHD_BEFORE_DURATION if flags & flag)
        if flags & _TFHD_DURATION and len(header) >= at + 4:
            (frame,) = struct.unpack_from(">I", header, at)
        begin = int.from_bytes(begins[4 : 12 if begins[0] == 1 else 8])
        yield begin, begin + sum(_ticks(table, frame) for table in _tables(file, traf, b"trun", 8))


def _ticks(trun: bytes, frame: int) -> int:
    """Return how long the frames of a run last together."""
    flags, count = int.from_bytes(trun[1:4]), int.from_bytes(trun[4:8])
    if not flags & _TRUN_DURATION:
        return count * frame
    at = 8 + sum(size for flag, size in _TRUN_BEFORE_FRAMES if flags & flag)
    each = struct.Struct(f">{sum(bool(flags & flag) for flag in _TRUN_OF_A_FRAME)}I")
    if at + count * each.size > len(trun):
        raise unreadable(f"one of its fragments claims {count:,} frames")
    return sum(ticks for ticks, *_ in each.iter_unpack(trun[at : at + count * each.size]))


def subsegments(file: SeekableBytes, sidx: Box, track: int) -> Subsegments | None:
    """Read an index of all that comes; None where it is another track's or cut short."""
    table = body(file, sidx, MAX_TABLE_BYTES)
    wide = table[:1] == b"\x01"
    head = 32 if wide else 24
    if len(table) < head:
        return None
    number, timescale = struct.unpack_from(">iI", table, 4)
    (first,) = struct.unpack_from(">Q" if wide else ">I", table, 20 if wide else 16)
    (count,) = struct.unpack_from(">H", table, head - 2)
    if number != track or timescale == 0 or len(table) < head + 12 * count:
        return None
    listed = list(struct.iter_unpack(">III", table[head : head + 12 * count]))
    size = sum(size & 0x7FFF_FFFF for size, _, _ in listed)
    return Subsegments(sidx.end + first + size, sum(ticks for _, ticks, _ in listed) / timescale)


def last_random_access(file: SeekableBytes, mfra: Box, track: int) -> int | None:
    """Return where the last fragment with a whole picture of the track begins, None where it is not told."""
    for table in _tables(file, mfra, b"tfra", 16):
        number, widths, count = struct.unpack_from(">iII", table, 4)
        wide = table[0] == 1
        entry = (16 if wide else 8) + sum((widths >> shift & 3) + 1 for shift in _TFRA_NUMBER_WIDTHS)
        last = 16 + (count - 1) * entry
        if number == track and count and last + entry <= len(table):
            (offset,) = struct.unpack_from(">Q" if wide else ">I", table, last + (8 if wide else 4))
            return int(offset)
    return None


def _tables(file: SeekableBytes, parent: Box, kind: bytes, at_least: int) -> Iterator[bytes]:
    """Yield the bodies of the boxes of a kind, those left out that are too short to be read."""
    for box in boxes(file, parent.body, parent.end):
        if box.kind == kind and len(table := body(file, box, MAX_TABLE_BYTES)) >= at_least:
            yield table
