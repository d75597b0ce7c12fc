"""Every kind of recording, over the real host, with the exact codes that it must give and what it may cost."""

from __future__ import annotations

import os
import ssl
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from clients.media_probe import MediaChecker
from models.media import GIB, MIB, MediaRole
from simulator.media_host import Asked, MediaHost
from tests.clients.recordings import (
    boxes,
    edited,
    grown,
    index_bytes,
    last_fragment_at,
    put,
    recorded,
    sound_alone,
    times_shifted,
    two_pictures,
    with_edits,
)

DATASET, CONSENT = MediaRole.DATASET, MediaRole.CONSENT
EXTRA_BYTES = 256 * 1024
FRAGMENTS = "frag_keyframe+empty_moov"
UNENDING = "frag_keyframe+empty_moov+skip_trailer"
Make = Callable[[], bytes]


class Case(NamedTuple):
    """A recording, the codes of its reasons and warnings (without the role), and how large a hole is in it.

    A hole is in its picture data, before the index, or (below 0) at its end.
    """

    name: str
    make: Make
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    role: MediaRole = DATASET
    hole: int = 0


def silent(seconds: int = 75, *, width: int = 1280, height: int = 720, step: int = 5) -> Make:
    return lambda: recorded(seconds, width=width, height=height, sound=0, step=step)


def fragmented(seconds: int = 75, *, movflags: str = FRAGMENTS, container: str = "mp4", sound: int = 1) -> Make:
    return lambda: recorded(seconds, movflags=movflags, container=container, keyframes=2, sound=sound)


def without_first_frame(movflags: str = "faststart") -> bytes:
    data = recorded(movflags=movflags)
    start = data.index(b"mdat") + 4
    return data[:start] + bytes(3000) + data[start + 3000 :]


def with_wide_mdat(data: bytes) -> bytes:
    """The file with a length of its picture data that a hole of any size fits in."""
    start = data.index(b"\x00\x00\x00\x08free")
    (length,) = struct.unpack_from(">I", data, start + 8)
    return data[:start] + struct.pack(">I4sQ", 1, b"mdat", length + 8) + data[start + 16 :]


def cut_in_index() -> bytes:
    data = recorded()
    return data[: data.index(b"moov") + 500]


def a_box(kind: bytes, length: int) -> bytes:
    """A head and a box that claims a length."""
    return struct.pack(">I4s", 20, b"ftyp") + b"isom\0\0\0\0isom" + struct.pack(">I4s", length, kind)


CASES = [
    # Containers, index places, orientations
    Case("mp4, index last", recorded),
    Case("mp4, index first", lambda: recorded(movflags="faststart")),
    Case("mov, index last", lambda: recorded(container="mov")),
    Case("mov, index first", lambda: recorded(container="mov", movflags="faststart")),
    Case("portrait mp4, index last", lambda: recorded(width=720, height=1280)),
    Case("portrait mp4, index first", lambda: recorded(width=720, height=1280, movflags="faststart")),
    Case("portrait mov, index last", lambda: recorded(width=720, height=1280, container="mov")),
    Case(
        "portrait mov, index first", lambda: recorded(width=720, height=1280, container="mov", movflags="faststart")
    ),
    Case("turned by 90", lambda: recorded(rotation=90)),
    Case("turned by 180", lambda: recorded(rotation=180)),
    Case("turned by 270", lambda: recorded(rotation=270, container="mov")),
    Case("a small one, turned", lambda: recorded(width=640, height=360, rotation=90), ("too-small",)),
    Case("without a brand", lambda: recorded(container="mov").replace(b"ftyp", b"free")),
    Case(
        "the brand of 3GP",
        lambda: recorded().replace(b"isomiso2avc1mp41", b"3gp53gp53gp53gp5").replace(b"ftypisom", b"ftyp3gp5"),
        ("wrong-container",),
    ),
    Case("an audio book", lambda: sound_alone(container="ipod"), ("no-video-stream",)),
    # Codecs
    Case("MPEG-4 part 2", lambda: recorded(codec="mpeg4")),
    Case("H.265", lambda: recorded(codec="libx265", step=5)),
    Case(
        "a codec that nobody knows", lambda: recorded().replace(b"avc1\0\0", b"zzzz\0\0").replace(b"avcC", b"zzzC")
    ),
    # Durations
    Case("a minute", silent(60), (), ("no-audio",)),
    Case("a second short of a minute", lambda: recorded(59), ("too-short",)),
    Case("five minutes", silent(300), (), ("no-audio",)),
    Case("a frame over five minutes", silent(305), ("too-long",), ("no-audio",)),
    Case("consent of thirty seconds", lambda: recorded(30), role=CONSENT),
    Case("consent of a second more", lambda: recorded(31), ("too-long",), role=CONSENT),
    Case("consent of a second", lambda: recorded(1), role=CONSENT),
    Case("a header that says 0", lambda: edited(recorded(), "moov.trak.mdia.mdhd", put(16, bytes(4)))),
    Case("a header that says 72 hours", lambda: edited(recorded(), "moov.trak.mdia.mdhd", put(16, b"\xff" * 4))),
    Case("a time scale of 0", lambda: edited(recorded(), "moov.trak.mdia.mdhd", put(12, bytes(4)))),
    Case("an edit list that shows 40 seconds", lambda: with_edits(recorded(), [(40_000, 0)]), ("too-short",)),
    Case("an edit list that begins late", lambda: with_edits(recorded(), [(5_000, -1), (75_000, 0)])),
    Case("an edit list that shows nothing that is there", lambda: with_edits(recorded(), [(75_000, 2**31 - 1)])),
    # Pictures
    Case("720p", silent(), (), ("no-audio",)),
    Case("two pixels under 720p", silent(width=1278), ("too-small",), ("no-audio",)),
    Case("the same, upright", silent(width=720, height=1278), ("too-small",), ("no-audio",)),
    Case("a square", silent(width=1000, height=1000), ("too-small",), ("no-audio",)),
    Case("4K", silent(width=3840, height=2160, step=25), (), ("no-audio",)),
    Case("4K, upright", silent(width=2160, height=3840, step=25), (), ("no-audio",)),
    Case("4K of the cinema", silent(width=4096, height=2160, step=25), ("too-large",), ("no-audio",)),
    Case("a small consent", lambda: recorded(12, width=320, height=240), role=CONSENT),
    Case("a header without a size", lambda: edited(recorded(), "moov.trak.tkhd", put(76, bytes(8)))),
    Case("a header of absurd size", lambda: edited(recorded(), "moov.trak.tkhd", put(76, b"\xff" * 8))),
    # Tracks
    Case("no sound in a dataset", lambda: recorded(sound=0), (), ("no-audio",)),
    Case("no sound in a consent", lambda: recorded(12, sound=0), ("no-audio",), role=CONSENT),
    Case("two tracks of sound", lambda: recorded(sound=2)),
    Case("two pictures: the longest counts", two_pictures, ("too-small",), ("no-audio",)),
    Case("sound alone", sound_alone, ("no-video-stream",), role=CONSENT),
    Case("sound with a cover", lambda: sound_alone(cover=True), ("no-video-stream",), role=CONSENT),
    # Fragments
    Case("fragments, with an index of them", fragmented()),
    Case("fragments, without", fragmented(movflags=UNENDING)),
    Case("fragments, the first in the index", fragmented(movflags="frag_keyframe")),
    Case("fragments in a mov", fragmented(container="mov")),
    Case("fragments of DASH", fragmented(movflags="dash+global_sidx")),
    Case("40 seconds in fragments", fragmented(40, movflags=UNENDING), ("too-short",)),
    Case("310 seconds in fragments", fragmented(310, sound=0), ("too-long",), ("no-audio",)),
    Case("consent in fragments", fragmented(12), role=CONSENT),
    Case("45 seconds of consent in fragments", fragmented(45), ("too-long",), role=CONSENT),
    Case("fragments out of a live stream", lambda: times_shifted(fragmented(movflags=UNENDING)(), 10**9)),
    Case(
        "fragments whose end nothing tells",
        lambda: grown(fragmented(movflags=UNENDING)(), 10**5),
        ("unknown-duration",),
    ),
    Case("a few large fragments", lambda: grown(recorded(75, movflags=UNENDING, keyframes=30), 10**5)),
    Case(
        "no fragment came",
        lambda: (data := fragmented(movflags=UNENDING)())[: data.index(b"moof") - 4],
        ("too-short",),
    ),
    Case("fragments cut off in a picture", lambda: fragmented(movflags=UNENDING)()[:-100], ("cut-off",)),
    Case(
        "fragments cut off between two",
        lambda: (data := fragmented(62, movflags=UNENDING)())[: last_fragment_at(data)],
    ),
    Case(
        "a fragment of absurd length",
        lambda: edited(fragmented()(), "moof.traf.trun", put(4, b"\xff" * 4)),
        ("unreadable",),
    ),
    # Sizes
    Case("1.4 GB", lambda: with_wide_mdat(recorded()), hole=1_400_000_000),
    Case("over 1.5 GB", lambda: with_wide_mdat(recorded()), ("file-too-big",), hole=3 * GIB // 2),
    Case(
        "consent of over 100 MB",
        lambda: with_wide_mdat(recorded(12)),
        ("file-too-big",),
        role=CONSENT,
        hole=100 * MIB,
    ),
    # Broken
    Case("a first frame of zeros", without_first_frame, ("unreadable",)),
    Case("a first frame of zeros in a fragment", lambda: without_first_frame(FRAGMENTS), ("unreadable",)),
    Case("cut off behind its index", lambda: recorded(movflags="faststart")[:-200], ("cut-off",)),
    Case("cut off before its index", lambda: (data := recorded())[: data.index(b"moov") - 100], ("cut-off",)),
    Case("cut off in its index", cut_in_index, ("cut-off",)),
    Case("cut off in its head", lambda: recorded()[:20], ("cut-off",)),
    Case("no index", lambda: (data := recorded())[: data.index(b"moov") - 4], ("no-index",)),
    Case("an empty index", lambda: a_box(b"moov", 16) + bytes(8), ("no-video-stream",), ("no-audio",)),
    Case("an index of 100 MB", lambda: a_box(b"moov", 100 * MIB), ("unreadable",), hole=-100 * MIB),
    Case(
        "an index of noise",
        lambda: edited(recorded(), "moov.trak.mdia", lambda body: b"\xa5" * len(body)),
        ("no-video-stream",),
    ),
    Case(
        "boxes without an end",
        lambda: a_box(b"free", 8) + struct.pack(">I4s", 8, b"free") * 2000,
        ("unreadable",),
    ),
    Case("nothing", lambda: b"", ("empty-file",)),
    # Other things
    Case("Matroska", lambda: recorded(container="matroska"), ("wrong-container",)),
    Case("AVI", lambda: recorded(container="avi", codec="mpeg4", sound=0), ("wrong-container",)),
    Case("a transport stream", lambda: recorded(container="mpegts"), ("wrong-container",)),
    Case("a picture", lambda: b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(5000), ("wrong-container",)),
    Case("a playlist", lambda: b"#EXTM3U\nhttps://videos.test/secret.ts\n", ("wrong-container",)),
    Case("a page", lambda: b"\n<!DOCTYPE html><html></html>", ("not-a-video",)),
    Case(
        "an error of a store",
        lambda: b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>",
        ("not-a-video",),
    ),
    Case("a message", lambda: b'{"error": "link expired"}', ("not-a-video",)),
]


@pytest.fixture
def checker(trusting: ssl.SSLContext) -> Iterator[MediaChecker]:
    with MediaChecker(allowed_hosts={"127.0.0.1"}, ssl_context=trusting, sleep=lambda _: None) as running:
        yield running


def write(case: Case, path: Path) -> int:
    """Write the case's file, with its hole; returns how many bytes of it are index."""
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


def asked_bytes(requests: list[Asked], size: int) -> int:
    """How many bytes all requests together asked for."""
    ranges = [asked.range.removeprefix("bytes=").split("-") for asked in requests]
    return sum(max(min(int(last) + 1, size) - int(first), 0) for first, last in ranges)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_each_recording_gives_its_codes_for_its_index_and_little_more(
    case: Case, checker: MediaChecker, media_host: MediaHost, samples: Path
) -> None:
    path = samples / "case.bin"
    index = write(case, path)
    report = await checker.check(media_host.url(path.name), case.role)
    assert [reason.code for reason in report.reasons] == [f"{case.role}.{code}" for code in case.reasons]
    assert [warning.code for warning in report.warnings] == [f"{case.role}.{code}" for code in case.warnings]
    assert all(reason.hint for reason in [*report.reasons, *report.warnings])
    assert asked_bytes(media_host.requests, path.stat().st_size) <= index + EXTRA_BYTES
    assert report.bytes_fetched is None or report.bytes_fetched <= index + EXTRA_BYTES


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
