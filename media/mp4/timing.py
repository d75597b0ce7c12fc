"""Parses the timing tables of a fragmented MP4: of a track, of a fragment, and of the rest of the file.

All numbers are untrusted. Sizes are checked against the bytes available, and Python's integers do
not overflow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from media.mp4.boxes import Box, SeekableBytes, iter_boxes, read_body, unreadable_error

MAX_TABLE_BYTES = 1024 * 1024

_TFHD_BEFORE_DURATION = ((0x1, 8), (0x2, 4))
_TFHD_DURATION = 0x8
_TRUN_BEFORE_FRAMES = ((0x1, 4), (0x4, 4))
_TRUN_DURATION = 0x100
_TRUN_FRAME_FIELDS = (0x100, 0x200, 0x400, 0x800)
_TFRA_NUMBER_WIDTHS = (4, 2, 0)


class TrackTiming(NamedTuple):
    """Timing of a track from the index: ticks per second, ticks in the index itself, default ticks per frame."""

    timescale: int
    indexed_ticks: int
    default_frame_ticks: int


class Subsegments(NamedTuple):
    """The segments that a `sidx` box lists: the offset of their end, and their duration in seconds."""

    end: int
    seconds: float


def read_track_timing(file: SeekableBytes, moov: Box, track: int) -> TrackTiming:
    """Read the timing of a track from the index; all values are 0 without such a track."""
    timescale = indexed_ticks = frame_ticks = 0
    for box in iter_boxes(file, moov.body, moov.end):
        if box.kind == b"trak" and (header := _read_mdhd(file, box, track)):
            timescale, indexed_ticks = header
        elif box.kind == b"mvex":
            for table in _iter_box_bodies(file, box, b"trex", 24):
                track_id, _, ticks = struct.unpack_from(">iII", table, 4)
                frame_ticks = ticks if track_id == track else frame_ticks
    return TrackTiming(timescale, indexed_ticks, frame_ticks)


def _read_mdhd(file: SeekableBytes, trak: Box, track: int) -> tuple[int, int] | None:
    """Return timescale and duration (in ticks) of a track, None if the box belongs to another track."""
    header = next(_iter_box_bodies(file, trak, b"tkhd", 84), b"")
    if not header or struct.unpack_from(">i", header, 20 if header[0] == 1 else 12)[0] != track:
        return None
    for box in iter_boxes(file, trak.body, trak.end):
        if box.kind == b"mdia":
            for table in _iter_box_bodies(file, box, b"mdhd", 24):
                if table[0] != 1:
                    return struct.unpack_from(">II", table, 12)
                return struct.unpack_from(">IQ", table, 20) if len(table) >= 32 else None  # noqa: PLR2004  # its size
    return None


def fragment_spans(file: SeekableBytes, moof: Box, track: int, frame_ticks: int) -> Iterator[tuple[int, int]]:
    """Yield start and end (in ticks) of the track's runs in a fragment; `frame_ticks` is the track's default."""
    for traf in iter_boxes(file, moof.body, moof.end):
        header = next(_iter_box_bodies(file, traf, b"tfhd", 8), b"") if traf.kind == b"traf" else b""
        decode_time = next(_iter_box_bodies(file, traf, b"tfdt", 8), b"") if header else b""
        if not decode_time or struct.unpack_from(">i", header, 4)[0] != track:
            continue
        flags = int.from_bytes(header[1:4])
        offset = 8 + sum(size for flag, size in _TFHD_BEFORE_DURATION if flags & flag)
        if flags & _TFHD_DURATION and len(header) >= offset + 4:
            (frame_ticks,) = struct.unpack_from(">I", header, offset)
        begin = int.from_bytes(decode_time[4 : 12 if decode_time[0] == 1 else 8])
        yield (
            begin,
            begin + sum(_trun_duration(run, frame_ticks) for run in _iter_box_bodies(file, traf, b"trun", 8)),
        )


def _trun_duration(trun: bytes, frame_ticks: int) -> int:
    """Return the total duration of the frames of a run, in ticks."""
    flags, count = int.from_bytes(trun[1:4]), int.from_bytes(trun[4:8])
    if not flags & _TRUN_DURATION:
        return count * frame_ticks
    start = 8 + sum(size for flag, size in _TRUN_BEFORE_FRAMES if flags & flag)
    entry = struct.Struct(f">{sum(bool(flags & flag) for flag in _TRUN_FRAME_FIELDS)}I")
    end = start + count * entry.size
    if end > len(trun):
        raise unreadable_error(f"a fragment claims {count:,} frames")
    return sum(ticks for ticks, *_ in entry.iter_unpack(trun[start:end]))


def read_sidx(file: SeekableBytes, sidx: Box, track: int) -> Subsegments | None:
    """Read a segment index, None if it belongs to another track or is incomplete."""
    table = read_body(file, sidx, MAX_TABLE_BYTES)
    is_wide = table[:1] == b"\x01"
    head = 32 if is_wide else 24
    if len(table) < head:
        return None
    track_id, timescale = struct.unpack_from(">iI", table, 4)
    (first_offset,) = struct.unpack_from(">Q" if is_wide else ">I", table, 20 if is_wide else 16)
    (count,) = struct.unpack_from(">H", table, head - 2)
    if track_id != track or timescale == 0 or len(table) < head + 12 * count:
        return None
    segments = list(struct.iter_unpack(">III", table[head : head + 12 * count]))
    size = sum(size & 0x7FFF_FFFF for size, _, _ in segments)
    return Subsegments(sidx.end + first_offset + size, sum(ticks for _, ticks, _ in segments) / timescale)


def last_random_access_offset(file: SeekableBytes, mfra: Box, track: int) -> int | None:
    """Return the offset of the track's last fragment with a key frame, None if the index does not contain it."""
    for table in _iter_box_bodies(file, mfra, b"tfra", 16):
        track_id, widths, count = struct.unpack_from(">iII", table, 4)
        is_wide = table[0] == 1
        entry = (16 if is_wide else 8) + sum((widths >> shift & 3) + 1 for shift in _TFRA_NUMBER_WIDTHS)
        last = 16 + (count - 1) * entry
        if track_id == track and count and last + entry <= len(table):
            (offset,) = struct.unpack_from(">Q" if is_wide else ">I", table, last + (8 if is_wide else 4))
            return int(offset)
    return None


def _iter_box_bodies(file: SeekableBytes, parent: Box, kind: bytes, min_bytes: int) -> Iterator[bytes]:
    """Yield the bodies of the child boxes of a kind, without those shorter than `min_bytes`."""
    for box in iter_boxes(file, parent.body, parent.end):
        if box.kind == kind and len(table := read_body(file, box, MAX_TABLE_BYTES)) >= min_bytes:
            yield table
