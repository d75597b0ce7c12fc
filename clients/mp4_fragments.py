"""Tells how long a fragmented MP4 lasts, from its first and its last fragment where the file allows.

Such a file, as browsers and streaming tools write it, ends its index (`moov`) early and goes on in fragments: the
times of some frames (`moof`), then their pictures (`mdat`). An index at the file's end (`mfra`) tells where the
last one is, else it is looked for in the file's tail; one behind the first index (`sidx`) may tell the duration.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from clients.mp4_boxes import Box, SeekableBytes, boxes, cut_off, unreadable
from clients.mp4_times import MAX_TABLE_BYTES, last_random_access, spans, subsegments, track_times

# What one look at an unknown place fetches: mostly a fragment's whole table and the next header.
PEEK_BYTES = 8 * 1024
TAIL_BYTES = 64 * 1024
# Each may cost a request. A file of more fragments, with no index of them, is to be rewritten.
MAX_FRAGMENTS = 12
# The last box of a file may be one that tells how long the index of its fragments is, which ends with it.
_MFRO = b"\x00\x00\x00\x10mfro"


class FetchedFile(SeekableBytes, Protocol):
    """A file whose reads end where what was fetched ends."""

    def fetch(self, start: int, end: int, /) -> None:
        """Have these bytes here."""


def first_fragment(file: FetchedFile, moov: Box, size: int) -> Box | None:
    """Return the first fragment's table, fetched, None where none is near."""
    for number, box in enumerate(_top(file, moov.end, size)):
        if box.kind == b"moof" and box.end <= size:
            return box
        if number == MAX_FRAGMENTS:
            break
    return None


def fragmented_seconds(file: FetchedFile, moov: Box, size: int, track: int) -> float | None:
    """Return how long a track of a fragmented file of `size` bytes lasts, None where its fragments do not tell.

    `moov` was fetched before. Raises MediaRejected where the file ends too early, or its tables cannot be.
    """
    times = track_times(file, moov, track)
    first = first_fragment(file, moov, size)
    if first is None or not times.timescale:
        return None
    if (indexed := _indexed_seconds(file, moov, first, size, track)) is not None:
        return indexed
    # A file whose index holds frames of its own begins with these.
    begin = None if not times.indexed else 0
    if begin is None:
        begin = min((start for start, _ in spans(file, first, track, times.frame)), default=None)
    end = None
    for number, box in enumerate(_top(file, _near_the_end(file, first, size, track), size)):
        if number >= 2 * MAX_FRAGMENTS:
            return None
        if box.end > size:
            raise cut_off(f"its last {box.end - size:,} bytes are missing")
        if box.kind == b"moof":
            for start, stop in spans(file, box, track, times.frame):
                begin = start if begin is None else begin
                end = stop if end is None else max(end, stop)
    return None if begin is None or end is None or end < begin else (end - begin) / times.timescale


def _indexed_seconds(file: FetchedFile, moov: Box, first: Box, size: int, track: int) -> float | None:
    """Return the duration that a `sidx` between index and fragments tells, if it is one of the whole file."""
    for box in boxes(file, moov.end, first.start):
        if box.kind == b"sidx" and (found := subsegments(file, box, track)):
            if found.end > size:
                raise cut_off(f"its last {found.end - size:,} bytes are missing")
            rest = next(_top(file, found.end, size), None)
            if rest is None or rest.kind == b"mfra":
                return found.seconds
    return None


def _near_the_end(file: FetchedFile, first: Box, size: int, track: int) -> int:
    """Return where the last fragment of the track begins, or one before it; where nothing tells, the first."""
    tail = max(size - TAIL_BYTES, first.start)
    file.fetch(tail, size)
    file.seek(tail)
    data = file.read(size - tail)
    if data[-16:-8] == _MFRO:
        length = int.from_bytes(data[-4:])
        if 16 < length <= min(MAX_TABLE_BYTES, size - first.start):  # noqa: PLR2004  # the mfro itself
            file.fetch(size - length, size)
            mfra = next(boxes(file, size - length, size), None)
            if mfra is not None and mfra.kind == b"mfra" and mfra.end == size:
                offset = last_random_access(file, mfra, track)
                return offset if offset is not None and first.start <= offset < size else first.start
    at = len(data)
    # Who goes on from there looks at no more: a tail of nothing but fragments would be walked thousands of times.
    for _ in range(MAX_FRAGMENTS):
        at = data.rfind(b"moof", 4, at)
        if at < 0:
            break
        if _tells_of_track(file, tail + at - 4, size, track):
            return tail + at - 4
    return first.start


def _tells_of_track(file: FetchedFile, start: int, size: int, track: int) -> bool:
    """Whether a fragment begins there that holds the track, and boxes of fragments make up the rest of the file."""
    found = False
    for box in _top(file, start, size):
        if box.kind not in {b"moof", b"mdat", b"mfra", b"free", b"sidx", b"styp", b"emsg", b"prft"}:
            return False
        if box.kind == b"moof" and box.end <= size:
            found = found or any(True for _ in spans(file, box, track, 0))
    return found


def _top(file: FetchedFile, start: int, size: int) -> Iterator[Box]:
    """Yield the boxes of the top level from `start` on, the tables among them fetched."""
    while start < size:
        file.fetch(start, start + PEEK_BYTES)
        box = next(boxes(file, start, size), None)
        if box is None:
            return
        if box.kind in {b"moof", b"sidx"}:
            if box.end - box.start > MAX_TABLE_BYTES:
                raise unreadable(f"one of its fragments claims a table of {box.end - box.start:,} bytes")
            file.fetch(box.start, box.end)
        yield box
        start = box.end
