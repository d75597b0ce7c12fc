"""Edits of boxes that several parts of the corpus use; tests/media/sample_files.py has the general ones."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from tests.media.corpus.recording import Edit
from tests.media.sample_files import boxes, replace_box

# Offsets in the body of a version 0 box, after its version and flags.
TKHD_MATRIX = 40
TKHD_SIZE = 76
STSD_FIRST_ENTRY = 8
CHUNK_OFFSET_BOXES = {b"stco": ">I", b"co64": ">Q"}


def box(kind: bytes, body: bytes) -> bytes:
    """Return a box."""
    return struct.pack(">I4s", len(body) + 8, kind) + body


def moov_bytes(data: bytes) -> bytes:
    """Return the index with its header."""
    return next(data[start:end] for kind, start, _, end in boxes(data) if kind == b"moov")


def insert_before_moov(kind: bytes, body_bytes: int) -> Edit:
    """Return an edit that inserts a box of zeros before an index at the end of the file."""
    return lambda data: data.replace(moov_bytes(data), box(kind, bytes(body_bytes)) + moov_bytes(data))


def edit_track(handler: bytes, path: str, change: Callable[[bytes], bytes | None], *, nth: int = 0) -> Edit:
    """Return an edit of a box in the n-th track of a handler, b"vide" or b"soun".

    Args:
        handler: The kind of the track.
        path: Kinds of nested boxes below the track, for example mdia.mdhd.
        change: Returns the new body; None removes the box.
        nth: The position among the tracks of this kind.
    """

    def edit(data: bytes) -> bytes:
        seen = -1

        def change_track(body: bytes) -> bytes:
            nonlocal seen
            seen += handler_of(body) == handler
            return replace_box(body, path, change) if handler_of(body) == handler and seen == nth else body

        return replace_box(data, "moov.trak", change_track, every=True)

    return edit


def handler_of(track: bytes) -> bytes:
    """Return the handler of the body of a track."""
    found = b""

    def read(body: bytes) -> bytes:
        nonlocal found
        found = body[8:12]
        return body

    replace_box(track, "mdia.hdlr", read)
    return found


def put(offset: int, replacement: bytes) -> Callable[[bytes], bytes]:
    """Return a function that inserts bytes into a body."""
    return lambda body: body[:offset] + replacement + body[offset:]


def with_matrix(a: float, b: float, c: float, d: float) -> Edit:
    """Return an edit that gives the first video track a transformation: (a b; c d)."""
    fixed = struct.pack(">9i", *(int(value * 65536) for value in (a, b, 0, c, d, 0, 0, 0, 0)))
    matrix = fixed[:32] + struct.pack(">I", 1 << 30)
    return edit_track(b"vide", "tkhd", lambda body: body[:TKHD_MATRIX] + matrix + body[TKHD_MATRIX + len(matrix) :])


def with_boxes_in_sample_entry(extra: bytes) -> Edit:
    """Return an edit that appends boxes to the first video track's sample entry; the index must be last."""

    def change(body: bytes) -> bytes:
        (length,) = struct.unpack_from(">I", body, STSD_FIRST_ENTRY)
        return body[:STSD_FIRST_ENTRY] + struct.pack(">I", length + len(extra)) + body[12:] + extra

    return edit_track(b"vide", "mdia.minf.stbl.stsd", change)


def chain(*edits: Edit) -> Edit:
    """Return an edit that applies all of these in their order."""

    def edit(data: bytes) -> bytes:
        for step in edits:
            data = step(data)
        return data

    return edit


def top_level(data: bytes) -> Sequence[tuple[bytes, int, int]]:
    """Return the kind, start and end of each box of the file."""
    return [(kind, start, end) for kind, start, _, end in boxes(data)]
