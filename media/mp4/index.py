"""Reads the index of a file (`moov` box): its tracks, with their headers, edit lists and samples."""

from __future__ import annotations

import struct

from media.mp4.boxes import Box, SeekableBytes, child_bodies, iter_children, read_body, unreadable_error
from media.mp4.data_references import is_external
from media.mp4.edit_lists import Edit, parse_edits
from media.mp4.headers import (
    IDENTITY,
    MovieHeader,
    is_rotated,
    iter_fragment_defaults,
    parse_movie_header,
    parse_timescale,
    parse_track_header,
)
from media.mp4.sample_entries import SampleEntry, parse_sample_entry
from media.mp4.sample_tables import SAMPLE_TABLES, read_samples
from media.mp4.samples import Samples
from media.mp4.tracks import Index, Track


def read_index(file: SeekableBytes, moov: Box) -> Index:
    """Read the tracks in the index.

    Raises:
        MediaRejected: If the index is compressed, or a length, a track id or a table is invalid.
    """
    movie = parse_movie_header(child_bodies(file, moov, {b"mvhd"}).get(b"mvhd", b""))
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
    defaults = {track_id: values for mvex in extensions for track_id, values in iter_fragment_defaults(file, mvex)}
    tracks = tuple(
        track._replace(fragment_defaults=defaults.get(track.id, track.fragment_defaults)) for track in tracks
    )
    return Index(tracks, is_fragmented=True, has_drm=has_drm)


def _read_track(file: SeekableBytes, trak: Box, movie: MovieHeader) -> Track:
    track_id, is_enabled, width, height, matrix = 0, True, 0, 0, IDENTITY
    handler, timescale, entry, samples = b"", 0, SampleEntry(), Samples()
    edits: tuple[Edit, ...] = ()
    has_external_data = False
    chapters: tuple[int, ...] = ()
    for box in iter_children(file, trak):
        if box.kind == b"tkhd":
            track_id, is_enabled, width, height, matrix = parse_track_header(read_body(file, box, 256))
        elif box.kind == b"edts":
            edits = parse_edits(child_bodies(file, box, {b"elst"}).get(b"elst", b""), movie.timescale)
        elif box.kind == b"tref":
            table = child_bodies(file, box, {b"chap"}).get(b"chap", b"")[:256]
            chapters = struct.unpack_from(f">{len(table) // 4}i", table)
        elif box.kind == b"mdia":
            bodies = child_bodies(file, box, {b"mdhd", b"hdlr"})
            handler = bodies.get(b"hdlr", b"")[8:12]
            # FFmpeg's reading of a track without a time scale.
            timescale = parse_timescale(bodies.get(b"mdhd", b"")) or movie.timescale
            entry, samples, has_external_data = _read_media(file, box)
    return Track(
        id=track_id,
        handler=handler,
        is_enabled=is_enabled,
        width=width,
        height=height,
        is_rotated=is_rotated(matrix, movie.matrix),
        entry=entry,
        timescale=timescale,
        edits=edits,
        samples=samples,
        is_external=has_external_data,
        chapters=chapters,
    )


def _read_media(file: SeekableBytes, mdia: Box) -> tuple[SampleEntry, Samples, bool]:
    """Return the codec, the samples, and whether these are in another file."""
    entry, samples, dref = SampleEntry(), Samples(), b""
    for box in (
        box for minf in iter_children(file, mdia) if minf.kind == b"minf" for box in iter_children(file, minf)
    ):
        if box.kind == b"dinf":
            dref = child_bodies(file, box, {b"dref"}).get(b"dref", b"")
        elif box.kind == b"stbl":
            tables = child_bodies(file, box, {b"stsd", *SAMPLE_TABLES})
            entry, samples = parse_sample_entry(tables.get(b"stsd", b"")), read_samples(tables)
    return entry, samples, is_external(dref, entry.data_reference)
