"""Builds single boxes of MP4 files from their fields."""

from __future__ import annotations

import struct
from collections.abc import Sequence

NOT_ROTATED = (1, 0, 0, 0, 1, 0, 0, 0, 1)


def box(kind: bytes, body: bytes = b"", *, length: int | None = None, wide: bool = False) -> bytes:
    """Return a box that claims `length`, by default its real length."""
    header = 16 if wide else 8
    claimed = len(body) + header if length is None else length
    if wide:
        return struct.pack(">I4sQ", 1, kind, claimed) + body
    return struct.pack(">I4s", claimed, kind) + body


def ftyp(major: bytes = b"isom", *others: bytes) -> bytes:
    return box(b"ftyp", major + bytes(4) + b"".join(others))


def tkhd(
    track_id: int,
    width: int = 0,
    height: int = 0,
    matrix: tuple[int, ...] = NOT_ROTATED,
    *,
    wide: bool = False,
    flags: int = 7,
) -> bytes:
    times = struct.pack(">QQiI Q" if wide else ">IIiI I", 0, 0, track_id, 0, 0)
    body = bytes([wide, 0, 0, flags]) + times + bytes(16) + struct.pack(">9i", *(value << 16 for value in matrix))
    return box(b"tkhd", body + struct.pack(">II", width << 16, height << 16))


def mvhd(timescale: int = 1000, matrix: tuple[int, ...] = NOT_ROTATED) -> bytes:
    body = struct.pack(">IIIII", 0, 0, 0, timescale, 0) + bytes(16)
    return box(b"mvhd", body + struct.pack(">9i", *(value << 16 for value in matrix)) + bytes(28))


def table(*entries: Sequence[int]) -> bytes:
    """Return the body of a table: version and flags, the number of its entries, and their fields of 32 bits."""
    fields = [field & 0xFFFF_FFFF for entry in entries for field in entry]
    return struct.pack(f">II{len(fields)}I", 0, len(entries), *fields)


def traf(track_id: int, decode_time: int | None, *runs: bytes, flags: int = 0x20000) -> bytes:
    tfdt = b"" if decode_time is None else box(b"tfdt", struct.pack(">IQ", 1 << 24, decode_time))
    return box(b"traf", box(b"tfhd", struct.pack(">II", flags, track_id)) + tfdt + b"".join(runs))


def trun(*samples: tuple[int, int, int], offset: int | None = None, claimed: int | None = None) -> bytes:
    """Return a run of samples: the duration, the size and the shift of each."""
    count = len(samples) if claimed is None else claimed
    head = struct.pack(">II", 0xB00 | (offset is not None), count)
    place = b"" if offset is None else struct.pack(">i", offset)
    return box(b"trun", head + place + b"".join(struct.pack(">IIi", *sample) for sample in samples))
