"""Recordings of every kind, from a real host, with the codes they must give and the bytes they may cost."""

from __future__ import annotations

import os
import ssl
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from media.checker import MediaChecker
from models.media.rules import GIB, MIB, MediaRole
from simulator.media_host import MediaHost, RecordedRequest
from tests.media.sample_files import (
    audio_only,
    boxes,
    enable_tracks,
    encode_video,
    extend_last_box,
    index_bytes,
    last_fragment_offset,
    overwrite,
    pad_fragments,
    replace_box,
    shift_timestamps,
    two_video_tracks,
    with_edits,
    with_pixel_aspect,
    zeroed,
)

DATASET, CONSENT = MediaRole.DATASET, MediaRole.CONSENT
EXTRA_BYTES = 256 * 1024
FRAGMENTS = "frag_keyframe+empty_moov"
FRAGMENTS_WITHOUT_INDEX = "frag_keyframe+empty_moov+skip_trailer"
Make = Callable[[], bytes]


class Case(NamedTuple):
    """A recording, the codes (without the role) of its reasons and warnings, and the size of a hole in it.

    A positive hole is in the picture data before the index; a negative one is at the end of the file.
    """

    name: str
    make: Make
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    role: MediaRole = DATASET
    hole: int = 0


def silent(seconds: int = 75, *, width: int = 1280, height: int = 720, step: int = 5) -> Make:
    return lambda: encode_video(seconds, width=width, height=height, sound=0, step=step)


def fragmented(seconds: int = 75, *, movflags: str = FRAGMENTS, container: str = "mp4", sound: int = 1) -> Make:
    return lambda: encode_video(seconds, movflags=movflags, container=container, keyframes=2, sound=sound)


def without_first_frame(movflags: str = "faststart") -> bytes:
    data = encode_video(movflags=movflags)
    start = data.index(b"mdat") + 4
    return data[:start] + bytes(3000) + data[start + 3000 :]


def apart(seconds: int, movflags: str = "", **options: bool) -> Make:
    """Return a maker of a file whose sound and pictures are in different fragments."""
    flags = f"{FRAGMENTS_WITHOUT_INDEX}+default_base_moof+{movflags or 'separate_moof'}"
    return lambda: encode_video(seconds, movflags=flags, keyframes=2, **options)


def without_tables(data: bytes, track: int) -> bytes:
    """Remove all samples of a track from the index."""
    kinds = (b"stts", b"stsc", b"stsz", b"stco")
    start = [data.index(b"trak", offset) for offset in (0, data.index(b"trak") + 4)][track]
    for kind in kinds:
        at = data.index(kind, start) + (12 if kind == b"stsz" else 8)
        data = data[:at] + bytes(4) + data[at + 4 :]
    return data


def without_durations() -> bytes:
    return replace_box(
        encode_video(12), "moov.trak.mdia.minf.stbl.stts", lambda body: body[:12] + bytes(len(body) - 12)
    )


def with_foreign_sound() -> bytes:
    """Return fragments whose sound belongs to a track that is not in the index."""
    data = encode_video(12, movflags=FRAGMENTS, keyframes=2, sound_first=True)
    return replace_box(data, "moov.trak.tkhd", overwrite(12, b"\0\0\0\x09"))


def zeroed_fragments() -> bytes:
    data = fragmented()()
    return data[:-9000] + bytes(9000)


def with_edits_and_rates(data: bytes, edits: list[tuple[int, int, int]]) -> bytes:
    """Add an edit list with rates (16.16) to the first track."""
    plain = with_edits(data, [edit[:2] for edit in edits])
    at = plain.index(b"elst") + 12
    for number, (_, _, rate) in enumerate(edits):
        offset = at + 12 * number + 8
        plain = plain[:offset] + struct.pack(">I", rate) + plain[offset + 4 :]
    return plain


def with_wide_mdat(data: bytes) -> bytes:
    """Give the picture data a 64-bit length, to make room for a hole."""
    start = data.index(b"\x00\x00\x00\x08free")
    (length,) = struct.unpack_from(">I", data, start + 8)
    return data[:start] + struct.pack(">I4sQ", 1, b"mdat", length + 8) + data[start + 16 :]


def with_boxes_behind_the_index() -> bytes:
    return with_wide_mdat(encode_video()) + b"".join(
        struct.pack(">I4s", 8 + 70_000, kind) + bytes(70_000) for kind in (b"free", b"meta")
    )


def other_bytes_at_the_end() -> bytes:
    data = encode_video(movflags="faststart")
    return data[:-1000] + b"\xa5" * 1000


def cut_in_sound() -> bytes:
    """Remove the last 20 bytes of a file that ends with sound."""
    return encode_video(movflags="faststart")[:-20]


def cut_in_index() -> bytes:
    data = encode_video()
    return data[: data.index(b"moov") + 500]


def file_with_box(kind: bytes, length: int) -> bytes:
    """Return an ftyp box and a box that claims a length."""
    return struct.pack(">I4s", 20, b"ftyp") + b"isom\0\0\0\0isom" + struct.pack(">I4s", length, kind)


CASES = [
    # Containers, positions of the index, orientations
    Case("mp4, index last", encode_video),
    Case("mp4, index first", lambda: encode_video(movflags="faststart")),
    Case("mov, index last", lambda: encode_video(container="mov")),
    Case("mov, index first", lambda: encode_video(container="mov", movflags="faststart")),
    Case("portrait mp4, index last", lambda: encode_video(width=720, height=1280)),
    Case("portrait mp4, index first", lambda: encode_video(width=720, height=1280, movflags="faststart")),
    Case("portrait mov, index last", lambda: encode_video(width=720, height=1280, container="mov")),
    Case(
        "portrait mov, index first",
        lambda: encode_video(width=720, height=1280, container="mov", movflags="faststart"),
    ),
    Case("rotated by 90", lambda: encode_video(rotation=90)),
    Case("rotated by 180", lambda: encode_video(rotation=180)),
    Case("rotated by 270", lambda: encode_video(rotation=270, container="mov")),
    Case(
        "a small video, rotated", lambda: encode_video(width=640, height=360, rotation=90), ("resolution-too-low",)
    ),
    Case("no brand", lambda: encode_video(container="mov").replace(b"ftyp", b"free")),
    Case(
        "3GP brand",
        lambda: encode_video().replace(b"isomiso2avc1mp41", b"3gp53gp53gp53gp5").replace(b"ftypisom", b"ftyp3gp5"),
        ("wrong-container",),
    ),
    Case("an audiobook", lambda: audio_only(container="ipod"), ("no-video-stream",)),
    # Codecs
    Case("MPEG-4 part 2", lambda: encode_video(codec="mpeg4"), (), ("uncommon-codec",)),
    Case("H.265", lambda: encode_video(codec="libx265", step=5)),
    Case(
        "an unknown codec",
        lambda: encode_video().replace(b"avc1\0\0", b"zzzz\0\0").replace(b"avcC", b"zzzC"),
        ("unknown-codec",),
    ),
    # Durations
    Case("one minute", silent(60), (), ("no-audio",)),
    Case("one second under a minute", lambda: encode_video(59), ("duration-too-short",)),
    Case("five minutes", silent(300), (), ("no-audio",)),
    Case("one frame over five minutes", silent(305), ("duration-too-long",), ("no-audio",)),
    Case("30-second consent", lambda: encode_video(30), role=CONSENT),
    Case("31-second consent", lambda: encode_video(31), ("duration-too-long",), role=CONSENT),
    Case("1-second consent", lambda: encode_video(1), role=CONSENT),
    Case(
        "header with duration 0",
        lambda: replace_box(encode_video(), "moov.trak.mdia.mdhd", overwrite(16, bytes(4))),
    ),
    Case(
        "header with maximum duration",
        lambda: replace_box(encode_video(), "moov.trak.mdia.mdhd", overwrite(16, b"\xff" * 4)),
    ),
    Case("time scale 0", lambda: replace_box(encode_video(), "moov.trak.mdia.mdhd", overwrite(12, bytes(4)))),
    Case(
        "edit list of 40 seconds",
        lambda: with_edits(encode_video(), [(40_000, 0)]),
        ("duration-too-short",),
        ("audio-longer-than-video",),
    ),
    Case("edit list with an empty edit first", lambda: with_edits(encode_video(), [(5_000, -1), (75_000, 0)])),
    Case(
        "edit list beyond the end", lambda: with_edits(encode_video(), [(75_000, 2**31 - 1)]), ("unknown-duration",)
    ),
    Case(
        "consent that repeats",
        lambda: with_edits(encode_video(12), [(12_000, 0)] * 3),
        ("duration-too-long",),
        role=CONSENT,
    ),
    Case("minute of repetitions", lambda: with_edits(encode_video(12), [(12_000, 0)] * 6)),
    Case("edits that show nothing", lambda: with_edits(encode_video(), [(75_000, -1)]), ("unknown-duration",)),
    Case(
        "edit longer than the video", lambda: with_edits(encode_video(40), [(75_000, 0)]), ("duration-too-short",)
    ),
    Case(
        "edit that starts near the end",
        lambda: with_edits(encode_video(), [(75_000, 60 * 16384)]),
        ("duration-too-short",),
        ("audio-longer-than-video",),
    ),
    Case(
        "edits with a pause",
        lambda: with_edits(encode_video(40), [(20_000, 0), (30_000, -1), (20_000, 20 * 16384)]),
    ),
    Case(
        "edit that stands still",
        lambda: with_edits_and_rates(encode_video(12), [(12_000, 0, 1 << 16), (30_000, 0, 0)]),
        ("duration-too-long",),
        role=CONSENT,
    ),
    Case(
        "edit at double speed",
        lambda: with_edits_and_rates(encode_video(), [(75_000, 0, 2 << 16)]),
        ("duration-too-short",),
        ("audio-longer-than-video",),
    ),
    Case(
        "frames without a duration",
        without_durations,
        ("unknown-duration",),
        role=CONSENT,
    ),
    Case("no frames", lambda: without_tables(encode_video(12), 0), ("unknown-duration",), role=CONSENT),
    # Resolutions
    Case("720p", silent(), (), ("no-audio",)),
    Case("two pixels under 720p", silent(width=1278), (), ("unusual-resolution", "no-audio")),
    Case("two pixels under 720p, portrait", silent(width=720, height=1278), (), ("unusual-resolution", "no-audio")),
    Case("a square", silent(width=1000, height=1000), (), ("unusual-resolution", "no-audio")),
    Case("4K", silent(width=3840, height=2160, step=25), (), ("no-audio",)),
    Case("4K, portrait", silent(width=2160, height=3840, step=25), (), ("no-audio",)),
    Case("DCI 4K", silent(width=4096, height=2160, step=25), (), ("unusual-resolution", "no-audio")),
    Case("wide pixels", lambda: with_pixel_aspect(silent(width=960)(), 4, 3), (), ("no-audio",)),
    Case("narrow pixels", lambda: with_pixel_aspect(silent()(), 1, 2), ("resolution-too-low",), ("no-audio",)),
    Case(
        "two pixels under 720p on both sides",
        silent(width=1278, height=718),
        ("resolution-too-low",),
        ("no-audio",),
    ),
    Case("long and narrow", silent(width=1280, height=400), ("resolution-too-low",), ("no-audio",)),
    Case("small consent", lambda: encode_video(12, width=320, height=240), role=CONSENT),
    Case(
        "track header without a size",
        lambda: replace_box(encode_video(), "moov.trak.tkhd", overwrite(76, bytes(8))),
    ),
    Case(
        "track header with maximum size",
        lambda: replace_box(encode_video(), "moov.trak.tkhd", overwrite(76, b"\xff" * 8)),
    ),
    # Tracks
    Case("dataset without audio", lambda: encode_video(sound=0), (), ("no-audio",)),
    Case("consent without audio", lambda: encode_video(12, sound=0), ("no-audio",), role=CONSENT),
    Case("audio track without samples", lambda: without_tables(encode_video(12), 1), ("no-audio",), role=CONSENT),
    Case(
        "audio track without samples in fragments",
        with_foreign_sound,
        ("no-audio",),
        role=CONSENT,
    ),
    Case("encrypted pictures", lambda: encode_video().replace(b"avc1\0\0", b"encv\0\0"), ("encrypted",)),
    Case("encrypted sound", lambda: encode_video().replace(b"mp4a\0\0", b"enca\0\0"), ("encrypted",)),
    Case("two audio tracks", lambda: encode_video(sound=2)),
    Case("a disabled second video track", two_video_tracks, ("duration-too-short",), ("no-audio",)),
    Case(
        "two enabled video tracks",
        lambda: enable_tracks(two_video_tracks()),
        ("resolution-too-low",),
        ("no-audio",),
    ),
    Case(
        "two disabled video tracks",
        lambda: enable_tracks(two_video_tracks(), enabled=False),
        ("resolution-too-low",),
        ("no-audio",),
    ),
    Case("audio only", audio_only, ("no-video-stream",), role=CONSENT),
    Case("audio with cover art", lambda: audio_only(cover=True), ("no-video-stream",), role=CONSENT),
    # Fragments
    Case("fragments with an index", fragmented()),
    Case("fragments without an index", fragmented(movflags=FRAGMENTS_WITHOUT_INDEX)),
    Case("first fragment in the index", fragmented(movflags="frag_keyframe")),
    Case("fragments in a mov", fragmented(container="mov")),
    Case("DASH fragments", fragmented(movflags="dash+global_sidx")),
    Case("40 seconds in fragments", fragmented(40, movflags=FRAGMENTS_WITHOUT_INDEX), ("duration-too-short",)),
    Case("310 seconds in fragments", fragmented(310, sound=0), ("duration-too-long",), ("no-audio",)),
    Case("consent in fragments", fragmented(12), role=CONSENT),
    Case("45 seconds of consent in fragments", fragmented(45), ("duration-too-long",), role=CONSENT),
    Case("pictures and sound in different fragments", apart(75)),
    Case("sound before the pictures", apart(62, sound_first=True), ("duration-too-long",), role=CONSENT),
    Case("a fragment per frame", apart(62, "frag_every_frame"), ("duration-too-long",), role=CONSENT),
    Case("a fragment per frame, sound first", apart(62, "frag_every_frame", sound_first=True)),
    Case(
        "many fragments over 64 KiB",
        lambda: pad_fragments(fragmented(movflags=f"{FRAGMENTS_WITHOUT_INDEX}+default_base_moof")(), 70_000),
    ),
    Case(
        "fragments without times",
        lambda: fragmented()().replace(b"tfdt", b"free"),
    ),
    Case(
        "fragments without times and an index",
        lambda: fragmented(45, movflags=FRAGMENTS_WITHOUT_INDEX)().replace(b"tfdt", b"free"),
        ("duration-too-long",),
        role=CONSENT,
    ),
    Case(
        "index with a wrong duration of the segments",
        lambda: replace_box(fragmented(45, movflags="dash+global_sidx")(), "sidx", overwrite(8, b"\0\xff\0\0")),
        ("duration-too-long",),
        role=CONSENT,
    ),
    Case(
        "fragments cut off in the first one",
        lambda: (data := fragmented(movflags=FRAGMENTS_WITHOUT_INDEX)())[: data.index(b"moof") + 40],
        ("truncated",),
    ),
    Case(
        "fragments of a live stream",
        lambda: shift_timestamps(fragmented(movflags=FRAGMENTS_WITHOUT_INDEX)(), 10**9),
    ),
    Case(
        "many fragments with a large last one",
        lambda: extend_last_box(fragmented(movflags=FRAGMENTS_WITHOUT_INDEX)(), 10**5),
    ),
    Case(
        "a few large fragments",
        lambda: extend_last_box(encode_video(75, movflags=FRAGMENTS_WITHOUT_INDEX, keyframes=30), 10**5),
    ),
    Case(
        "index without fragments",
        lambda: (data := fragmented(movflags=FRAGMENTS_WITHOUT_INDEX)())[: data.index(b"moof") - 4],
        ("truncated",),
    ),
    Case(
        "fragments cut off in picture data",
        lambda: fragmented(movflags=FRAGMENTS_WITHOUT_INDEX)()[:-100],
        ("truncated",),
    ),
    Case(
        "fragments cut off between fragments",
        lambda: (data := fragmented(62, movflags=FRAGMENTS_WITHOUT_INDEX)())[: last_fragment_offset(data)],
    ),
    Case(
        "fragment of maximum length",
        lambda: replace_box(fragmented()(), "moof.traf.trun", overwrite(4, b"\xff" * 4)),
        ("unreadable",),
    ),
    # Sizes
    Case("boxes behind the index", with_boxes_behind_the_index, hole=MIB),
    Case("1.4 GB", lambda: with_wide_mdat(encode_video()), hole=1_400_000_000),
    Case("over 1.5 GB", lambda: with_wide_mdat(encode_video()), ("file-too-large",), hole=3 * GIB // 2),
    Case(
        "consent over 100 MB",
        lambda: with_wide_mdat(encode_video(12)),
        ("file-too-large",),
        role=CONSENT,
        hole=100 * MIB,
    ),
    # Broken
    Case("first frame of zeros", without_first_frame, ("unreadable",)),
    Case("first frame of zeros in a fragment", lambda: without_first_frame(FRAGMENTS), ("unreadable",)),
    Case("zeros from the start", lambda: zeroed(encode_video(), 0), ("truncated",)),
    Case("zeros to the end", lambda: zeroed(encode_video(movflags="faststart"), 0.4), ("truncated",)),
    Case("zeros before the index", lambda: zeroed(encode_video(), 0.4), ("truncated",)),
    Case(
        "zeros in the middle", lambda: zeroed(encode_video(movflags="faststart", sound=0), 0.7, 0.9), ("truncated",)
    ),
    Case(
        "zeros in a mov", lambda: zeroed(encode_video(container="mov", movflags="faststart"), 0.4), ("truncated",)
    ),
    Case("zeros instead of H.265", lambda: zeroed(encode_video(codec="libx265", step=5), 0.4), ("truncated",)),
    Case("zeros instead of MPEG-4", lambda: zeroed(encode_video(codec="mpeg4"), 0.4), ("truncated",)),
    Case("zeros instead of fragments", zeroed_fragments, ("truncated",)),
    Case("other bytes at the end", other_bytes_at_the_end, ("truncated",)),
    Case("zeros behind the last box", lambda: encode_video(movflags="faststart") + bytes(9000)),
    Case("cut off in the sound", cut_in_sound, ("truncated",)),
    Case("cut off after the index", lambda: encode_video(movflags="faststart")[:-200], ("truncated",)),
    Case("cut off before the index", lambda: (data := encode_video())[: data.index(b"moov") - 100], ("truncated",)),
    Case("cut off in the index", cut_in_index, ("truncated",)),
    Case("cut off in the first box", lambda: encode_video()[:20], ("truncated",)),
    Case("no index", lambda: (data := encode_video())[: data.index(b"moov") - 4], ("missing-moov",)),
    Case("empty index", lambda: file_with_box(b"moov", 16) + bytes(8), ("no-video-stream",), ("no-audio",)),
    Case("index of 100 MB", lambda: file_with_box(b"moov", 100 * MIB), ("unreadable",), hole=-100 * MIB),
    Case(
        "index of noise",
        lambda: replace_box(encode_video(), "moov.trak.mdia", lambda body: b"\xa5" * len(body)),
        ("no-video-stream",),
    ),
    Case(
        "thousands of boxes",
        lambda: file_with_box(b"free", 8) + struct.pack(">I4s", 8, b"free") * 2000,
        ("unreadable",),
    ),
    Case("empty file", lambda: b"", ("empty-file",)),
    # Other formats
    Case("Matroska", lambda: encode_video(container="matroska"), ("wrong-container",)),
    Case("AVI", lambda: encode_video(container="avi", codec="mpeg4", sound=0), ("wrong-container",)),
    Case("MPEG transport stream", lambda: encode_video(container="mpegts"), ("wrong-container",)),
    Case("JPEG picture", lambda: b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(5000), ("not-a-video",)),
    Case("playlist", lambda: b"#EXTM3U\nhttps://videos.test/secret.ts\n", ("not-a-video",)),
    Case("web page", lambda: b"\n<!DOCTYPE html><html></html>", ("not-a-video",)),
    Case(
        "error of an object store",
        lambda: b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>",
        ("not-a-video",),
    ),
    Case("JSON error", lambda: b'{"error": "link expired"}', ("not-a-video",)),
]


@pytest.fixture
def checker(trusting: ssl.SSLContext) -> Iterator[MediaChecker]:
    with MediaChecker(allowed_hosts={"127.0.0.1"}, ssl_context=trusting, sleep=lambda _: None) as running:
        yield running


def write(case: Case, path: Path) -> int:
    """Write the file of the case, with its hole, and return the number of bytes in index boxes."""
    data = case.make()
    if case.hole > 0:
        start = data.index(b"mdat") + 4
        (length,) = struct.unpack_from(">Q", data, start)
        index = next(begin for kind, begin, _, _ in boxes(data) if kind == b"moov")
        with path.open("wb") as file:
            file.write(data[:start] + struct.pack(">Q", length + case.hole) + data[start + 8 : index])
            file.seek(index + case.hole)
            file.write(data[index:])
    else:
        path.write_bytes(data)
        os.truncate(path, len(data) - case.hole)
    return index_bytes(data)


def requested_bytes(requests: list[RecordedRequest], size: int) -> int:
    """Return the number of bytes that all requests requested."""
    ranges = [request.range.removeprefix("bytes=").split("-") for request in requests]
    return sum(max(min(int(last) + 1, size) - int(first), 0) for first, last in ranges)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_recording_gives_its_codes_within_the_budget(
    case: Case, checker: MediaChecker, media_host: MediaHost, samples: Path
) -> None:
    path = samples / "case.bin"
    index = write(case, path)
    report = await checker.check(media_host.url(path.name), case.role)
    assert [reason.code for reason in report.reasons] == [f"{case.role}.{code}" for code in case.reasons]
    assert [warning.code for warning in report.warnings] == [f"{case.role}.{code}" for code in case.warnings]
    assert all(reason.hint for reason in [*report.reasons, *report.warnings])
    assert requested_bytes(media_host.requests, path.stat().st_size) <= index + EXTRA_BYTES
    assert report.bytes_fetched is None or report.bytes_fetched <= index + EXTRA_BYTES


def test_cases_are_many_and_have_unique_names() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
