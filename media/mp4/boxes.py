"""Walks the boxes of an MP4 or MOV file: its container, and the position of its index.

A box is a length (4 bytes, plus 8 bytes if it is 1; 0 means "to the end"), a kind (4 bytes) and a
body, which may contain boxes. The index (`moov`) is before or after the picture data (`mdat`),
which is skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from typing import NamedTuple, Protocol

from media.kinds.file_kinds import KIND_BYTES, missing_index_error, require_first_box, require_video_brand
from media.kinds.file_signatures import EXPORT_HINT
from models.errors import MediaRejected
from models.media.codes import MediaCode
from models.media.rules import MIB

# An index takes about 20 bytes per frame: this is enough for hours.
MAX_INDEX_BYTES = 32 * MIB
# Real files have about five at the top level and ten in a track. A file of empty boxes would take
# very long to walk.
MAX_BOXES = 1000

_HEADER = struct.Struct(">I4s")
_LONG_HEADER = struct.Struct(">I4sQ")
_MP4_BRANDS = (b"iso", b"mp4", b"avc1", b"M4V", b"dash", b"MSNV")


class SeekableBytes(Protocol):
    """A binary file whose reads return full lengths, except at the end of the file."""

    def seek(self, offset: int, /) -> int:
        """Set the position."""

    def read(self, size: int, /) -> bytes:
        """Return the next `size` bytes."""


class FetchedBytes:
    """Some bytes of a file, at their offsets in the file. Many short reads take less time than in a remote file."""

    def __init__(self, start: int, data: bytes) -> None:
        self._start = start
        self._data = data
        self._position = start

    def seek(self, offset: int, /) -> int:
        """Set the position in the file, which must not be before the bytes."""
        self._position = offset
        return offset

    def read(self, size: int, /) -> bytes:
        """Return the next `size` bytes, fewer at the end of the bytes."""
        start = self._position - self._start
        data = self._data[start : start + size]
        self._position += len(data)
        return data


class Box(NamedTuple):
    """A box from `start` to `end`, whose body starts at `body`; all are byte offsets in the file."""

    kind: bytes
    start: int
    body: int
    end: int


class FileLayout(NamedTuple):
    """The top level of a file: the container ("mp4", "mov" or another brand), and the index (`moov`)."""

    container: str
    moov: Box


def find_layout(file: SeekableBytes, size: int) -> FileLayout:
    """Walk the top level of a file of `size` bytes up to its index.

    Raises:
        MediaRejected: If the file is not an MP4 or MOV file, or its index is missing, incomplete or
            too large.
    """
    file.seek(0)
    require_first_box(file.read(KIND_BYTES))
    container = "mov"  # files without an ftyp box are old QuickTime files
    brands: list[bytes] = []
    kinds: set[bytes] = set()
    for box in iter_boxes(file, 0, size):
        if box.end > size:
            raise truncated_error(f"the last {box.end - size:,} bytes are missing")
        kinds.add(box.kind)
        if box.kind == b"ftyp":
            brands = _parse_brands(read_body(file, box, 1024))
            require_video_brand(brands[0])
            container = _container_of_brands(brands)
        elif box.kind == b"moov":
            if box.end - box.start > MAX_INDEX_BYTES:
                raise unreadable_error(f"the index claims {box.end - box.start:,} bytes")
            return FileLayout(container, box)
    raise missing_index_error(brands, kinds)


def iter_boxes(file: SeekableBytes, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes from `start` to `end`, which must be inside the file. The last box may claim to end later.

    Raises:
        MediaRejected: If a length is invalid, or there are more than MAX_BOXES boxes.
    """
    for _ in range(MAX_BOXES):
        if end - start < _HEADER.size:
            return
        file.seek(start)
        header = file.read(_LONG_HEADER.size)
        if len(header) < _HEADER.size:
            return  # the parent box claims more bytes than the file has
        length, kind = _HEADER.unpack_from(header)
        body = start + _HEADER.size
        if length == 1 and len(header) == _LONG_HEADER.size:
            _, kind, length = _LONG_HEADER.unpack(header)
            body = start + _LONG_HEADER.size
        elif length == 0:
            length = end - start
        if length < body - start:
            raise unreadable_error(f"a box claims a length of {length}")
        yield Box(kind, start, body, start + length)
        start += length
    raise unreadable_error(f"the file has more than {MAX_BOXES} boxes in a row")


def read_body(file: SeekableBytes, box: Box, limit: int) -> bytes:
    """Return the body of a box, cut off at `limit` bytes and at the end of the bytes available."""
    file.seek(box.body)
    return file.read(min(box.end - box.body, limit))


def iter_children(file: SeekableBytes, parent: Box) -> Iterator[Box]:
    """Yield the boxes in a box. They are cut off at its end.

    Raises:
        MediaRejected: If a length is invalid, or there are more than MAX_BOXES boxes.
    """
    for box in iter_boxes(file, parent.body, parent.end):
        yield box if box.end <= parent.end else box._replace(end=parent.end)


def child_bodies(file: SeekableBytes, parent: Box, kinds: Collection[bytes]) -> dict[bytes, bytes]:
    """Return the body of the first box of each of these kinds in a box."""
    bodies: dict[bytes, bytes] = {}
    for box in iter_children(file, parent):
        if box.kind in kinds and box.kind not in bodies:
            bodies[box.kind] = read_body(file, box, MAX_INDEX_BYTES)
    return bodies


def _parse_brands(ftyp: bytes) -> list[bytes]:
    """Return the major brand, then the others."""
    return [ftyp[:4], *(ftyp[offset : offset + 4] for offset in range(8, len(ftyp), 4))]


def _container_of_brands(brands: list[bytes]) -> str:
    major = brands[0]
    if major == b"qt  ":
        return "mov"
    if any(brand.startswith(_MP4_BRANDS) for brand in brands):
        return "mp4"
    return "mov" if b"qt  " in brands else major.decode("ascii", "replace").strip()


def unreadable_error(message: str, hint: str = f"{EXPORT_HINT} again") -> MediaRejected:
    """Return the error for a damaged MP4 or MOV file."""
    return MediaRejected(MediaCode.UNREADABLE, message, hint=hint)


def truncated_error(message: str) -> MediaRejected:
    """Return the error for a file that ends early."""
    return MediaRejected(
        MediaCode.TRUNCATED, message, hint="check that the original plays to its end, then upload it again"
    )
