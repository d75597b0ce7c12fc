"""What is known about the samples of a track: pictures, or packets of sound."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class ByteRange(NamedTuple):
    """The position of some bytes in the file."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """The position of the first byte after them."""
        return self.start + self.size


class Samples(NamedTuple):
    """The samples of a track, of its index or of some fragments. A sample is a picture or a packet of sound.

    Attributes:
        sample_count: Their number.
        byte_count: Their bytes, 0 if the table does not tell (sound that is not compressed).
        ticks: Their total duration, in the time scale of the track.
        first_ticks: The duration of the first one.
        decode_begin: The tick at which the first one is decoded.
        decode_end: The tick at which decoding ends.
        begin: The tick at which the first one is shown.
        end: The tick until which the last one is shown.
        first: The bytes of the first one.
        middle: The bytes of the one in the middle, None in fragments.
        last: The bytes of the last one that is not empty.
        span: The bytes from the lowest to the highest of all that are not empty.
    """

    sample_count: int = 0
    byte_count: int = 0
    ticks: int = 0
    first_ticks: int = 0
    decode_begin: int = 0
    decode_end: int = 0
    begin: int = 0
    end: int = 0
    first: ByteRange | None = None
    middle: ByteRange | None = None
    last: ByteRange | None = None
    span: ByteRange | None = None


def join_samples(first: Samples, second: Samples, decode_time: int) -> Samples:
    """Return all samples of two runs; the times of the second one count from `decode_time`."""
    if not second.sample_count:
        return first
    moved = second._replace(
        decode_begin=second.decode_begin + decode_time,
        decode_end=second.decode_end + decode_time,
        begin=second.begin + decode_time,
        end=second.end + decode_time,
    )
    if not first.sample_count:
        return moved
    return Samples(
        sample_count=first.sample_count + moved.sample_count,
        byte_count=first.byte_count + moved.byte_count,
        ticks=first.ticks + moved.ticks,
        first_ticks=first.first_ticks,
        decode_begin=min(first.decode_begin, moved.decode_begin),
        decode_end=max(first.decode_end, moved.decode_end),
        begin=min(first.begin, moved.begin),
        end=max(first.end, moved.end),
        first=first.first or moved.first,
        last=moved.last or first.last,
        span=join_spans(filter(None, (first.span, moved.span))),
    )


def join_spans(spans: Iterable[ByteRange]) -> ByteRange | None:
    """Return the bytes from the lowest to the highest of some ranges, None if there are none."""
    found = list(spans)
    if not found:
        return None
    start = min(span.start for span in found)
    return ByteRange(start, max(span.end for span in found) - start)
