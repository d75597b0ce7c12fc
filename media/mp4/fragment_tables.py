"""Parses the tables of a fragment (`moof` box): the samples of each track in it.

All numbers are untrusted. Sizes are checked against the bytes available, and Python's integers do
not overflow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from operator import add
from typing import NamedTuple

from media.mp4.boxes import Box, SeekableBytes, iter_children, read_body, unreadable_error
from media.mp4.headers import FragmentDefaults
from media.mp4.samples import ByteRange, Samples, join_samples

MAX_TABLE_BYTES = 1024 * 1024

_TFHD_BASE_OFFSET, _TFHD_ENTRY, _TFHD_DURATION, _TFHD_SIZE = 0x1, 0x2, 0x8, 0x10
_TFHD_BASE_IS_MOOF = 0x20000
_TRUN_DATA_OFFSET, _TRUN_FIRST_FLAGS = 0x1, 0x4
_TRUN_DURATION, _TRUN_SIZE, _TRUN_SHIFT = 0x100, 0x200, 0x800
_TRUN_SAMPLE_FIELDS = (_TRUN_DURATION, _TRUN_SIZE, 0x400, _TRUN_SHIFT)
# Microsoft's Smooth Streaming stores the time of a fragment here; ffmpeg -f ismv writes nothing else.
_TFXD = bytes.fromhex("6d1d9b0542d544e680e2141daff757b2")


class FragmentSamples(NamedTuple):
    """The samples of one track in one fragment.

    Attributes:
        track: The id of the track.
        decode_time: The tick at which they start; None if the fragment follows the previous one.
        samples: The samples; their ticks count from that start.
    """

    track: int
    decode_time: int | None
    samples: Samples


class _TrackHeader(NamedTuple):
    """A track header of a fragment: the offset that positions refer to (None: not stated), and its defaults."""

    track: int
    base: int | None
    defaults: FragmentDefaults


def read_fragment(
    file: SeekableBytes, moof: Box, defaults: Mapping[int, FragmentDefaults]
) -> Iterator[FragmentSamples]:
    """Yield the samples of the tracks in `defaults`, without those that have none.

    Raises:
        MediaRejected: If a table is invalid.
    """
    end_of_previous = moof.start
    for traf in iter_children(file, moof):
        bodies = [(box.kind, read_body(file, box, MAX_TABLE_BYTES)) for box in _children_of(file, traf, b"traf")]
        header = next((_parse_tfhd(body, moof, defaults) for kind, body in bodies if kind == b"tfhd"), None)
        if header is None:
            continue
        base = end_of_previous if header.base is None else header.base
        at, samples = base, Samples()
        for body in (body for kind, body in bodies if kind == b"trun"):
            run, at = _parse_trun(body, base, at, header.defaults)
            samples = join_samples(samples, run, samples.ticks)
        end_of_previous = at
        if samples.sample_count:
            yield FragmentSamples(header.track, _decode_time(bodies), samples)


def _children_of(file: SeekableBytes, box: Box, kind: bytes) -> Iterator[Box]:
    return iter_children(file, box) if box.kind == kind else iter(())


def _decode_time(bodies: Sequence[tuple[bytes, bytes]]) -> int | None:
    for kind, body in bodies:
        if kind == b"tfdt":
            return _versioned_number(body)
        if kind == b"uuid" and body.startswith(_TFXD):
            return _versioned_number(body[len(_TFXD) :])
    return None


def _versioned_number(body: bytes) -> int:
    """Return the first number of a body: 32 bits without a sign, or 64 bits in version 1, which may be negative."""
    return int.from_bytes(body[4:12], signed=True) if body[:1] == b"\x01" else int.from_bytes(body[4:8])


def _parse_tfhd(tfhd: bytes, moof: Box, defaults: Mapping[int, FragmentDefaults]) -> _TrackHeader | None:
    """Parse a track header of a fragment; None for a track that is not in `defaults`."""
    flags, track = int.from_bytes(tfhd[1:4]), int.from_bytes(tfhd[4:8])
    if track not in defaults:
        return None
    base = moof.start if flags & _TFHD_BASE_IS_MOOF else None
    ticks, size = defaults[track]
    offset = 8
    if flags & _TFHD_BASE_OFFSET:
        base, offset = int.from_bytes(tfhd[offset : offset + 8]), offset + 8
    if flags & _TFHD_ENTRY:
        offset += 4
    if flags & _TFHD_DURATION:
        ticks, offset = int.from_bytes(tfhd[offset : offset + 4]), offset + 4
    if flags & _TFHD_SIZE:
        size = int.from_bytes(tfhd[offset : offset + 4])
    return _TrackHeader(track, base, FragmentDefaults(ticks, size))


def _parse_trun(trun: bytes, base: int, at: int, defaults: FragmentDefaults) -> tuple[Samples, int]:
    """Parse a run of samples, which starts at the offset `at` unless it states its own; and return its end."""
    flags, count = int.from_bytes(trun[1:4]), int.from_bytes(trun[4:8])
    offset = 8
    if flags & _TRUN_DATA_OFFSET:
        at, offset = base + int.from_bytes(trun[offset : offset + 4], signed=True), offset + 4
    if flags & _TRUN_FIRST_FLAGS:
        offset += 4
    columns = [flag for flag in _TRUN_SAMPLE_FIELDS if flags & flag]
    if not columns:
        return _equal_samples(count, at, defaults), at + count * defaults.size
    if offset + 4 * count * len(columns) > len(trun):
        raise unreadable_error(f"a fragment claims {count:,} frames")
    fields = struct.unpack_from(f">{count * len(columns)}i", trun, offset)
    table = {flag: fields[column :: len(columns)] for column, flag in enumerate(columns)}
    # Only the shift can be negative. FFmpeg reads it so in both versions of the table.
    durations = [ticks & 0xFFFF_FFFF for ticks in table.get(_TRUN_DURATION, (defaults.ticks,) * count)]
    sizes = [size & 0xFFFF_FFFF for size in table.get(_TRUN_SIZE, (defaults.size,) * count)]
    if not count:
        return Samples(), at
    shifts = table.get(_TRUN_SHIFT, (0,) * count)
    starts = [0, *accumulate(durations)]
    full = [number for number in range(count) if sizes[number]]
    positions = [*accumulate(sizes, initial=at)]
    samples = Samples(
        sample_count=count,
        byte_count=sum(sizes),
        ticks=starts[-1],
        first_ticks=durations[0],
        decode_end=starts[-1],
        begin=min(map(add, starts, shifts)),
        end=max(map(add, starts[1:], shifts)),
        first=ByteRange(positions[full[0]], sizes[full[0]]) if full else None,
        last=ByteRange(positions[full[-1]], sizes[full[-1]]) if full else None,
        span=ByteRange(at, positions[-1] - at) if full else None,
    )
    return samples, positions[-1]


def _equal_samples(count: int, at: int, defaults: FragmentDefaults) -> Samples:
    """Return samples that all have the default duration and size."""
    ticks, size = defaults
    if not count:
        return Samples()
    is_full = size > 0
    return Samples(
        sample_count=count,
        byte_count=count * size,
        ticks=count * ticks,
        first_ticks=ticks,
        decode_end=count * ticks,
        end=count * ticks,
        first=ByteRange(at, size) if is_full else None,
        last=ByteRange(at + (count - 1) * size, size) if is_full else None,
        span=ByteRange(at, count * size) if is_full else None,
    )
