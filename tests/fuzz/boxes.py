"""Finds the boxes of an MP4 or MOV file at every level, also in sample descriptions, and the fields in them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

MAX_DEPTH = 10
KINDS = (
    b"moov trak tkhd mdhd stsz stsc stco co64 stts ctts stss elst stsd mvex trex moof traf tfhd tfdt trun "
    b"sidx mfra tfra mfro mdat free dref hdlr avcC hvcC av1C vpcC esds udta meta keys ilst senc saiz saio "
    b"pssh sinf schi tenc sbgp sgpd cmov uuid iprf iloc iinf stz2 sv3d gama colr pasp clap wave tref avc1 "
    b"hvc1 av01 vp09 mp4a encv apch"
).split()
"""Kinds that a box may be turned into."""
_VIDEO_ENTRIES = b"avc1 hev1 av01 vp09 mp4v apch jpeg AVdh CFHD encv".split()
_AUDIO_ENTRIES = b"mp4a enca".split()
_CHILDREN_AFTER = {
    **dict.fromkeys(
        b"moov trak mdia minf dinf stbl mvex moof traf mfra edts udta ipro sinf schi wave iprp ipco".split(), 0
    ),
    **dict.fromkeys(b"meta iref".split(), 4),
    **dict.fromkeys(b"stsd dref".split(), 8),
    **dict.fromkeys(_VIDEO_ENTRIES, 78),
    **dict.fromkeys(_AUDIO_ENTRIES, 28),
}
"""The kinds of boxes that contain boxes, and how many bytes of their bodies precede these."""


class Position(NamedTuple):
    """A box: its kind, its start, the start of its body, its end, and the number of boxes around it."""

    kind: bytes
    start: int
    body: int
    end: int
    depth: int


class Field(NamedTuple):
    """A number in a box: its offset in the body, its size in bytes, and the size of an entry if it is repeated."""

    offset: int
    size: int = 4
    entry: int = 0


_FULL_HEADER = (Field(0, 1), Field(1, 3))
"""Version and flags, in most boxes."""
FIELDS: dict[bytes, tuple[Field, ...]] = {
    b"mvhd": (*_FULL_HEADER, Field(12), Field(16), Field(20)),
    b"tkhd": (*_FULL_HEADER, Field(12), Field(20), Field(40, 4, 4), Field(76), Field(80)),
    b"mdhd": (*_FULL_HEADER, Field(12), Field(16)),
    b"hdlr": (Field(4), Field(8)),
    b"elst": (*_FULL_HEADER, Field(4), Field(8, 4, 4)),
    b"stsd": (Field(4), Field(8), Field(12)),
    b"stts": (Field(4), Field(8, 4, 8), Field(12, 4, 8)),
    b"ctts": (*_FULL_HEADER, Field(4), Field(8, 4, 4)),
    b"stss": (Field(4), Field(8, 4, 4)),
    b"stsz": (Field(4), Field(8), Field(12, 4, 4)),
    b"stsc": (Field(4), Field(8, 4, 4)),
    b"stco": (Field(4), Field(8, 4, 4)),
    b"trex": (Field(4), Field(8), Field(12), Field(16), Field(20)),
    b"mfhd": (Field(4),),
    b"tfhd": (Field(0, 4), Field(4), Field(8, 4, 4)),
    b"tfdt": (*_FULL_HEADER, Field(4), Field(8)),
    b"trun": (Field(0, 4), Field(4), Field(8, 4, 4)),
    b"sidx": (*_FULL_HEADER, Field(4), Field(8), Field(12, 4, 4), Field(22, 2)),
    b"tfra": (*_FULL_HEADER, Field(4), Field(8), Field(12), Field(16, 4, 4)),
    b"mfro": (Field(4),),
    b"pasp": (Field(0), Field(4)),
    b"colr": (Field(4, 2), Field(6, 2), Field(8, 2)),
    b"tenc": (Field(4), Field(8, 4, 4)),
    b"senc": (Field(0, 4), Field(4), Field(8, 4, 4)),
    b"iloc": (Field(0, 4), Field(4, 2), Field(6, 2), Field(8, 4, 4)),
    b"ispe": (Field(4), Field(8)),
    **dict.fromkeys(_VIDEO_ENTRIES, (Field(24, 2), Field(26, 2))),
    **dict.fromkeys(_AUDIO_ENTRIES, (Field(8, 2), Field(16, 2), Field(18, 2), Field(24))),
    **dict.fromkeys(b"avcC hvcC av1C vpcC esds".split(), (Field(0, 1, 1),)),
}
"""The numbers that say where the frames are, when they are shown, how large, and with which codec."""


def walk(data: bytes) -> Iterator[Position]:
    """Yield the boxes at every level, the outer one first."""
    yield from _walk(data, 0, len(data), 0)


def _walk(data: bytes, start: int, end: int, depth: int) -> Iterator[Position]:
    while end - start >= 8:  # length and kind
        length, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if length == 1:
            # A mutation may have cut off the file in the long length.
            length, body = int.from_bytes(data[body : body + 8]), start + 16
        stop = min(start + length, end) if length else end
        if stop < body:
            return
        yield Position(kind, start, body, stop, depth)
        if depth < MAX_DEPTH and (skipped := _CHILDREN_AFTER.get(kind)) is not None:
            yield from _walk(data, body + skipped, stop, depth + 1)
        start = stop
