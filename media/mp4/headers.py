"""Parses the headers of the index (`moov` box): of the movie, of its tracks, and of their fragments."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from media.mp4.boxes import Box, SeekableBytes, iter_children, read_body, unreadable_error

IDENTITY = (1.0, 0.0, 0.0, 1.0)
_FIXED_ONE = 1 << 16
_TRACK_ENABLED = 1

Matrix = tuple[float, float, float, float]
"""The linear part (a, b, c, d) of a transformation of the picture."""


class MovieHeader(NamedTuple):
    """The time scale of edit lists, and the transformation of all pictures."""

    timescale: int
    matrix: Matrix


class FragmentDefaults(NamedTuple):
    """The duration (in ticks) and the size of samples, for fragments that do not state them (`trex` box)."""

    ticks: int = 0
    size: int = 0


def parse_track_header(tkhd: bytes) -> tuple[int, bool, int, int, Matrix]:
    """Parse a track header: version and flags, two times, the id, …, a 3x3 matrix, width and height (16.16)."""
    is_wide = tkhd[:1] == b"\x01"
    if len(tkhd) < (96 if is_wide else 84):
        raise unreadable_error("a track header is too short")
    (track_id,) = struct.unpack_from(">i", tkhd, 20 if is_wide else 12)  # signed, as in FFmpeg
    width, height = struct.unpack_from(">2I", tkhd, 88 if is_wide else 76)
    matrix = _parse_matrix(tkhd, 52 if is_wide else 40)
    return track_id, bool(tkhd[3] & _TRACK_ENABLED), width >> 16, height >> 16, matrix


def parse_movie_header(mvhd: bytes) -> MovieHeader:
    """Parse the header of the index; without a time scale it is 1, as in FFmpeg."""
    is_wide = mvhd[:1] == b"\x01"
    if len(mvhd) < (84 if is_wide else 72):
        return MovieHeader(1, IDENTITY)
    (timescale,) = struct.unpack_from(">I", mvhd, 20 if is_wide else 12)
    return MovieHeader(timescale or 1, _parse_matrix(mvhd, 48 if is_wide else 36))


def parse_timescale(mdhd: bytes) -> int:
    """Return the ticks per second of a track, 0 if they are missing."""
    offset = 20 if mdhd[:1] == b"\x01" else 12
    return int.from_bytes(mdhd[offset : offset + 4])


def _parse_matrix(header: bytes, offset: int) -> Matrix:
    a, b, _, c, d = (value / _FIXED_ONE for value in struct.unpack_from(">5i", header, offset))
    return a, b, c, d


def is_rotated(track: Matrix, movie: Matrix) -> bool:
    """Return whether both transformations together exchange width and height."""
    a, b, _, _ = track
    movie_a, movie_b, movie_c, movie_d = movie
    return abs(a * movie_b + b * movie_d) > abs(a * movie_a + b * movie_c)


def iter_fragment_defaults(file: SeekableBytes, mvex: Box) -> Iterator[tuple[int, FragmentDefaults]]:
    """Yield the id of each track with fragments, and the defaults of these."""
    for box in iter_children(file, mvex):
        if box.kind == b"trex" and len(trex := read_body(file, box, 24)) == 24:  # noqa: PLR2004  # its size
            track_id, _, ticks, size = struct.unpack_from(">iIII", trex, 4)
            yield track_id, FragmentDefaults(ticks, size)
