"""Determines the duration of a fragmented MP4, if possible from its first and its last fragment.

Browsers and streaming tools write such files. The index (`moov`) is followed by fragments: the
times of some frames (`moof`), then their pictures (`mdat`). An index at the end of the file
(`mfra`) points to the last fragment; without it, the tail of the file is searched. An index of
segments (`sidx`) after the first index may contain the duration.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from media.mp4.boxes import Box, SeekableBytes, iter_boxes, truncated_error, unreadable_error
from media.mp4.timing import (
    MAX_TABLE_BYTES,
    fragment_spans,
    last_random_access_offset,
    read_sidx,
    read_track_timing,
)

# Fetched at each unknown offset: usually the whole table of a fragment and the next header.
PROBE_BYTES = 8 * 1024
TAIL_BYTES = 64 * 1024
# Each may cost a request. A file with more fragments and without an index of them must be rewritten.
MAX_FRAGMENTS = 12
# The last box of a file may be `mfro`: it ends the index of the fragments and contains the length
# of that index.
_MFRO_HEADER = b"\x00\x00\x00\x10mfro"


class FetchedFile(SeekableBytes, Protocol):
    """A file whose reads end where the fetched bytes end."""

    def fetch(self, start: int, end: int, /) -> None:
        """Fetch these bytes."""


def first_fragment(file: FetchedFile, moov: Box, size: int) -> Box | None:
    """Fetch and return the `moof` box of the first fragment, None if there is none near the index."""
    for count, box in enumerate(_iter_top_level(file, moov.end, size)):
        if box.kind == b"moof" and box.end <= size:
            return box
        if count == MAX_FRAGMENTS:
            break
    return None


def fragmented_duration(file: FetchedFile, moov: Box, size: int, track: int) -> float | None:
    """Return the duration of a track in seconds, None if the fragments do not contain it.

    Args:
        file: A fragmented file.
        moov: Its index, which must have been fetched.
        size: The size of the file in bytes.
        track: The track id.

    Raises:
        MediaRejected: If the file ends early or a table is invalid.
    """
    timing = read_track_timing(file, moov, track)
    first = first_fragment(file, moov, size)
    if first is None or not timing.timescale:
        return None
    if (indexed := _sidx_duration(file, moov, first, size, track)) is not None:
        return indexed
    # If the index contains frames itself, the track starts with them.
    begin = None if not timing.indexed_ticks else 0
    if begin is None:
        begin = min(
            (start for start, _ in fragment_spans(file, first, track, timing.default_frame_ticks)), default=None
        )
    end = None
    for count, box in enumerate(_iter_top_level(file, _find_last_fragment(file, first, size, track), size)):
        if count >= 2 * MAX_FRAGMENTS:
            return None
        if box.end > size:
            raise truncated_error(f"the last {box.end - size:,} bytes are missing")
        if box.kind == b"moof":
            for start, stop in fragment_spans(file, box, track, timing.default_frame_ticks):
                begin = start if begin is None else begin
                end = stop if end is None else max(end, stop)
    return None if begin is None or end is None or end < begin else (end - begin) / timing.timescale


def _sidx_duration(file: FetchedFile, moov: Box, first: Box, size: int, track: int) -> float | None:
    """Return the duration from a `sidx` box between index and fragments, if it covers the whole file."""
    for box in iter_boxes(file, moov.end, first.start):
        if box.kind == b"sidx" and (segments := read_sidx(file, box, track)):
            if segments.end > size:
                raise truncated_error(f"the last {segments.end - size:,} bytes are missing")
            rest = next(_iter_top_level(file, segments.end, size), None)
            if rest is None or rest.kind == b"mfra":
                return segments.seconds
    return None


def _find_last_fragment(file: FetchedFile, first: Box, size: int, track: int) -> int:
    """Return the offset of the last fragment of the track or of an earlier one; the first if none is found."""
    tail = max(size - TAIL_BYTES, first.start)
    file.fetch(tail, size)
    file.seek(tail)
    data = file.read(size - tail)
    if data[-16:-8] == _MFRO_HEADER:
        length = int.from_bytes(data[-4:])
        if 16 < length <= min(MAX_TABLE_BYTES, size - first.start):  # noqa: PLR2004  # the size of the mfro box
            file.fetch(size - length, size)
            mfra = next(iter_boxes(file, size - length, size), None)
            if mfra is not None and mfra.kind == b"mfra" and mfra.end == size:
                offset = last_random_access_offset(file, mfra, track)
                return offset if offset is not None and first.start <= offset < size else first.start
    at = len(data)
    # The caller walks no further either: a tail of only fragments would be walked thousands of times.
    for _ in range(MAX_FRAGMENTS):
        at = data.rfind(b"moof", 4, at)
        if at < 0:
            break
        if _is_fragment_of_track(file, tail + at - 4, size, track):
            return tail + at - 4
    return first.start


def _is_fragment_of_track(file: FetchedFile, start: int, size: int, track: int) -> bool:
    """Return whether a fragment with this track starts there, and only boxes of fragments follow."""
    has_track = False
    for box in _iter_top_level(file, start, size):
        if box.kind not in {b"moof", b"mdat", b"mfra", b"free", b"sidx", b"styp", b"emsg", b"prft"}:
            return False
        if box.kind == b"moof" and box.end <= size:
            has_track = has_track or any(True for _ in fragment_spans(file, box, track, 0))
    return has_track


def _iter_top_level(file: FetchedFile, start: int, size: int) -> Iterator[Box]:
    """Yield the boxes of the top level from `start` on, and fetch the tables among them."""
    while start < size:
        file.fetch(start, start + PROBE_BYTES)
        box = next(iter_boxes(file, start, size), None)
        if box is None:
            return
        if box.kind in {b"moof", b"sidx"}:
            if box.end - box.start > MAX_TABLE_BYTES:
                raise unreadable_error(f"a fragment claims a table of {box.end - box.start:,} bytes")
            file.fetch(box.start, box.end)
        yield box
        start = box.end
