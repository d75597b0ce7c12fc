"""What FFmpeg tells about the bytes of a recording, without a child process."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.ffmpeg.inspection import FirstFrame, Inspection, VideoStream
from media.ffmpeg.inspector import SparseFile, _decode, inspect
from media.processes.available_bytes import AvailableBytes, merge_ranges
from media.processes.messages import (
    LENGTH,
    MAX_ANSWER_BYTES,
    Job,
    encode_answer,
    encode_job,
    read_answer,
    read_job,
)
from tests.media.inspected_files import av1, encode, whole
from tests.media.sample_files import audio_only, encode_video, overwrite, replace_box, two_video_tracks

THREADS = Path("/proc/self/task")
ranges = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)))


def only_video(data: bytes) -> VideoStream:
    (video,) = inspect(whole(data)).videos
    return video


# Facts


@pytest.mark.parametrize(
    ("data", "codec", "pixel_format"),
    [
        (av1, "av1", "yuv420p"),
        (lambda: encode("libx264"), "h264", "yuv420p"),
        (lambda: encode("libx265"), "hevc", "yuv420p"),
        (lambda: encode("libvpx-vp9"), "vp9", "yuv420p"),
        (lambda: encode("prores_ks", pixel_format="yuv422p10le", container="mov"), "prores", "yuv422p10le"),
        (lambda: encode("mjpeg", pixel_format="yuvj420p", container="mov"), "mjpeg", "yuvj420p"),
    ],
)
def test_codec_is_named_and_first_frame_decoded(data, codec: str, pixel_format: str) -> None:  # type: ignore[no-untyped-def]  # a function without parameters
    video = only_video(data())
    assert (video.codec, video.pixel_format, video.first_frame) == (codec, pixel_format, FirstFrame.DECODED)
    assert (video.width, video.height, video.frame_rate) == (64, 64, 1.0)


def test_transfer_has_the_name_that_ffmpeg_gives_it() -> None:
    hlg = encode("libx265", pixel_format="yuv420p10le", options=(("color_trc", "arib-std-b67"),))
    assert only_video(hlg).color_transfer == "arib-std-b67"
    assert only_video(encode("libx264")).color_transfer is None


def test_pixel_aspect_is_a_ratio() -> None:
    assert only_video(encode("libx264", options=(("aspect", "16:9"),))).sample_aspect_ratio == (16, 9)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
def test_pixel_aspect_is_read_from_the_frame_without_a_box(codec: str) -> None:
    data = encode(codec, options=(("aspect", "16:9"),)).replace(b"pasp", b"free")
    data = replace_box(data, "moov.trak.tkhd", overwrite(76, struct.pack(">II", 64 << 16, 64 << 16)))
    assert only_video(data).sample_aspect_ratio == (16, 9)


def test_cover_art_is_an_attached_picture() -> None:
    inspection = inspect(whole(audio_only(cover=True)))
    assert [video.is_attached_picture for video in inspection.videos] == [True]
    assert [audio.codec for audio in inspection.audios] == ["aac"]


def test_unreadable_bytes_are_an_error_without_streams() -> None:
    inspection = inspect(whole(bytes(1000)))
    assert inspection.error
    assert not inspection.videos


# The first frame


@pytest.mark.parametrize("data", [av1, lambda: encode("libx264"), lambda: encode("libx265")])
def test_frame_over_the_pixel_limit_is_not_decoded(data) -> None:  # type: ignore[no-untyped-def]  # a function without parameters
    (video,) = inspect(whole(data()), max_frame_pixels=64 * 64 - 1).videos
    assert video.first_frame is FirstFrame.UNSUPPORTED
    (video,) = inspect(whole(data()), max_frame_pixels=64 * 64).videos
    assert video.first_frame is FirstFrame.DECODED


def test_frame_is_decoded_once_its_bytes_are_available() -> None:
    data = encode_video(3, movflags="faststart", width=64, height=64)
    index_end = data.index(b"mdat") + 4
    without = AvailableBytes(len(data), ((0, data[:index_end]),))
    (before,) = inspect(without).videos
    assert before.first_frame is FirstFrame.NOT_DECODED
    assert before.first is not None
    start, end = before.first.position, before.first.position + before.first.size
    (after,) = inspect(AvailableBytes(len(data), ((0, data[:index_end]), (start, data[start:end])))).videos
    assert after.first_frame is FirstFrame.DECODED


@pytest.mark.parametrize("data", [av1, lambda: encode("libx264")])
def test_decoder_starts_no_thread(data: Callable[[], bytes]) -> None:
    """A decoder keeps its threads until it is freed, as long as its stream is open."""
    with av.open(io.BytesIO(data()), "r") as container:
        (stream,) = container.streams.video
        packet = next(container.demux(stream))
        before = {*THREADS.iterdir()}
        assert _decode(stream, bytes(packet), {"max_pixels": "4096"}) is FirstFrame.DECODED
        assert {*THREADS.iterdir()} == before


def test_zeros_are_not_a_picture() -> None:
    data = encode("libx264")
    first = only_video(data).first
    assert first is not None
    zeroed = data[: first.position] + bytes(first.size) + data[first.position + first.size :]
    assert only_video(zeroed).first_frame is FirstFrame.INVALID


@pytest.mark.parametrize(("stream", "decoded"), [(None, []), (0, [0]), (1, [1])])
def test_of_several_streams_the_named_one_is_decoded(stream: int | None, decoded: list[int]) -> None:
    videos = inspect(whole(two_video_tracks()), stream).videos
    assert [video.index for video in videos if video.first_frame is FirstFrame.DECODED] == decoded


def test_codec_without_a_decoder_is_unsupported() -> None:
    data = encode("libx264").replace(b"avc1\x00\x00", b"zzzz\x00\x00").replace(b"avcC", b"zzzC")
    video = only_video(data)
    assert (video.codec, video.first_frame) == (None, FirstFrame.UNSUPPORTED)


# Bytes


@given(ranges)
def test_merged_ranges_contain_the_same_bytes(ranges: list[tuple[int, int]]) -> None:
    merged = merge_ranges(ranges)
    assert {byte for pair in merged for byte in range(*pair)} == {byte for pair in ranges for byte in range(*pair)}
    edges = [edge for pair in merged for edge in pair]
    assert edges == sorted(set(edges))  # each range ends before the next one starts


@given(ranges, st.integers(0, 50), st.integers(0, 50))
def test_sparse_file_reads_the_available_bytes(ranges: list[tuple[int, int]], start: int, size: int) -> None:
    content = bytes(range(40))
    merged = merge_ranges(ranges)
    file = SparseFile(AvailableBytes(30, tuple((first, content[first:last]) for first, last in merged)))
    file.seek(start)
    available = next((last for first, last in merged if first <= start < last), start)
    assert file.read(size) == content[start : min(start + size, available, 30)]
    assert file.seek(0, os.SEEK_END) == 30


# Messages


def test_job_and_answer_survive_their_encoding() -> None:
    job = Job(AvailableBytes(10**17, ((0, b"abc"), (10**16, b"d" * 70_000))), 1)
    assert read_job(io.BytesIO(b"".join(encode_job(job)))) == job
    answer = read_answer(io.BytesIO(encode_answer(Inspection(error="é"))))
    assert answer is not None
    assert b"error" in answer


@pytest.mark.parametrize("kept", [0, 3, 20, -1])
def test_job_that_ends_early_is_none(kept: int) -> None:
    data = b"".join(encode_job(Job(whole(b"abc"), None)))
    assert read_job(io.BytesIO(data[:kept])) is None


def test_answer_over_the_limit_is_not_read() -> None:
    assert read_answer(io.BytesIO(LENGTH.pack(MAX_ANSWER_BYTES + 1) + bytes(MAX_ANSWER_BYTES + 1))) is None
