from __future__ import annotations

import ctypes
import io
import resource
import struct
import subprocess
import sys
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import av.error
import httpx
import pytest
from av.stream import Disposition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from media.facts.recording_facts import MAX_FIRST_FRAME_BYTES
from media.ffmpeg.ffmpeg_functions import MAX_ALLOCATION_BYTES
from media.ffmpeg.inspection import Inspect
from media.ffmpeg.inspector import inspect
from media.ffmpeg.inspector_pool import InspectorPool, inspect_in_child
from media.mp4.boxes import find_layout
from media.mp4.fragments import measure_fragments
from media.mp4.index import read_index
from media.probe import ProbeResult, probe
from media.processes.messages import InspectionLimits
from media.remote.ssrf_guard import PublicOnlyTransport
from models.errors import MediaNotInspected, MediaRejected
from models.media.facts import MediaFacts
from models.media.rules import RULES, MediaRole
from simulator.media_host import MediaHost
from simulator.sample_videos import HUGE_BYTES, SAMPLES, ensure_sample, make_video
from tests.media.inspected_files import FRAMES_OF_HEAVY_TRACK, heavy_index
from tests.media.sample_files import enable_tracks, encode_video, overwrite, replace_box

DATASET, CONSENT = MediaRole.DATASET, MediaRole.CONSENT
TIMING_BOXES = {
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
KIB = 1024


class FileTransport(httpx.BaseTransport):
    """A host with range support that serves one file."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        first, last = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
        body = self._data[first : last + 1]
        content_range = f"bytes {first}-{first + len(body) - 1}/{len(self._data)}"
        return httpx.Response(206, headers={"content-range": content_range}, content=iter([body]))


def probe_bytes(
    data: bytes, role: MediaRole = DATASET, *, inspect: Inspect = inspect_in_child
) -> ProbeResult[MediaFacts]:
    """Probe the file; with `media.ffmpeg.inspector.inspect`, FFmpeg's cost is that of this process."""
    transport = FileTransport(data)
    return probe("https://videos.test/v.mp4", role, transport=transport, inspect=inspect, sleep=lambda _: None)


def rejection_code(data: bytes, *, inspect: Inspect = inspect_in_child) -> str:
    with pytest.raises(MediaRejected) as rejected:
        probe_bytes(data, inspect=inspect)
    assert rejected.value.hint
    return rejected.value.rule_code


def test_probe_limits_the_allocations_of_ffmpeg(samples: Path) -> None:
    ffmpeg = ctypes.CDLL(av.error.__file__)
    ffmpeg.av_max_alloc(ctypes.c_size_t(2**31 - 1))  # FFmpeg's default
    ffmpeg.av_malloc.restype = ctypes.c_void_p
    probe_bytes(ensure_sample("dataset-portrait.mp4", samples).read_bytes(), inspect=inspect)
    assert ffmpeg.av_malloc(ctypes.c_size_t(MAX_ALLOCATION_BYTES + 1)) is None


@pytest.mark.parametrize("name", ["dataset-portrait.mp4", "dataset-rotated.mp4"])
def test_probe_returns_the_displayed_size(name: str, samples: Path) -> None:
    facts = probe_bytes(ensure_sample(name, samples).read_bytes()).facts
    assert (facts.width, facts.height) == (720, 1280)


@pytest.mark.parametrize(("name", "container"), [("dataset-quicktime.mov", "mov"), ("dataset-40s.mp4", "mp4")])
def test_probe_returns_container_and_missing_audio(name: str, container: str, samples: Path) -> None:
    facts = probe_bytes(ensure_sample(name, samples).read_bytes()).facts
    assert (facts.container, facts.has_audio, facts.etag) == (container, False, None)


# Cost of a check


def test_probe_of_huge_file_takes_few_requests(
    media_host: MediaHost, transport: PublicOnlyTransport, samples: Path
) -> None:
    path = ensure_sample("dataset-1.4gb.mp4", samples)
    result = probe(media_host.url(path.name), DATASET, transport=transport)
    with path.open("rb") as file:
        file.seek(-400_000, 2)
        index_bytes = 400_000 - file.read().index(b"moov") + 4
    assert result.facts.size_bytes == HUGE_BYTES
    assert result.facts.duration_seconds == 75.0
    assert index_bytes > 300_000
    assert result.requests == len(media_host.requests) <= 4
    assert result.bytes_fetched <= min(index_bytes + 256 * KIB, 600_000)


def test_download_without_ranges_stops_at_the_limit(
    media_host: MediaHost, transport: PublicOnlyTransport, samples: Path
) -> None:
    path = ensure_sample("dataset-1.4gb.mp4", samples)
    with pytest.raises(MediaRejected) as rejected:
        probe(media_host.url(f"no-ranges/{path.name}"), CONSENT, transport=transport)
    assert rejected.value.rule_code == "file-too-large"
    assert len(media_host.requests) == 1


def with_first_frame_of(data: bytes, length: int) -> bytes:
    """Return a video of one chunk whose first frame has `length` bytes."""
    entry, chunk = data.index(b"stsz") + 16, data.index(b"stco") + 12
    (size,), (start,) = (struct.unpack_from(">I", data, offset) for offset in (entry, chunk))
    end = start + size if start > entry else len(data)  # positions of an index at the end would change
    longer = data[:entry] + struct.pack(">I", length) + data[entry + 4 :]
    return longer[:end] + bytes(length - size) + longer[end:]


def test_large_first_frame_is_not_fetched(samples: Path) -> None:
    data = ensure_sample("dataset-index-first.mp4", samples).read_bytes()
    result = probe_bytes(with_first_frame_of(data, MAX_FIRST_FRAME_BYTES + 1))
    assert (result.facts.width, result.facts.height, result.facts.duration_seconds) == (1280, 720, 75.0)
    assert result.requests == 2  # the start, and the end for the sample


# Damaged and unusual files


def test_invalid_first_frame_is_unreadable(samples: Path) -> None:
    data = ensure_sample("dataset-quicktime.mov", samples).read_bytes()
    start = data.index(b"mdat") + 4
    assert rejection_code(data[:start] + bytes(3000) + data[start + 3000 :]) == "unreadable"


def test_video_cut_off_after_its_index_is_truncated(samples: Path) -> None:
    data = ensure_sample("dataset-index-first.mp4", samples).read_bytes()
    assert rejection_code(data[:-200]) == "truncated"


def test_video_cut_off_before_its_index_is_truncated(samples: Path) -> None:
    data = ensure_sample("dataset.mp4", samples).read_bytes()
    assert rejection_code(data[: data.index(b"moov") - 100]) == "truncated"


def test_undecodable_codec_is_accepted(samples: Path) -> None:
    data = ensure_sample("dataset-rotated.mp4", samples).read_bytes()
    facts = probe_bytes(data.replace(b"avc1\x00\x00", b"zzzz\x00\x00").replace(b"avcC", b"zzzC")).facts
    assert (facts.video_codec, facts.width, facts.height) == ("unknown", 720, 1280)
    assert facts.duration_seconds == 75.0


def test_size_falls_back_to_the_track_header(tmp_path: Path) -> None:
    path = tmp_path / "mpeg4.mp4"
    with av.open(str(path), "w") as output:
        video = output.add_stream("mpeg4", rate=1)
        video.width, video.height, video.pix_fmt = 640, 480, "yuv420p"
        output.mux(video.encode(av.VideoFrame(640, 480, "yuv420p")))
        output.mux(video.encode(None))
    data = path.read_bytes()
    decoded = probe_bytes(data).facts
    not_fetched = probe_bytes(with_first_frame_of(data, MAX_FIRST_FRAME_BYTES + 1)).facts
    assert (decoded.width, decoded.height) == (not_fetched.width, not_fetched.height) == (640, 480)


def test_size_is_known_without_a_track_header(samples: Path) -> None:
    data = ensure_sample("dataset-index-first.mp4", samples).read_bytes()
    facts = probe_bytes(data.replace(b"tkhd", b"skip")).facts
    assert (facts.width, facts.height) == (1280, 720)


def test_probe_uses_the_longest_video_track(tmp_path: Path) -> None:
    path = tmp_path / "two.mp4"
    with av.open(str(path), "w") as output:
        # The first track has a finer time scale: it has more ticks, but a shorter duration.
        tracks = [output.add_stream("mpeg4", rate=rate) for rate in (1, 25)]
        for track, width in zip(tracks, (640, 320), strict=True):
            track.width, track.height, track.pix_fmt = width, 240, "yuv420p"
        for track, seconds in zip(tracks, (10, 12), strict=True):
            frame = av.VideoFrame(track.width, 240, "yuv420p")
            for second in range(seconds):
                frame.pts, frame.time_base = second, Fraction(1)
                output.mux(track.encode(frame))
            output.mux(track.encode(None))
    assert probe_bytes(path.read_bytes()).facts.width == 640  # FFmpeg enables only the first track
    facts = probe_bytes(enable_tracks(path.read_bytes())).facts
    assert facts.width == 320
    assert facts.duration_seconds == pytest.approx(12, abs=1)


def test_cover_art_is_not_a_video_track(tmp_path: Path) -> None:
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


def test_metadata_of_any_encoding_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "titled.mp4"
    make_video(path, seconds=1)
    data = path.read_bytes()
    assert b"Lavf" in data
    assert probe_bytes(data.replace(b"Lavf", b"\xff\xfe\xff\xfe")).facts.video_codec == "h264"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
def test_damaged_file_raises_only_media_rejected(changes: list[tuple[int, bytes]], samples: Path) -> None:
    data = bytearray(ensure_sample("dataset-index-first.mp4", samples).read_bytes())
    for offset, replacement in changes:
        data[offset : offset + len(replacement)] = replacement
    try:
        probe_bytes(bytes(data))
    except MediaRejected as rejected:
        assert rejected.rule_code  # noqa: PT017  # the only error that is allowed


FRAGMENT_FLAGS = st.sampled_from(
    ["frag_keyframe+empty_moov", "frag_keyframe+empty_moov+skip_trailer", "dash+global_sidx"]
)


@settings(max_examples=60, deadline=None)
@given(
    movflags=FRAGMENT_FLAGS,
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4),
    kept_ratio=st.floats(0.5, 1) | st.just(1.0),
)
def test_damaged_fragments_raise_only_media_rejected(
    movflags: str, changes: list[tuple[float, bytes]], kept_ratio: float
) -> None:
    intact = encode_video(12, movflags=movflags, keyframes=2)
    boxes = [offset for offset in range(len(intact) - 8) if intact[offset : offset + 4] in TIMING_BOXES]
    data = bytearray(intact)
    for position, replacement in changes:
        offset = boxes[int(position * (len(boxes) - 1))] + int(position * 1000) % 24 - 4
        data[offset : offset + len(replacement)] = replacement
    try:
        probe_bytes(bytes(data[: int(kept_ratio * len(data))]))
    except MediaRejected as rejected:
        assert rejected.rule_code  # noqa: PT017  # the only error that is allowed


def test_oversized_picture_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.mp4"
    encode_script = (
        "import sys; from pathlib import Path; from tests.media.sample_files import encode_video;"
        "Path(sys.argv[1]).write_bytes(encode_video(61, width=8192, height=8192, step=60, sound=0))"
    )
    # In another process: here FFmpeg may not allocate the memory for such a picture.
    subprocess.run([sys.executable, "-c", encode_script, path], check=True)
    probe_script = (
        "import resource, sys; from pathlib import Path; from tests.media.test_probe import inspect, probe_bytes;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; before = peak();"
        "facts = probe_bytes(Path(sys.argv[1]).read_bytes(), inspect=inspect).facts;"
        "print(facts.width, peak() - before)"
    )
    completed = subprocess.run(
        [sys.executable, "-c", probe_script, path], capture_output=True, text=True, check=True
    )
    width, growth_kib = map(int, completed.stdout.split())
    assert width == 8192
    assert growth_kib < 100 * 1024  # decoding it would take 300 MB


def test_samples_are_within_the_size_rule(samples: Path) -> None:
    for name in SAMPLES:
        assert ensure_sample(name, samples).stat().st_size <= RULES[DATASET].max_bytes


class SparseTransport(httpx.BaseTransport):
    """A host whose file has a hole of `hole_bytes` after its first `hole_start` bytes."""

    def __init__(self, data: bytes, hole_start: int, hole_bytes: int) -> None:
        self._data, self._hole_start, self._hole_bytes = data, hole_start, hole_bytes

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        size = len(self._data) + self._hole_bytes
        first, last = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
        last = min(last, size - 1)
        body = bytes(self._byte(offset) for offset in range(first, last + 1))
        return httpx.Response(206, headers={"content-range": f"bytes {first}-{last}/{size}"}, content=iter([body]))

    def _byte(self, offset: int) -> int:
        if offset < self._hole_start:
            return self._data[offset]
        hole_end = self._hole_start + self._hole_bytes
        return 0 if offset < hole_end else self._data[offset - self._hole_bytes]


def test_distant_fragment_takes_no_memory() -> None:
    data = encode_video(
        3, width=64, height=64, keyframes=1, movflags="frag_keyframe+empty_moov+default_base_moof", sound=0
    )
    moof = data.index(b"moof") - 4
    hole = 10**17
    free_box = struct.pack(">I4sQ", 1, b"free", hole + 16)
    sparse = SparseTransport(data[:moof] + free_box + data[moof:], moof + 16, hole)
    result = probe("https://videos.test/v.mp4", DATASET, transport=sparse, sleep=lambda _: None)
    assert result.facts.size_bytes > hole


def test_number_of_tracks_is_limited() -> None:
    data = encode_video(3, width=64, height=64, keyframes=1, movflags="frag_keyframe+empty_moov", sound=0)
    many = replace_box(
        data, "moov", lambda body: body + body[body.index(b"trak") - 4 : body.index(b"mvex") - 4] * 1000
    )
    started_at = time.thread_time()
    assert rejection_code(many, inspect=inspect) == "unreadable"
    assert time.thread_time() - started_at < 15  # minutes, if every track scanned all others


def test_claimed_frames_take_no_memory() -> None:
    data = encode_video(3, width=64, height=64, keyframes=1, movflags="frag_keyframe+empty_moov", sound=0)
    video = replace_box(data, "moof.traf.trun", overwrite(0, struct.pack(">II", 0, 20_000_000)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert rejection_code(video, inspect=inspect) == "truncated"  # they would end after the file
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * KIB


def test_tail_of_fragments_is_walked_few_times() -> None:
    data = encode_video(
        3, width=64, height=64, keyframes=1, movflags="frag_keyframe+empty_moov+skip_trailer", sound=0
    )
    seeks = Counter[int]()

    class CountingFile(io.BytesIO):
        def fetch(self, _start: int, _end: int, /) -> None: ...

        def seek(self, offset: int, whence: int = 0, /) -> int:
            seeks[offset] += 1
            return super().seek(offset, whence)

    many = data + struct.pack(">I4s", 8, b"moof") * 5000
    file = CountingFile(many)
    moov = find_layout(file, len(many)).moov
    index = measure_fragments(file, read_index(file, moov), moov, len(many))
    assert [track.seconds for track in index.tracks] == [3.0]
    assert max(seeks.values()) < 50


def test_recording_that_ffmpeg_cannot_finish_is_operational() -> None:
    url = "https://videos.test/v.mp4?X-Amz-Signature=CANARY"
    limits = InspectionLimits(cpu_seconds=0.02)
    data = overwrite(48, b"\1")(heavy_index())  # the first frame; zeros would be rejected before
    transport = FileTransport(data + b"\1" * FRAMES_OF_HEAVY_TRACK)
    with InspectorPool(size=1, limits=limits) as pool, pytest.raises(MediaNotInspected) as failed:
        probe(url, DATASET, transport=transport, inspect=pool.inspect, sleep=lambda _: None)
    assert str(failed.value).endswith("FFmpeg did not read it within 0.02 s of CPU time, in 2 attempts")
    assert "CANARY" not in str(failed.value)
    assert "avatars resume ID" in failed.value.hint
