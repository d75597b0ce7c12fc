"""Small real recordings of each structure, and mutations of their boxes."""

from __future__ import annotations

import contextlib
import functools
import struct
from collections.abc import Iterator
from typing import NamedTuple

from hypothesis import strategies as st

from tests.fuzz.mutations import MAX_BYTES, NUMBERS
from tests.media.sample_files import PARENTS, audio_only, boxes, encode_video, with_edits

MAX_DEPTH = 8
KINDS = [
    b"moov",
    b"trak",
    b"tkhd",
    b"mdhd",
    b"stsz",
    b"stsc",
    b"stco",
    b"co64",
    b"stts",
    b"ctts",
    b"stss",
    b"elst",
    b"stsd",
]
KINDS += [
    b"mvex",
    b"trex",
    b"moof",
    b"traf",
    b"tfhd",
    b"tfdt",
    b"trun",
    b"sidx",
    b"mfra",
    b"tfra",
    b"mfro",
    b"mdat",
    b"free",
]
KINDS += [
    b"dref",
    b"hdlr",
    b"avcC",
    b"hvcC",
    b"esds",
    b"udta",
    b"meta",
    b"keys",
    b"ilst",
    b"senc",
    b"saiz",
    b"saio",
    b"pssh",
]
KINDS += [
    b"sbgp",
    b"sgpd",
    b"cmov",
    b"uuid",
    b"iprf",
    b"iloc",
    b"iinf",
    b"stz2",
    b"sv3d",
    b"gama",
    b"colr",
    b"wave",
    b"tref",
]


OPERATIONS = [*["number"] * 8, "length", "kind", "wide", "times", "insert", "insert", "cut"]


class BoxMutation(NamedTuple):
    """A mutation of one box, counted over all levels; `operation` is one of OPERATIONS."""

    operation: str
    box: int
    word: int
    value: int


@functools.cache
def samples() -> tuple[bytes, ...]:
    """Encode recordings of a few kilobytes, once per process."""
    fragments = "frag_keyframe+empty_moov"
    small = functools.partial(encode_video, 3, width=64, height=64, keyframes=1)
    return (
        small(),
        small(movflags="faststart"),
        small(container="mov", rotation=90, sound=0),
        small(movflags=fragments),
        small(movflags="frag_keyframe"),
        small(movflags="dash+global_sidx"),
        small(movflags=f"{fragments}+skip_trailer", sound=2),
        small(codec="mpeg4", sound=0),
        small(codec="libx265", sound=0),
        audio_only(cover=True),
        with_edits(small(), [(500, -1), (2000, 0)]),
    )


def walk(data: bytes, start: int = 0, end: int | None = None, depth: int = 0) -> Iterator[tuple[int, int, int]]:
    """Yield start, start of the body, and end of the boxes at every level."""
    # A mutation may have cut off the file in a 64-bit length.
    with contextlib.suppress(struct.error):
        for kind, begin, body, stop in boxes(data, start, end):
            yield begin, body, stop
            if kind in PARENTS and depth < MAX_DEPTH:
                yield from walk(data, body, stop, depth + 1)


def changed(data: bytes, changes: list[BoxMutation]) -> bytes:
    """Apply the mutations, and correct the lengths of the parent boxes."""
    for change in changes:
        positions = list(walk(data))
        if not positions:
            break
        data = _changed(data, positions, *positions[change.box % len(positions)], change)[: 16 * MAX_BYTES]
    return data


def _changed(
    data: bytes, positions: list[tuple[int, int, int]], start: int, body: int, end: int, change: BoxMutation
) -> bytes:
    box = data[start:end]
    if change.operation == "number":
        offset = body - start + change.word % max((end - body) // 2, 1) * 2
        new = (box[:offset] + struct.pack(">I", change.value) + box[offset + 4 :])[: len(box)]
    elif change.operation == "length":
        new = struct.pack(">I", change.value) + box[4:]
    elif change.operation == "kind":
        new = box[:4] + KINDS[change.word % len(KINDS)] + box[8:]
    elif change.operation == "wide":
        new = struct.pack(">I4sQ", 1, box[4:8], change.value << change.word % 32) + box[8:]
    elif change.operation == "times":
        new = box * min(change.word % 1200, 16 * MAX_BYTES // len(box) + 1)
    elif change.operation == "insert":
        kind = KINDS[change.word % len(KINDS)]
        new = box + struct.pack(">I4sIII", 28, kind, 0, change.value, change.value) + bytes(8)
    else:
        new = box[: change.word % (len(box) + 1)]
    data = data[:start] + new + data[end:]
    for outer, _, outer_end in positions:
        if outer < start and end <= outer_end:
            (length,) = struct.unpack_from(">I", data, outer)
            if length > 1:
                length = max(min(length + len(new) - len(box), 2**32 - 1), 0)
                data = data[:outer] + struct.pack(">I", length) + data[outer + 4 :]
    return data


_values = st.sampled_from(NUMBERS) | st.integers(0, 2**32 - 1)
changes = st.lists(
    st.builds(BoxMutation, st.sampled_from(OPERATIONS), st.integers(0, 80), st.integers(0, 1200), _values),
    min_size=1,
    max_size=6,
)
"""Draws the mutations of a recording."""
