"""Reads the tracks of an index (`moov` box): what each one contains, how it is shown, and its samples."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from media.mp4.boxes import Box, SeekableBytes, child_bodies, iter_children, read_body, unreadable_error
from media.mp4.edit_lists import Edit, edited_seconds, first_shown_tick, parse_edits
from media.mp4.sample_entries import SampleEntry, parse_sample_entry
from media.mp4.sample_tables import SAMPLE_TABLES, Samples, read_samples

VIDEO = b"vide"
AUDIO = b"soun"

_IDENTITY = (1.0, 0.0, 0.0, 1.0)
_FIXED_ONE = 1 << 16
_TRACK_ENABLED = 1

Matrix = tuple[float, float, float, float]
"""The linear part (a, b, c, d) of a transformation of the picture."""


class _Movie(NamedTuple):
    """The time scale of edit lists, and the transformation of all pictures."""

    timescale: int
    matrix: Matrix


class FragmentDefaults(NamedTuple):
    """The duration (in ticks) and the size of samples, for fragments that do not state them (`trex` box)."""

    ticks: int = 0
    size: int = 0


class Track(NamedTuple):
    """A track.

    Attributes:
        id: Its number.
        handler: Its medium: VIDEO, AUDIO, or another one.
        is_enabled: Players show it.
        width: The width from its header in pixels, 0 if unknown.
        height: The height from its header in pixels, 0 if unknown.
        is_rotated: It is shown rotated by 90 or 270 degrees.
        entry: The codec.
        timescale: Its ticks per second, 0 if unknown.
        edits: Its edit list.
        samples: Its samples, with those of the fragments that were read.
        is_fragmented: Some of its samples are in fragments outside the index.
        is_measured: Its first and its last samples were read.
        fragment_defaults: Defaults for its fragments.
        first_fragment: The first of these fragments.
        chapters: The ids of tracks that contain its chapters.
    """

    id: int
    handler: bytes
    is_enabled: bool
    width: int
    height: int
    is_rotated: bool
    entry: SampleEntry
    timescale: int
    edits: tuple[Edit, ...]
    samples: Samples
    is_fragmented: bool = False
    is_measured: bool = True
    fragment_defaults: FragmentDefaults = FragmentDefaults()
    first_fragment: Box | None = None
    chapters: tuple[int, ...] = ()

    @property
    def seconds(self) -> float | None:
        """How long players show it, with its edit list applied; None if unknown."""
        samples, timescale = self.samples, self.timescale
        if not samples.sample_count or not timescale or not self.is_measured:
            return None
        if self.is_fragmented:
            # As in FFmpeg and in browsers, the durations of the edits do not count: an index is
            # written before the fragments, and may only contain the duration of the first one.
            hidden = max(first_shown_tick(self.edits) - samples.begin, 0)
            seconds = (samples.decode_end - samples.decode_begin - hidden) / timescale
        elif self.edits:
            seconds = edited_seconds(self.edits, samples.end, timescale)
        else:
            seconds = samples.ticks / timescale
        return seconds if seconds > 0 else None

    @property
    def bit_rate(self) -> float | None:
        """The mean of the samples that were read, in bits per second; None if unknown."""
        samples = self.samples
        if not samples.ticks or not samples.byte_count:
            return None
        return samples.byte_count * 8 * self.timescale / samples.ticks

    @property
    def frame_rate(self) -> float | None:
        """The mean of the samples that were read, in frames per second; None if unknown."""
        count, ticks = self.samples.sample_count, self.samples.ticks
        if self.is_fragmented and 0 < self.samples.first_ticks < ticks:
            # Some tools add the time until the first picture to its duration, and few of the others are read.
            count, ticks = count - 1, ticks - self.samples.first_ticks
        return count * self.timescale / ticks if ticks else None


class Index(NamedTuple):
    """The tracks of a file.

    `is_fragmented`: fragments outside the index may continue them. `has_drm`: it has data for a DRM system.
    """

    tracks: tuple[Track, ...]
    is_fragmented: bool
    has_drm: bool = False

    def of_medium(self, handler: bytes) -> tuple[Track, ...]:
        """Return the tracks of a medium, without pictures of chapters."""
        chapters = {track_id for track in self.tracks for track_id in track.chapters}
        return tuple(track for track in self.tracks if track.handler == handler and track.id not in chapters)

    def shown(self, handler: bytes) -> tuple[Track, ...]:
        """Return the tracks of a medium that players show: enabled ones, or all if no track with samples is."""
        tracks = [track for track in self.of_medium(handler) if track.samples.sample_count]
        return tuple([track for track in tracks if track.is_enabled] or tracks)


def longest(tracks: Iterable[Track]) -> Track | None:
    """Return the track that is shown for the longest time, the first of several, None without tracks."""
    return max(tracks, key=lambda track: track.seconds or 0, default=None)


def highest_bit_rate(tracks: Iterable[Track]) -> float | None:
    """Return the highest bit rate of some tracks, None if that of one is unknown or there are none."""
    rates: list[float] = []
    for track in tracks:
        if track.bit_rate is None:
            return None
        rates.append(track.bit_rate)
    return max(rates, default=None)


def read_index(file: SeekableBytes, moov: Box) -> Index:
    """Read the tracks in the index.

    Raises:
        MediaRejected: If the index is compressed, or a length, a track id or a table is invalid.
    """
    movie = _parse_mvhd(child_bodies(file, moov, {b"mvhd"}).get(b"mvhd", b""))
    boxes = list(iter_children(file, moov))
    if any(box.kind == b"cmov" for box in boxes):
        raise unreadable_error("the index is compressed, as in old QuickTime movies")
    extensions = [box for box in boxes if box.kind == b"mvex"]
    tracks = tuple(_read_track(file, box, movie) for box in boxes if box.kind == b"trak")
    has_drm = any(box.kind == b"pssh" for box in boxes)
    if not extensions:
        return Index(tracks, is_fragmented=False, has_drm=has_drm)
    if any(track.id <= 0 for track in tracks):
        # FFmpeg would count to a billion at each run of frames.
        raise unreadable_error("a track has no valid id")
    defaults = {track_id: values for mvex in extensions for track_id, values in _iter_defaults(file, mvex)}
    tracks = tuple(
        track._replace(fragment_defaults=defaults.get(track.id, track.fragment_defaults)) for track in tracks
    )
    return Index(tracks, is_fragmented=True, has_drm=has_drm)


def _read_track(file: SeekableBytes, trak: Box, movie: _Movie) -> Track:
    track_id, is_enabled, width, height, matrix = 0, True, 0, 0, _IDENTITY
    handler, timescale, entry, samples = b"", 0, SampleEntry(), Samples()
    edits: tuple[Edit, ...] = ()
    chapters: tuple[int, ...] = ()
    for box in iter_children(file, trak):
        if box.kind == b"tkhd":
            track_id, is_enabled, width, height, matrix = _parse_tkhd(read_body(file, box, 256))
        elif box.kind == b"edts":
            edits = parse_edits(child_bodies(file, box, {b"elst"}).get(b"elst", b""), movie.timescale)
        elif box.kind == b"tref":
            table = child_bodies(file, box, {b"chap"}).get(b"chap", b"")[:256]
            chapters = struct.unpack_from(f">{len(table) // 4}i", table)
        elif box.kind == b"mdia":
            bodies = child_bodies(file, box, {b"mdhd", b"hdlr"})
            handler = bodies.get(b"hdlr", b"")[8:12]
            # FFmpeg's reading of a track without a time scale.
            timescale = _parse_mdhd(bodies.get(b"mdhd", b"")) or movie.timescale
            entry, samples = _read_media(file, box)
    return Track(
        id=track_id,
        handler=handler,
        is_enabled=is_enabled,
        width=width,
        height=height,
        is_rotated=_is_rotated(matrix, movie.matrix),
        entry=entry,
        timescale=timescale,
        edits=edits,
        samples=samples,
        chapters=chapters,
    )


def _read_media(file: SeekableBytes, mdia: Box) -> tuple[SampleEntry, Samples]:
    for minf in iter_children(file, mdia):
        for stbl in iter_children(file, minf) if minf.kind == b"minf" else ():
            if stbl.kind == b"stbl":
                tables = child_bodies(file, stbl, {b"stsd", *SAMPLE_TABLES})
                return parse_sample_entry(tables.get(b"stsd", b"")), read_samples(tables)
    return SampleEntry(), Samples()


def _parse_tkhd(tkhd: bytes) -> tuple[int, bool, int, int, Matrix]:
    """Parse a track header: version and flags, two times, the id, …, a 3x3 matrix, width and height (16.16)."""
    is_wide = tkhd[:1] == b"\x01"
    if len(tkhd) < (96 if is_wide else 84):
        raise unreadable_error("a track header is too short")
    (track_id,) = struct.unpack_from(">i", tkhd, 20 if is_wide else 12)  # signed, as in FFmpeg
    width, height = struct.unpack_from(">2I", tkhd, 88 if is_wide else 76)
    matrix = _parse_matrix(tkhd, 52 if is_wide else 40)
    return track_id, bool(tkhd[3] & _TRACK_ENABLED), width >> 16, height >> 16, matrix


def _parse_mvhd(mvhd: bytes) -> _Movie:
    """Parse the header of the index; without a time scale it is 1, as in FFmpeg."""
    is_wide = mvhd[:1] == b"\x01"
    if len(mvhd) < (84 if is_wide else 72):
        return _Movie(1, _IDENTITY)
    (timescale,) = struct.unpack_from(">I", mvhd, 20 if is_wide else 12)
    return _Movie(timescale or 1, _parse_matrix(mvhd, 48 if is_wide else 36))


def _parse_mdhd(mdhd: bytes) -> int:
    """Return the ticks per second of a track, 0 if they are missing."""
    offset = 20 if mdhd[:1] == b"\x01" else 12
    return int.from_bytes(mdhd[offset : offset + 4])


def _parse_matrix(header: bytes, offset: int) -> Matrix:
    a, b, _, c, d = (value / _FIXED_ONE for value in struct.unpack_from(">5i", header, offset))
    return a, b, c, d


def _is_rotated(track: Matrix, movie: Matrix) -> bool:
    """Return whether both transformations together exchange width and height."""
    a, b, _, _ = track
    movie_a, movie_b, movie_c, movie_d = movie
    return abs(a * movie_b + b * movie_d) > abs(a * movie_a + b * movie_c)


def _iter_defaults(file: SeekableBytes, mvex: Box) -> Iterator[tuple[int, FragmentDefaults]]:
    for box in iter_children(file, mvex):
        if box.kind == b"trex" and len(trex := read_body(file, box, 24)) == 24:  # noqa: PLR2004  # its size
            track_id, _, ticks, size = struct.unpack_from(">iIII", trex, 4)
            yield track_id, FragmentDefaults(ticks, size)
