"""Walks the boxes of an MP4 or MOV file: what it says it is, where its index lies, how its tracks are turned.

A box is a length (4 bytes, or 8 more where these say 1; 0 means "to the end"), a kind (4 bytes) and a body, which
may hold boxes in turn. The index (`moov`) stands before or after the picture data (`mdat`), which is stepped over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from models.errors import MediaRejected
from models.media import MIB

# An index takes some 20 bytes a frame: this is enough for hours.
MAX_INDEX_BYTES = 32 * MIB
# Real files have about five at the top and ten in a track; a file made of empty boxes would keep us busy for long.
MAX_BOXES = 1000

_HEADER = struct.Struct(">I4s")
_LONG_HEADER = struct.Struct(">I4sQ")
_MAY_COME_FIRST = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid"}
_MP4_BRANDS = (b"iso", b"mp4", b"avc1", b"M4V", b"dash", b"MSNV")
_FOREIGN = (
    (b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (b"RIFF", "AVI"),
    (b"OggS", "Ogg"),
    (b"FLV", "Flash video"),
    (b"\x30\x26\xb2\x75", "Windows Media"),
    (b"\x00\x00\x01\xba", "MPEG program stream"),
    (b"G@", "MPEG transport stream"),
)
_EXPORT_HINT = "export it as MP4 (H.264)"


class SeekableBytes(Protocol):
    """A file whose reads are full, but for the file's end."""

    def seek(self, offset: int, /) -> int:
        """Move the position."""

    def read(self, size: int, /) -> bytes:
        """Return the next `size` bytes."""


class Box(NamedTuple):
    """A box from `start` to `end`; its body begins at `body`. Offsets are bytes from the file's start."""

    kind: bytes
    start: int
    body: int
    end: int


class Layout(NamedTuple):
    """What the top level tells: "mp4", "mov" or another brand, and where the index (`moov`) is."""

    container: str
    moov: Box


class Track(NamedTuple):
    """What a track's header tells: the pixels to show it in, and whether it is turned by 90 or 270 degrees."""

    width: int
    height: int
    turned: bool


class Index(NamedTuple):
    """What FFmpeg does not tell: tracks by their id, and whether fragments elsewhere go on with the index."""

    tracks: dict[int, Track]
    fragmented: bool


def find_layout(file: SeekableBytes, size: int) -> Layout:
    """Walk the top level of a file of `size` bytes up to its index. Raises MediaRejected where there is none."""
    file.seek(0)
    head = file.read(64)
    if head[4:8] not in _MAY_COME_FIRST:
        raise _foreign(head)
    container = "mov"  # files older than the ftyp box are QuickTime's
    for box in boxes(file, 0, size):
        if box.end > size:
            raise cut_off(f"its last {box.end - size:,} bytes are missing")
        if box.kind == b"ftyp":
            container = _container(body(file, box, 1024))
        elif box.kind == b"moov":
            if box.end - box.start > MAX_INDEX_BYTES:
                raise unreadable(f"its index claims {box.end - box.start:,} bytes")
            return Layout(container, box)
    raise MediaRejected(
        "no-index",
        "it has no index (moov box), without which no player can open it",
        hint=f"the recording was not finished: {_EXPORT_HINT} again",
    )


def read_index(file: SeekableBytes, moov: Box) -> Index:
    """Read the headers of the index's tracks. Raises MediaRejected for lengths and numbers that cannot be."""
    tracks: dict[int, Track] = {}
    fragmented = nameless = False
    for box in boxes(file, moov.body, moov.end):
        fragmented = fragmented or box.kind == b"mvex"
        if box.kind == b"trak":
            inside = boxes(file, box.body, min(box.end, moov.end))
            found = dict(_track(body(file, inner, 256)) for inner in inside if inner.kind == b"tkhd")
            nameless = nameless or min(found, default=0) <= 0
            tracks.update(found)
    if fragmented and nameless:
        # FFmpeg counts to a billion at each run of frames then.
        raise unreadable("one of its tracks has no number")
    return Index(tracks, fragmented)


def boxes(file: SeekableBytes, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes from `start` to `end`, which the file has; the last box may claim to end later.

    Raises MediaRejected for a length that cannot be, and for too many boxes.
    """
    for _ in range(MAX_BOXES):
        if end - start < _HEADER.size:
            return
        file.seek(start)
        header = file.read(_LONG_HEADER.size)
        if len(header) < _HEADER.size:
            return  # a box inside another one that claims more than there is
        length, kind = _HEADER.unpack_from(header)
        inside = start + _HEADER.size
        if length == 1 and len(header) == _LONG_HEADER.size:
            _, kind, length = _LONG_HEADER.unpack(header)
            inside = start + _LONG_HEADER.size
        elif length == 0:
            length = end - start
        if length < inside - start:
            raise unreadable(f"one of its boxes claims a length of {length}")
        yield Box(kind, start, inside, start + length)
        start += length
    raise unreadable(f"it has more than {MAX_BOXES} boxes in a row")


def body(file: SeekableBytes, box: Box, limit: int) -> bytes:
    """Return what is in the box, up to a limit and to what is here of the file."""
    file.seek(box.body)
    return file.read(min(box.end - box.body, limit))


def _container(ftyp: bytes) -> str:
    major, others = ftyp[:4], ftyp[8:]
    brands = [major, *(others[at : at + 4] for at in range(0, len(others), 4))]
    if major == b"qt  ":
        return "mov"
    if any(brand.startswith(_MP4_BRANDS) for brand in brands):
        return "mp4"
    return "mov" if b"qt  " in brands else major.decode("ascii", "replace").strip()


def _track(tkhd: bytes) -> tuple[int, Track]:
    """Read a track header: version and flags, two times, the id, …, a 3x3 matrix, width and height (16.16)."""
    wide = tkhd[:1] == b"\x01"
    if len(tkhd) < (96 if wide else 84):
        raise unreadable("one of its track headers is too short")
    (number,) = struct.unpack_from(">i", tkhd, 20 if wide else 12)  # signed, as FFmpeg has it
    matrix = struct.unpack_from(">9i2I", tkhd, 52 if wide else 40)
    (a, b), width, height = matrix[:2], matrix[9] >> 16, matrix[10] >> 16
    return number, Track(width, height, turned=abs(b) > abs(a))


def _foreign(head: bytes) -> MediaRejected:
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"<", b"{", b"["):
        return MediaRejected(
            "not-a-video",
            "it is a web page or a message, not a video",
            hint="give the file's direct download URL, not the page that shows it",
        )
    named = next((name for magic, name in _FOREIGN if head.startswith(magic)), "something else")
    return MediaRejected("wrong-container", f"neither MP4 nor MOV but {named}", hint=_EXPORT_HINT)


def unreadable(why: str) -> MediaRejected:
    """Return the error for a file that is an MP4 or MOV, and broken."""
    return MediaRejected("unreadable", why, hint=f"{_EXPORT_HINT} again")


def cut_off(why: str) -> MediaRejected:
    """Return the error for a file that ends too early."""
    return MediaRejected("cut-off", why, hint="play it to its end where it comes from, then upload it again")
