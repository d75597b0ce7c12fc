"""Reads the tables of a track's frames (`stbl` box): how many there are, when they play, and where their bytes are.

All numbers are untrusted. Counts are limited by the bytes of their tables, and Python's integers do
not overflow.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, islice
from operator import mul
from typing import NamedTuple

from media.mp4.boxes import unreadable_error
from media.mp4.samples import ByteRange, Samples, join_spans

# Four hours at 60 frames per second.
MAX_TABLE_ENTRIES = 1_000_000

# Frames are stored in the order of decoding: the last one to be shown is among the last ones of the table.
_REORDERED_SAMPLES = 64
# QuickTime repeats the previous picture if a sample has no bytes.
_MAX_EMPTY_SAMPLES = 1000
_NEGATIVE = 1 << 31

SAMPLE_TABLES = frozenset({b"stsz", b"stz2", b"stsc", b"stco", b"co64", b"stts", b"ctts"})
"""The kinds of boxes that `read_samples` reads."""


class _Chunks(NamedTuple):
    """Runs of chunks: the samples before each run, its first chunk, and the samples per chunk; and the total."""

    starts: list[int]
    first_chunks: list[int]
    samples_per_chunk: list[int]
    sample_count: int


def read_samples(tables: Mapping[bytes, bytes]) -> Samples:
    """Summarize the samples of a track.

    Args:
        tables: The bodies of the child boxes of `stbl` by kind.

    Raises:
        MediaRejected: If a table has more than MAX_TABLE_ENTRIES entries.
    """
    offsets = _read_offsets(tables)
    sizes, uniform_size, claimed = _read_sizes(tables)
    chunks = _read_chunks(tables.get(b"stsc", b""), len(offsets))
    count = min(claimed, chunks.sample_count)
    if not count:
        return Samples()
    ticks, begin, end = _read_times(tables, count)

    def locate(number: int) -> ByteRange | None:
        number = _last_with_bytes(sizes, number) if sizes else number
        run = bisect_left(chunks.starts, number + 1) - 1
        chunk, within = divmod(number - chunks.starts[run], chunks.samples_per_chunk[run])
        start = offsets[chunks.first_chunks[run] + chunk]
        start += sum(sizes[number - within : number]) if sizes else within * uniform_size
        size = sizes[number] if sizes else uniform_size
        return ByteRange(start, size) if size else None

    return Samples(
        sample_count=count,
        byte_count=sum(islice(sizes, count)) if sizes else 0,
        ticks=ticks,
        decode_end=ticks,
        begin=begin,
        end=end,
        first=locate(0),
        middle=locate(count // 2),
        last=locate(count - 1),
        span=join_spans(_chunk_spans(offsets, chunks, sizes, uniform_size, count)),
    )


def _chunk_spans(
    offsets: Sequence[int], chunks: _Chunks, sizes: Sequence[int], uniform_size: int, count: int
) -> Iterator[ByteRange]:
    """Yield the bytes of each chunk that has some of the first `count` samples, without those that have no bytes.

    The size of a sample is `uniform_size` if there are no `sizes`.
    """
    if not sizes and not uniform_size:
        return
    ends = [0, *accumulate(islice(sizes, count))] if sizes else range(0, (count + 1) * uniform_size, uniform_size)
    followers = [*chunks.starts[1:], count]
    runs = zip(chunks.starts, followers, chunks.first_chunks, chunks.samples_per_chunk, strict=True)
    for start, following, first_chunk, per_chunk in runs:
        for chunk, number in enumerate(range(start, min(following, count), per_chunk), first_chunk):
            size = ends[min(number + per_chunk, count)] - ends[number]
            if size:
                yield ByteRange(offsets[chunk], size)


def _read_offsets(tables: Mapping[bytes, bytes]) -> tuple[int, ...]:
    """Return the offset of each chunk in the file."""
    kind, format_ = (b"co64", "Q") if b"co64" in tables else (b"stco", "I")
    return _unpack(tables.get(kind, b""), 8, format_)


def _read_sizes(tables: Mapping[bytes, bytes]) -> tuple[tuple[int, ...], int, int]:
    """Return the size of each sample, or none and the size of all; and the number of samples."""
    table = tables.get(b"stsz") or tables.get(b"stz2", b"")
    if len(table) < 12:  # noqa: PLR2004  # the size of its header
        return (), 0, 0
    uniform_size, count = struct.unpack_from(">II", table, 4)
    if b"stsz" in tables:
        if uniform_size:
            return (), uniform_size, count
        sizes = _unpack(table, 12, "I")
    elif (bits := uniform_size & 0xFF) == 4:  # noqa: PLR2004  # two sizes per byte
        packed = _unpack(table, 12, "B", count=(count + 1) // 2)
        sizes = tuple(size for pair in packed for size in (pair >> 4, pair & 15))[:count]
    else:
        sizes = _unpack(table, 12, "H" if bits == 16 else "B")  # noqa: PLR2004  # bits per size
    return sizes, 0, len(sizes)


def _read_chunks(stsc: bytes, chunk_count: int) -> _Chunks:
    """Return the runs of chunks with equally many samples."""
    fields = _unpack(stsc, 8, "I", fields=3)
    starts, first_chunks, samples_per_chunk, count = [], [], [], 0
    followers = [*fields[3::3], chunk_count + 1]
    for first, per_chunk, following in zip(fields[0::3], fields[1::3], followers, strict=False):
        last = min(following - 1, chunk_count)
        if not 1 <= first <= last or not per_chunk:
            continue
        starts.append(count)
        first_chunks.append(first - 1)
        samples_per_chunk.append(per_chunk)
        count += (last + 1 - first) * per_chunk
    return _Chunks(starts, first_chunks, samples_per_chunk, count)


def _read_times(tables: Mapping[bytes, bytes], count: int) -> tuple[int, int, int]:
    """Return the total duration of the samples, the start of the first one, and the end of the last one."""
    counts, durations = _runs(tables.get(b"stts", b""), count)
    if not counts:
        return 0, 0, 0
    # FFmpeg's reading of a negative duration.
    durations = tuple(1 if duration >= _NEGATIVE else duration for duration in durations)
    shift_counts, shifts = _runs(tables.get(b"ctts", b""), count)
    shifts = tuple(shift - 2 * _NEGATIVE if shift >= _NEGATIVE else shift for shift in shifts) or (0,)
    shift_counts = shift_counts or (count,)
    ticks = sum(map(mul, counts, durations))
    begin, time = 1 << 63, 0
    for duration, shift in _first_pairs(counts, durations, shift_counts, shifts):
        begin, time = min(begin, time + shift), time + duration
    end, time = begin, ticks
    for duration, shift in _first_pairs(counts[::-1], durations[::-1], shift_counts[::-1], shifts[::-1]):
        end, time = max(end, time + shift), time - duration
    return ticks, begin, end


def _first_pairs(
    counts: Sequence[int], values: Sequence[int], other_counts: Sequence[int], others: Sequence[int]
) -> Iterator[tuple[int, int]]:
    return zip(_expanded(counts, values), _expanded(other_counts, others), strict=True)


def _runs(table: bytes, total: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the counts and the values of a run-length table for `total` samples. Its last value is repeated."""
    fields = _unpack(table, 8, "I", fields=2)
    counts, values = fields[0::2], fields[1::2]
    if not counts:
        return (), ()
    ends = list(accumulate(counts))
    length = min(bisect_left(ends, total) + 1, len(counts))
    rest = total - (ends[length - 2] if length > 1 else 0)
    return (*counts[: length - 1], rest), values[:length]


def _expanded(counts: Sequence[int], values: Sequence[int]) -> list[int]:
    """Return the first values of runs, up to _REORDERED_SAMPLES."""
    expanded: list[int] = []
    for count, value in zip(counts, values, strict=True):
        expanded += [value] * min(count, _REORDERED_SAMPLES - len(expanded))
        if len(expanded) == _REORDERED_SAMPLES:
            break
    return expanded


def _last_with_bytes(sizes: Sequence[int], number: int) -> int:
    """Return the number of the last sample with bytes, `number` or one shortly before it."""
    for candidate in range(number, max(number - _MAX_EMPTY_SAMPLES, -1), -1):
        if sizes[candidate]:
            return candidate
    return number


def _unpack(table: bytes, start: int, field: str, *, fields: int = 1, count: int | None = None) -> tuple[int, ...]:
    """Return the fields of all entries of a table. Their number is stored before `start` if `count` is None."""
    if len(table) < start:
        return ()
    claimed = int.from_bytes(table[start - 4 : start]) if count is None else count
    entries = min(claimed, (len(table) - start) // (fields * struct.calcsize(f">{field}")))
    if entries > MAX_TABLE_ENTRIES:
        raise unreadable_error(f"the index lists {entries:,} frames")
    return struct.unpack_from(f">{entries * fields}{field}", table, start)
