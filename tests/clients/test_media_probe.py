from __future__ import annotations

import asyncio
import hashlib
import io
import resource
import ssl
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import httpx
import pytest
from av.stream import Disposition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clients.address_guard import GuardedTransport
from clients.media_probe import FIRST_FRAME_BYTES, MediaChecker, MediaProbe, probe
from clients.mp4_boxes import find_layout
from clients.mp4_fragments import fragmented_seconds
from clients.range_requests import FetchLimits
from models.errors import MediaRejected, MediaUnreachable
from models.media import MIB, RULES, MediaReport, MediaRole
from simulator.media_host import MediaHost
from simulator.videos import HUGE_BYTES, SAMPLES, make_video, sample
from tests.clients.recordings import edited, put, recorded

DATASET, CONSENT = MediaRole.DATASET, MediaRole.CONSENT
TIME_BOXES = {
    b"moof",
    b"mdhd",
    b"trex",
    b"mfhd",
    b"traf",
    b"tfhd",
    b"tfdt",
    b"trun",
    b"sidx",
    b"mfra",
    b"tfra",
    b"mfro",
}
QUERY = "?X-Amz-Signature=CANARY"
KIB = 1024


@pytest.fixture
def checker(trusting: ssl.SSLContext) -> Iterator[MediaChecker]:
    with MediaChecker(allowed_hosts={"127.0.0.1"}, ssl_context=trusting, sleep=lambda _: None) as running:
        yield running


class FileTransport(httpx.BaseTransport):
    """A host with ranges that has one file, `data`."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        first, last = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
        body = self._data[first : last + 1]
        content_range = f"bytes {first}-{first + len(body) - 1}/{len(self._data)}"
        return httpx.Response(206, headers={"content-range": content_range}, content=iter([body]))


def probe_bytes(data: bytes, role: MediaRole = DATASET) -> MediaProbe:
    return probe("https://videos.test/v.mp4", role, transport=FileTransport(data), sleep=lambda _: None)


def rule_against(data: bytes) -> str:
    with pytest.raises(MediaRejected) as rejected:
        probe_bytes(data)
    assert rejected.value.hint
    return rejected.value.rule


# Every sample, over HTTPS


@pytest.mark.parametrize("prefix", ["", "no-ranges/"])
@pytest.mark.parametrize(
    ("name", "role", "expected"),
    [
        ("dataset.mp4", DATASET, []),
        ("dataset-index-first.mp4", DATASET, []),
        ("dataset-quicktime.mov", DATASET, []),
        ("dataset-portrait.mp4", DATASET, []),
        ("dataset-turned.mp4", DATASET, []),
        ("dataset-40s.mp4", DATASET, ["dataset.too-short"]),
        ("dataset-310s.mp4", DATASET, ["dataset.too-long"]),
        ("dataset-small.mp4", DATASET, ["dataset.too-small"]),
        ("dataset-fragmented.mp4", DATASET, []),
        ("consent.mp4", CONSENT, []),
        ("consent-45s.mp4", CONSENT, ["consent.too-long"]),
        ("dataset.mp4", CONSENT, ["consent.too-long"]),
        ("consent.mp4", DATASET, ["dataset.too-short"]),
        ("matroska.mp4", DATASET, ["dataset.wrong-container"]),
        ("sound-only.mp4", CONSENT, ["consent.no-video-stream"]),
        ("page.mp4", CONSENT, ["consent.not-a-video"]),
    ],
)
async def test_samples(
    prefix: str,
    name: str,
    role: MediaRole,
    expected: list[str],
    checker: MediaChecker,
    media_host: MediaHost,
    samples: Path,
) -> None:
    sample(name, samples)
    report = await checker.check(media_host.url(prefix + name) + QUERY, role)
    assert [reason.code for reason in report.reasons] == expected
    assert all(reason.hint for reason in report.reasons)
    assert "CANARY" not in report.model_dump_json()
    assert len(media_host.requests) == 1


async def test_the_facts_of_a_video(checker: MediaChecker, media_host: MediaHost, samples: Path) -> None:
    path = sample("dataset.mp4", samples)
    report = await checker.check(media_host.url(path.name), DATASET)
    assert report.facts is not None
    assert report.facts.model_dump(exclude={"etag"}) == {
        "size_bytes": path.stat().st_size,
        "container": "mp4",
        "video_codec": "h264",
        "width": 1280,
        "height": 720,
        "duration_seconds": 75.0,
        "frame_rate": 1.0,
        "has_audio": True,
        "sha256": None,
    }
    assert report.facts.etag
    assert (report.requests, report.bytes_fetched) == (1, path.stat().st_size)


@pytest.mark.parametrize("name", ["dataset-portrait.mp4", "dataset-turned.mp4"])
def test_the_size_is_the_displayed_one(name: str, samples: Path) -> None:
    facts = probe_bytes(sample(name, samples).read_bytes()).facts
    assert (facts.width, facts.height) == (720, 1280)


@pytest.mark.parametrize(("name", "container"), [("dataset-quicktime.mov", "mov"), ("dataset-40s.mp4", "mp4")])
def test_the_container_and_silence_are_told(name: str, container: str, samples: Path) -> None:
    facts = probe_bytes(sample(name, samples).read_bytes()).facts
    assert (facts.container, facts.has_audio, facts.etag) == (container, False, None)


# What a check costs


def test_a_huge_file_with_its_index_at_the_end_costs_a_few_small_requests(
    media_host: MediaHost, transport: GuardedTransport, samples: Path
) -> None:
    path = sample("dataset-1.4gb.mp4", samples)
    found = probe(media_host.url(path.name), DATASET, transport=transport)
    with path.open("rb") as file:
        file.seek(-400_000, 2)
        index_bytes = 400_000 - file.read().index(b"moov") + 4
    assert found.facts.size_bytes == HUGE_BYTES
    assert found.facts.duration_seconds == 75.0
    assert index_bytes > 300_000
    assert found.requests == len(media_host.requests) <= 4
    assert found.bytes_fetched <= min(index_bytes + 256 * KIB, 600_000)


def test_a_huge_file_from_a_host_without_ranges_is_not_downloaded_past_the_limit(
    media_host: MediaHost, transport: GuardedTransport, samples: Path
) -> None:
    path = sample("dataset-1.4gb.mp4", samples)
    with pytest.raises(MediaRejected) as rejected:
        probe(media_host.url(f"no-ranges/{path.name}"), CONSENT, transport=transport)
    assert rejected.value.rule == "file-too-big"
    assert len(media_host.requests) == 1


def with_first_frame_of(data: bytes, length: int) -> bytes:
    """A video whose index says that its first frame has `length` bytes."""
    entry = data.index(b"stsz") + 16
    return data[:entry] + struct.pack(">I", length) + data[entry + 4 :] + bytes(length)


def test_a_large_first_frame_is_not_fetched(samples: Path) -> None:
    data = sample("dataset-index-first.mp4", samples).read_bytes()
    found = probe_bytes(with_first_frame_of(data, FIRST_FRAME_BYTES + 1))
    assert (found.facts.width, found.facts.height, found.facts.duration_seconds) == (1280, 720, 75.0)
    assert found.requests == 1


# Files that are not what they seem


def test_a_first_frame_that_is_no_picture_is_unreadable(samples: Path) -> None:
    data = sample("dataset-quicktime.mov", samples).read_bytes()
    start = data.index(b"mdat") + 4
    assert rule_against(data[:start] + bytes(3000) + data[start + 3000 :]) == "unreadable"


def test_a_video_cut_off_behind_its_index_is_noticed(samples: Path) -> None:
    data = sample("dataset-index-first.mp4", samples).read_bytes()
    assert rule_against(data[:-200]) == "cut-off"


def test_a_video_cut_off_before_its_index_is_noticed(samples: Path) -> None:
    data = sample("dataset.mp4", samples).read_bytes()
    assert rule_against(data[: data.index(b"moov") - 100]) == "cut-off"


def test_a_codec_that_we_cannot_decode_is_no_reason(samples: Path) -> None:
    data = sample("dataset-turned.mp4", samples).read_bytes()
    facts = probe_bytes(data.replace(b"avc1\x00\x00", b"zzzz\x00\x00").replace(b"avcC", b"zzzC")).facts
    assert (facts.video_codec, facts.width, facts.height) == ("unknown", 720, 1280)
    assert facts.duration_seconds == 75.0


def test_a_size_that_only_a_frame_tells_is_taken_from_the_track(tmp_path: Path) -> None:
    path = tmp_path / "mpeg4.mp4"
    with av.open(str(path), "w") as output:
        video = output.add_stream("mpeg4", rate=1)
        video.width, video.height, video.pix_fmt = 640, 480, "yuv420p"
        output.mux(video.encode(av.VideoFrame(640, 480, "yuv420p")))
        output.mux(video.encode(None))
    data = path.read_bytes()
    whole = probe_bytes(data).facts
    unseen = probe_bytes(with_first_frame_of(data, FIRST_FRAME_BYTES + 1)).facts
    assert (whole.width, whole.height) == (unseen.width, unseen.height) == (640, 480)


def test_a_track_without_a_header_has_no_size_of_its_own(samples: Path) -> None:
    data = sample("dataset-index-first.mp4", samples).read_bytes()
    facts = probe_bytes(data.replace(b"tkhd", b"skip")).facts
    assert (facts.width, facts.height) == (1280, 720)


def test_the_longest_of_several_video_tracks_counts(tmp_path: Path) -> None:
    path = tmp_path / "two.mp4"
    with av.open(str(path), "w") as output:
        # The first track counts in finer ticks: it has more of them, and lasts less.
        tracks = [output.add_stream("mpeg4", rate=rate) for rate in (1, 25)]
        for track, width in zip(tracks, (640, 320), strict=True):
            track.width, track.height, track.pix_fmt = width, 240, "yuv420p"
        for track, seconds in zip(tracks, (10, 12), strict=True):
            frame = av.VideoFrame(track.width, 240, "yuv420p")
            for second in range(seconds):
                frame.pts, frame.time_base = second, Fraction(1)
                output.mux(track.encode(frame))
            output.mux(track.encode(None))
    facts = probe_bytes(path.read_bytes()).facts
    assert facts.width == 320
    assert facts.duration_seconds == pytest.approx(12, abs=1)


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "cover.mp4"
    with av.open(str(path), "w") as output:
        audio = output.add_stream("aac", rate=8000, layout="mono")
        cover = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt, cover.disposition = 64, 64, "yuvj420p", Disposition.attached_pic
        frame = av.VideoFrame(64, 64, "yuvj420p")
        frame.pts, frame.time_base = 0, Fraction(1)
        output.mux(cover.encode(frame))
        output.mux(cover.encode(None))
        silence = av.AudioFrame("fltp", "mono", 1024)
        silence.planes[0].update(bytes(4096))
        silence.sample_rate, silence.pts, silence.time_base = 8000, 0, Fraction(1, 8000)
        output.mux(audio.encode(silence))
        output.mux(audio.encode(None))
    facts = probe_bytes(path.read_bytes()).facts
    assert facts.has_audio
    assert facts.video_codec is None


def test_text_of_any_encoding_in_the_file_is_no_reason(tmp_path: Path) -> None:
    path = tmp_path / "titled.mp4"
    make_video(path, seconds=1)
    data = path.read_bytes()
    assert b"Lavf" in data
    assert probe_bytes(data.replace(b"Lavf", b"\xff\xfe\xff\xfe")).facts.video_codec == "h264"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
def test_no_damage_to_a_file_brings_the_probe_down(changes: list[tuple[int, bytes]], samples: Path) -> None:
    data = bytearray(sample("dataset-index-first.mp4", samples).read_bytes())
    for at, piece in changes:
        data[at : at + len(piece)] = piece
    try:
        probe_bytes(bytes(data))
    except MediaRejected as rejected:
        assert rejected.rule  # noqa: PT017  # the only error there may be


FRAGMENTED = st.sampled_from(
    ["frag_keyframe+empty_moov", "frag_keyframe+empty_moov+skip_trailer", "dash+global_sidx"]
)


@settings(max_examples=60, deadline=None)
@given(
    movflags=FRAGMENTED,
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4),
    kept=st.floats(0.5, 1) | st.just(1.0),
)
def test_no_damage_to_fragments_brings_the_probe_down(
    movflags: str, changes: list[tuple[float, bytes]], kept: float
) -> None:
    whole = recorded(12, movflags=movflags, keyframes=2)
    boxes = [at for at in range(len(whole) - 8) if whole[at : at + 4] in TIME_BOXES]
    data = bytearray(whole)
    for where, piece in changes:
        at = boxes[int(where * (len(boxes) - 1))] + int(where * 1000) % 24 - 4
        data[at : at + len(piece)] = piece
    try:
        probe_bytes(bytes(data[: int(kept * len(data))]))
    except MediaRejected as rejected:
        assert rejected.rule  # noqa: PT017  # the only error there may be


def test_a_picture_larger_than_any_camera_takes_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.mp4"
    make = (
        "import sys; from pathlib import Path; from tests.clients.recordings import recorded;"
        "Path(sys.argv[1]).write_bytes(recorded(61, width=8192, height=8192, step=60, sound=0))"
    )
    # Not in this process, where FFmpeg may not take the memory of such a picture.
    subprocess.run([sys.executable, "-c", make, path], check=True)
    script = (
        "import resource, sys; from pathlib import Path; from tests.clients.test_media_probe import probe_bytes;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; before = peak();"
        "facts = probe_bytes(Path(sys.argv[1]).read_bytes()).facts; print(facts.width, peak() - before)"
    )
    ran = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    width, grown_kib = map(int, ran.stdout.split())
    assert width == 8192
    assert grown_kib < 100 * 1024  # decoded it would be 300 MB


# The checker


async def test_every_rule_is_shown_and_not_only_broken_ones(
    checker: MediaChecker, media_host: MediaHost, samples: Path
) -> None:
    sample("dataset-small.mp4", samples)
    report = await checker.check(media_host.url("dataset-small.mp4"), DATASET)
    assert {row.code.removeprefix("dataset."): row.passed for row in report.checks} == {
        "wrong-container": True,
        "file-too-big": True,
        "no-video-stream": True,
        "too-short": True,
        "too-long": True,
        "too-small": False,
        "too-large": True,
        "no-audio": False,
    }
    assert [reason.code for reason in report.reasons] == ["dataset.too-small"]
    assert [warning.code for warning in report.warnings] == ["dataset.no-audio"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("status/403/v.mp4", "consent.forbidden"),
        ("status/404/v.mp4", "consent.not-found"),
        ("missing.mp4", "consent.not-found"),
    ],
)
async def test_a_definite_no_is_a_reason_with_its_role(
    path: str, code: str, checker: MediaChecker, media_host: MediaHost
) -> None:
    report = await checker.check(media_host.url(path) + QUERY, CONSENT)
    assert report.facts is None
    assert [reason.code for reason in report.reasons] == [code]
    assert "CANARY" not in report.model_dump_json()


async def test_a_host_that_gives_no_answer_is_an_error(checker: MediaChecker, media_host: MediaHost) -> None:
    with pytest.raises(MediaUnreachable) as unreachable:
        await checker.check(media_host.url("status/503/v.mp4") + QUERY, CONSENT)
    assert "CANARY" not in str(unreachable.value)
    assert len(media_host.requests) == 3


async def test_hosts_that_are_not_allowed_must_be_public(media_host: MediaHost, trusting: ssl.SSLContext) -> None:
    with MediaChecker(ssl_context=trusting) as guarded:
        report = await guarded.check(media_host.url("v.mp4"), CONSENT)
    assert [reason.code for reason in report.reasons] == ["consent.address-not-public"]
    assert media_host.requests == []


async def test_limits_are_the_checkers(media_host: MediaHost, trusting: ssl.SSLContext, samples: Path) -> None:
    sample("dataset-1.4gb.mp4", samples)
    with MediaChecker(allowed_hosts={"127.0.0.1"}, ssl_context=trusting, limits=FetchLimits(requests=2)) as stingy:
        report = await stingy.check(media_host.url("dataset-1.4gb.mp4"), DATASET)
    assert [reason.code for reason in report.reasons] == ["dataset.scattered"]


@pytest.mark.parametrize("prefix", ["", "no-ranges/"])
@pytest.mark.parametrize("name", ["consent.mp4", "large-consent.mp4"])
async def test_a_consent_is_read_whole_for_its_digest(
    prefix: str, name: str, media_host: MediaHost, trusting: ssl.SSLContext, samples: Path
) -> None:
    data = sample("consent.mp4", samples).read_bytes() + struct.pack(">I4s", 9 * MIB, b"free").ljust(9 * MIB, b"x")
    if name == "large-consent.mp4":
        (samples / name).write_bytes(data)
    with MediaChecker(allowed_hosts={"127.0.0.1"}, sha256_of={CONSENT}, ssl_context=trusting) as digesting:
        report = await digesting.check(media_host.url(prefix + name), CONSENT)
        dataset = await digesting.check(media_host.url(prefix + name), DATASET)
    whole = (samples / name).read_bytes()
    assert report.facts is not None
    assert report.facts.sha256 == hashlib.sha256(whole).hexdigest()
    assert report.bytes_fetched == len(whole)
    assert dataset.facts is not None
    assert dataset.facts.sha256 is None


async def test_a_consent_that_is_too_big_is_not_read_for_its_digest(
    media_host: MediaHost, trusting: ssl.SSLContext, samples: Path
) -> None:
    sample("dataset-1.4gb.mp4", samples)
    with MediaChecker(allowed_hosts={"127.0.0.1"}, sha256_of={CONSENT}, ssl_context=trusting) as digesting:
        report = await digesting.check(media_host.url("dataset-1.4gb.mp4"), CONSENT)
    assert report.facts is not None
    assert report.facts.sha256 is None
    assert report.bytes_fetched is not None
    assert report.bytes_fetched < MIB


async def test_many_checks_run_at_once(checker: MediaChecker, media_host: MediaHost, samples: Path) -> None:
    sample("consent.mp4", samples)
    url = media_host.url("consent.mp4")
    reports: list[MediaReport] = await asyncio.gather(*(checker.check(url, CONSENT) for _ in range(20)))
    assert all(report.facts == reports[0].facts and not report.reasons for report in reports)


def test_the_samples_keep_within_what_a_check_may_download(samples: Path) -> None:
    for name in SAMPLES:
        assert sample(name, samples).stat().st_size <= RULES[DATASET].max_bytes


class SparseTransport(httpx.BaseTransport):
    """A host whose file has a hole of any size behind its first `hole_at` bytes."""

    def __init__(self, data: bytes, hole_at: int, hole: int) -> None:
        self._data, self._at, self._hole = data, hole_at, hole

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        size = len(self._data) + self._hole
        first, last = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
        last = min(last, size - 1)
        body = bytes(self._byte(at) for at in range(first, last + 1))
        return httpx.Response(206, headers={"content-range": f"bytes {first}-{last}/{size}"}, content=iter([body]))

    def _byte(self, at: int) -> int:
        if at < self._at:
            return self._data[at]
        return 0 if at < self._at + self._hole else self._data[at - self._hole]


def test_a_fragment_far_away_takes_no_memory_for_what_lies_before_it() -> None:
    data = recorded(3, width=64, height=64, keyframes=1, movflags="frag_keyframe+empty_moov", sound=0)
    at = data.index(b"moof") - 4
    hole = 10**17
    sparse = SparseTransport(data[:at] + struct.pack(">I4sQ", 1, b"free", hole + 16) + data[at:], at + 16, hole)
    found = probe("https://videos.test/v.mp4", DATASET, transport=sparse, sleep=lambda _: None)
    assert found.facts.size_bytes > hole


def test_no_more_tracks_are_looked_at_than_real_files_have() -> None:
    data = recorded(3, width=64, height=64, keyframes=1, movflags="frag_keyframe+empty_moov", sound=0)
    many = edited(data, "moov", lambda body: body + body[body.index(b"trak") - 4 : body.index(b"mvex") - 4] * 1000)
    began = time.thread_time()
    assert rule_against(many) == "unreadable"
    assert time.thread_time() - began < 15  # each track looked through all of them: minutes


def test_a_fragment_that_claims_millions_of_frames_takes_no_memory_for_them() -> None:
    data = recorded(3, width=64, height=64, keyframes=1, movflags="frag_keyframe+empty_moov", sound=0)
    claims = edited(data, "moof.traf.trun", put(0, struct.pack(">II", 0, 20_000_000)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert rule_against(claims) == "unreadable"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * KIB


def test_a_tail_of_thousands_of_fragments_is_not_walked_for_each_of_them() -> None:
    data = recorded(3, width=64, height=64, keyframes=1, movflags="frag_keyframe+empty_moov+skip_trailer", sound=0)
    walked = Counter[int]()

    class Tail(io.BytesIO):
        def fetch(self, _start: int, _end: int, /) -> None: ...

        def seek(self, offset: int, whence: int = 0, /) -> int:
            walked[offset] += 1
            return super().seek(offset, whence)

    many = data + struct.pack(">I4s", 8, b"moof") * 5000
    file = Tail(many)
    moov = find_layout(file, len(many)).moov
    assert fragmented_seconds(file, moov, len(many), 1) is None
    assert max(walked.values()) < 50
