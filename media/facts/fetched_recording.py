"""Passes the bytes of a recording that were fetched to FFmpeg: its index, its first fragment, and single frames."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from media.ffmpeg.inspection import Inspect, Inspection
from media.mp4.boxes import Box, iter_boxes, unreadable_error
from media.mp4.fragment_tables import MAX_TABLE_BYTES
from media.processes.available_bytes import AvailableBytes, InspectionFailed, Range, merge_ranges
from media.remote.remote_file import READ_AHEAD_BYTES, RemoteFile
from models.errors import MediaNotInspected

# Their bodies are pictures, or nothing; FFmpeg skips them when it reads the index.
_SKIPPED_BOXES = {b"mdat", b"free", b"skip", b"wide"}
# FFmpeg reads through bodies that are shorter than its buffer and its threshold for seeking (32 KiB each).
_READ_THROUGH_BYTES = 64 * 1024
# It looks for the name of a program at the start of a free box.
_FREE_BYTES = 16
_HEADER = struct.Struct(">I4s")
_LONG_HEADER = struct.Struct(">I4sQ")


class FetchedRecording:
    """The bytes of a recording that FFmpeg gets: its index, its first fragment, and what is added.

    Args:
        file: The recording.
        inspect: Runs FFmpeg.
        moov: The box of the index.
        first_fragment: The first one with pictures, None without any.
    """

    def __init__(self, file: RemoteFile, inspect: Inspect, moov: Box, first_fragment: Box | None) -> None:
        self._file = file
        self._inspect = inspect
        self._moov = moov
        self._first_fragment = first_fragment
        self._ranges = [(0, READ_AHEAD_BYTES), *_index_ranges(file, moov)]
        # For FFmpeg the file ends with its tables. What follows may be fetched in part: it refuses an
        # AV1 file of which it reads a part of a picture, and any file that ends within a box.
        last = first_fragment or moov
        self._size = last.end
        if first_fragment is not None:
            self._ranges.append((last.start, last.end))

    def add(self, start: int, end: int) -> None:
        """Fetch these bytes, too."""
        self._file.fetch(start, end)
        self._ranges.append((start, end))

    def inspect(self, stream: int | None = None) -> Inspection:
        """Inspect the bytes, and decode the first frame of a stream; see Inspect.

        Raises:
            MediaRejected: If FFmpeg cannot read them.
            MediaNotInspected: If FFmpeg ended or exceeded a limit.
        """
        blocks = ((start, _read(self._file, start, end)) for start, end in merge_ranges(self._ranges))
        available = AvailableBytes(
            self._size, tuple((start, self._hide(start, data)) for start, data in blocks if data)
        )
        try:
            inspection = self._inspect(available, stream)
        except InspectionFailed as error:
            raise MediaNotInspected(
                f"{self._file.redacted_url}: {error}",
                hint="run `avatars resume ID`; if it fails again, export the video as MP4 (H.264) and use that",
            ) from error
        if inspection.error is not None:
            raise unreadable_error(f"the file cannot be read: {inspection.error}")
        return inspection

    def _hide(self, start: int, data: bytes) -> bytes:
        """Replace what is between the index and the first fragment with pictures by a box that FFmpeg skips."""
        at = self._moov.end - start
        length = 0 if self._first_fragment is None else self._first_fragment.start - self._moov.end
        if not 0 <= at < len(data) or length < _HEADER.size:
            return data
        header = _HEADER.pack(length, b"free") if length < 1 << 32 else _LONG_HEADER.pack(1, b"free", length)
        return data[:at] + header + data[at + len(header) :]


def _index_ranges(file: RemoteFile, moov: Box) -> Iterator[Range]:
    """Yield the bytes that FFmpeg reads to find the index, and the index."""
    for box in iter_boxes(file, 0, moov.end):
        is_skipped = box.kind in _SKIPPED_BOXES and box.end - box.body > _READ_THROUGH_BYTES
        body_limit = (0 if box.kind == b"mdat" else _FREE_BYTES) if is_skipped else MAX_TABLE_BYTES
        end = box.end if box.start == moov.start else min(box.end, box.body + body_limit)
        yield box.start, end


def _read(file: RemoteFile, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)
