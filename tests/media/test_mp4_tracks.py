from __future__ import annotations

import io
import struct

import pytest

from media.mp4.boxes import find_layout
from media.mp4.headers import FragmentDefaults
from media.mp4.index import read_index
from media.mp4.sample_entries import SampleEntry
from media.mp4.samples import Samples
from media.mp4.tracks import AUDIO, VIDEO, Index, highest_bit_rate, longest
from models.errors import MediaRejected
from tests.media.mp4_boxes import NOT_ROTATED, box, ftyp, mvhd, table, tkhd

ROTATED_90 = (0, 1, 0, -1, 0, 0, 0, 0, 1)
ROTATED_180 = (-1, 0, 0, 0, -1, 0, 0, 0, 1)
ONE = 1 << 16


def index_of(*boxes: bytes) -> Index:
    data = ftyp() + box(b"moov", b"".join(boxes))
    file = io.BytesIO(data)
    return read_index(file, find_layout(file, len(data)).moov)


def rejection_code(*boxes: bytes) -> str:
    with pytest.raises(MediaRejected) as rejected:
        index_of(*boxes)
    return rejected.value.rule_code


def trak(
    track_id: int, *more: bytes, handler: bytes = VIDEO, samples: int = 10, entry: bytes = b"", flags: int = 7
) -> bytes:
    """Return a track with samples of a second."""
    tables = box(b"stsd", struct.pack(">II", 0, 1) + (entry or box(b"avc1", bytes(78))))
    tables += box(b"stsz", bytes(4) + struct.pack(">II", 100, samples)) + box(b"stsc", table((1, 1000, 1)))
    tables += box(b"stco", table((50,))) + box(b"stts", table((samples, 90_000)))
    media = box(b"mdhd", struct.pack(">IIIIII", 0, 0, 0, 90_000, 0, 0)) + box(
        b"hdlr", bytes(8) + handler + bytes(12)
    )
    mdia = box(b"mdia", media + box(b"minf", box(b"stbl", tables)))
    return box(b"trak", tkhd(track_id, 1280, 720, flags=flags) + b"".join(more) + mdia)


def edts(*edits: tuple[int, int]) -> bytes:
    entries = b"".join(struct.pack(">IiI", duration, begin, ONE) for duration, begin in edits)
    return box(b"edts", box(b"elst", struct.pack(">II", 0, len(edits)) + entries))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    ("matrix", "movie", "is_rotated"),
    [
        (NOT_ROTATED, NOT_ROTATED, False),
        (ROTATED_90, NOT_ROTATED, True),
        (ROTATED_180, NOT_ROTATED, False),
        (NOT_ROTATED, ROTATED_90, True),
        (ROTATED_90, ROTATED_90, False),
        (ROTATED_90, ROTATED_180, True),
    ],
)
def test_track_headers_give_size_and_rotation(
    matrix: tuple[int, ...], movie: tuple[int, ...], *, is_rotated: bool, wide: bool
) -> None:
    index = index_of(
        mvhd(matrix=movie),
        box(b"trak", tkhd(7, 1280, 720, matrix, wide=wide) + box(b"mdia")),
        box(b"trak", tkhd(8)),
    )
    first, second = index.tracks
    assert (first.id, first.width, first.height, first.is_rotated) == (7, 1280, 720, is_rotated)
    assert (second.id, second.width, second.samples.sample_count, second.seconds) == (8, 0, 0, None)
    assert not index.is_fragmented


def test_track_is_cut_off_at_the_end_of_the_index() -> None:
    assert [track.id for track in index_of(box(b"trak", tkhd(-1, 640, 480), length=10**6)).tracks] == [-1]


def test_mvex_box_marks_a_fragmented_file() -> None:
    defaults = box(b"mvex", box(b"trex", struct.pack(">IIIIII", 0, 1, 1, 3000, 500, 0)))
    index = index_of(trak(1), defaults)
    assert index.is_fragmented
    assert index.tracks[0].fragment_defaults == FragmentDefaults(3000, 500)


@pytest.mark.parametrize(
    "track", [box(b"tkhd", bytes(83)), box(b"tkhd", b"\x01" + bytes(94)), box(b"tkhd", length=4)]
)
def test_broken_track_header_is_rejected(track: bytes) -> None:
    assert rejection_code(box(b"trak", track)) == "unreadable"


@pytest.mark.parametrize("track", [box(b"trak"), box(b"trak", tkhd(0)), box(b"trak", tkhd(-1))])
def test_fragmented_tracks_need_valid_ids(track: bytes) -> None:
    assert rejection_code(box(b"trak", tkhd(1)), track, box(b"mvex")) == "unreadable"


@pytest.mark.parametrize(
    ("edits", "seconds"),
    [(b"", 10), (edts((4000, 0)), 4), (edts((10_000, 0), (10_000, 0)), 20), (edts((9000, -1)), None)],
)
def test_duration_is_that_of_the_edits(edits: bytes, seconds: float | None) -> None:
    assert index_of(mvhd(), trak(1, edits)).tracks[0].seconds == seconds


def test_tracks_without_a_time_scale_have_that_of_the_movie() -> None:
    data = trak(1).replace(struct.pack(">I", 90_000) + bytes(8), bytes(12))
    assert index_of(mvhd(1000), data).tracks[0].seconds == 900


@pytest.mark.parametrize(
    ("tracks", "expected"),
    [
        ([trak(1), trak(2, flags=6)], [1]),
        ([trak(1, flags=0), trak(2, flags=6)], [1, 2]),
        ([trak(1, samples=0), trak(2, flags=6)], [2]),
        ([trak(1, samples=0), trak(2, handler=AUDIO)], []),
        ([trak(1, box(b"tref", box(b"chap", struct.pack(">I", 2)))), trak(2)], [1]),
        ([trak(1), trak(2, handler=b"tmcd"), trak(3, handler=b"text")], [1]),
    ],
)
def test_shown_tracks_are_enabled_and_have_samples(tracks: list[bytes], expected: list[int]) -> None:
    assert [track.id for track in index_of(mvhd(), *tracks).shown(VIDEO)] == expected


def test_longest_track_is_the_first_of_equals() -> None:
    tracks = index_of(mvhd(), trak(1), trak(2, samples=12), trak(3, samples=12)).tracks
    assert (chosen := longest(tracks)) is not None
    assert chosen.id == 2
    assert longest([]) is None


@pytest.mark.parametrize(
    ("bytes_per_second", "expected"),
    [((250, 2000), 16_000), ((2000, 250), 16_000), ((2000, 0), None), ((), None)],
)
def test_sound_counts_by_its_loudest_track(bytes_per_second: tuple[int, ...], expected: float | None) -> None:
    [track] = index_of(mvhd(), trak(1, handler=AUDIO)).tracks
    samples = Samples(sample_count=1, ticks=90_000)
    tracks = [track._replace(samples=samples._replace(byte_count=count)) for count in bytes_per_second]
    assert highest_bit_rate(tracks) == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (box(b"avc1", bytes(78) + box(b"avcC", b"\1\x64\0\x1f\xff")), SampleEntry(b"avc1", nal_length_size=4)),
        (box(b"hvc1", bytes(78) + box(b"hvcC", bytes(21) + b"\1")), SampleEntry(b"hvc1", nal_length_size=2)),
        (box(b"avc1", bytes(78)), SampleEntry(b"avc1")),
        (box(b"avc1", bytes(20)), SampleEntry(b"avc1")),
        (box(b"encv", bytes(78)), SampleEntry(b"encv", is_encrypted=True)),
        (box(b"avc1", bytes(78) + box(b"sinf")), SampleEntry(b"avc1", is_encrypted=True)),
        (box(b"avc1", bytes(78), length=10**6), SampleEntry(b"avc1")),
        (box(b"avc1", bytes(78)) + box(b"encv", bytes(78)), SampleEntry(is_encrypted=True)),
        (box(b"free", length=8)[:4], SampleEntry()),
    ],
)
def test_sample_entries_name_the_codec(entry: bytes, expected: SampleEntry) -> None:
    assert index_of(mvhd(), trak(1, entry=entry)).tracks[0].entry == expected


def test_pssh_box_marks_a_file_with_keys() -> None:
    assert index_of(trak(1), box(b"pssh", bytes(24))).has_drm
    assert not index_of(trak(1)).has_drm
