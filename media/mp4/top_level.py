"""Walks the boxes behind the index of a fragmented file, fetches the tables among them, and counts requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from media.mp4.boxes import Box, SeekableBytes, iter_boxes, truncated_error, unreadable_error
from media.mp4.fragment_indexes import RandomAccess, parse_sidx, read_mfra
from media.mp4.fragment_search import ENDS_BEFORE_FRAGMENT, ENDS_IN_HEADER, SEGMENT_HEADERS, can_be_padding
from media.mp4.fragment_tables import MAX_TABLE_BYTES

# Fetched at each unknown offset: usually the whole table of a fragment and the next header.
PROBE_BYTES = 8 * 1024
# Boxes that a walk may visit. Hours of fragments have fewer.
MAX_WALK_BOXES = 20_000

_MFRO = b"\x00\x00\x00\x10mfro"
_MFRO_BYTES = 16
_FIRST_BOXES_OF_SEGMENT = {b"moof", b"styp", b"sidx", b"prft", b"emsg"}
_SMALLEST_BOX_BYTES = 8


class FetchedFile(SeekableBytes, Protocol):
    """A file whose reads end where the fetched bytes end."""

    def fetch(self, start: int, end: int, /) -> None:
        """Fetch these bytes."""


class TopLevel:
    """The boxes of a file of `size` bytes from the offset `start` on.

    Attributes:
        fetches: The number of gaps that were fetched.
        is_at_end: The last walk reached the end of the file.
    """

    def __init__(self, file: FetchedFile, start: int, size: int) -> None:
        self.file = file
        self.start = start
        self.size = size
        self.fetches = 0
        self.is_at_end = False
        self._segments: list[tuple[int, ...]] = []

    def iter_fragments(self, start: int, max_fetches: int) -> Iterator[Box]:
        """Yield the fragments from the box at `start` on, as far as `max_fetches` allows.

        Raises:
            MediaRejected: If the file ends in a box, or a box is invalid.
        """
        self.is_at_end = False
        limit = self.fetches + max_fetches
        last_kind = b""
        for _ in range(MAX_WALK_BOXES):
            self.is_at_end = self.size - start < _SMALLEST_BOX_BYTES
            if self.is_at_end and self._require(start, self.size, limit) and any(self._read(start, self.size)):
                raise truncated_error(ENDS_IN_HEADER)
            if self.is_at_end and last_kind in SEGMENT_HEADERS:
                raise truncated_error(ENDS_BEFORE_FRAGMENT)
            if self.is_at_end or not self._require(start, start + _SMALLEST_BOX_BYTES, limit):
                return
            box = next(iter_boxes(self.file, start, self.size))
            if box.kind == bytes(4):
                self._require_padding(start, last_kind)
                self.is_at_end = True
                return
            if box.end > self.size:
                raise truncated_error(f"the last {box.end - self.size:,} bytes are missing")
            if box.kind in {b"moof", b"sidx"} and not self._require_table(box, limit):
                return
            if box.kind == b"sidx":
                self._note_segments(box)
            elif box.kind == b"moof":
                yield box
            start, last_kind = box.end, box.kind

    def tail(self, window: int) -> bytes:
        """Return the last bytes of the file, at most `window`."""
        start = max(self.size - window, self.start)
        self._require(start, self.size, self.fetches + 1)
        return self._read(start, self.size)

    def require_segments(self) -> None:
        """Raise MediaRejected if the file was cut between two segments of an index.

        An index in which no segment ends with the file, or before its padding, is wrong, and does not count.
        """
        for segments in self._segments:
            end = max((offset for offset in segments if offset <= self.size), default=0)
            if segments[-1] > self.size and self._is_padding(end):
                raise truncated_error(f"the last {segments[-1] - self.size:,} bytes are missing")

    def last_segment(self) -> int | None:
        """Return the offset of the last segment in the first index of segments, None without a valid one."""
        offset = self._segments[0][-2] if self._segments else None
        return offset if offset is not None and self.starts_fragment(offset) else None

    def starts_fragment(self, offset: int) -> bool:
        """Return whether a box that begins a fragment is at an offset, which is not trusted."""
        if not self.start <= offset < self.size or not self._require(offset, offset + 8, self.fetches + 1):
            return False
        return self._read(offset, offset + 8)[4:] in _FIRST_BOXES_OF_SEGMENT

    def last_random_access(self) -> dict[int, RandomAccess]:
        """Return the last fragment with a key frame by track, from the `mfra` box at the end; empty without it."""
        end = self._read(self.size - _MFRO_BYTES, self.size)
        length = int.from_bytes(end[-4:])
        if not end.startswith(_MFRO) or not _MFRO_BYTES < length <= min(MAX_TABLE_BYTES, self.size - self.start):
            return {}
        self._require(self.size - length, self.size, self.fetches + 1)
        mfra = next(iter_boxes(self.file, self.size - length, self.size), None)
        if mfra is None or mfra.kind != b"mfra" or mfra.end != self.size:
            return {}
        entries = read_mfra(self.file, mfra)
        return {track: entry for track, entry in entries.items() if self.start <= entry.offset < mfra.start}

    def _require_padding(self, start: int, last_kind: bytes) -> None:
        """Raise MediaRejected unless the rest of the file, behind a box of this kind, is padding."""
        if not self._is_padding(start):
            raise truncated_error(f"there are zeros instead of frames from byte {start:,} on")
        if last_kind in SEGMENT_HEADERS:
            raise truncated_error(ENDS_BEFORE_FRAGMENT)

    def _is_padding(self, start: int) -> bool:
        """Return whether the rest of the file is a few zeros, up to a whole block of the storage."""
        if not can_be_padding(start, self.size):
            return False
        return not self._require(start, self.size, self.fetches + 1) or not any(self._read(start, self.size))

    def _require_table(self, box: Box, limit: int) -> bool:
        if box.end - box.start > MAX_TABLE_BYTES:
            raise unreadable_error(f"a fragment claims a table of {box.end - box.start:,} bytes")
        return self._require(box.start, box.end, limit)

    def _note_segments(self, sidx: Box) -> None:
        if segments := parse_sidx(sidx, self._read(sidx.body, sidx.end)):
            self._segments.append(segments)

    def _require(self, start: int, end: int, limit: int) -> bool:
        """Fetch these bytes if necessary, and return whether they are there; not beyond `limit` fetches."""
        end = min(end, self.size)
        if len(self._read(start, end)) == end - start:
            return True
        if self.fetches >= limit:
            return False
        self.fetches += 1
        self.file.fetch(start, min(max(end, start + PROBE_BYTES), self.size))
        return True

    def _read(self, start: int, end: int) -> bytes:
        self.file.seek(start)
        return self.file.read(end - start)
