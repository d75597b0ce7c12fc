"""Recordings for the tests of the inspector, as the bytes that it gets."""

from __future__ import annotations

import functools
import io
import random
import struct
from fractions import Fraction

import av
from av.video.stream import VideoStream

from media.processes.available_bytes import AvailableBytes
from tests.media.sample_files import encode_video, overwrite, replace_box

STBL = "moov.trak.mdia.minf.stbl"
FRAMES_OF_HEAVY_TRACK = 1_000_000


def whole(data: bytes) -> AvailableBytes:
    """Return a file of which every byte is available."""
    return AvailableBytes(len(data), ((0, data),))


@functools.cache
def encode(
    codec: str,
    *,
    width: int = 64,
    height: int = 64,
    pixel_format: str = "yuv420p",
    container: str = "mp4",
    options: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """Encode two frames of noise, one second each, without sound."""
    noise = random.Random(0)  # noqa: S311  # not used for secrets
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        video = output.add_stream(codec, rate=1, options=dict(options))
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = width, height, pixel_format
        # If it may reorder two frames, x265 loses their times now and then.
        video.codec_context.max_b_frames = 0
        for second in range(2):
            frame = av.VideoFrame(width, height, pixel_format)
            frame.pts, frame.time_base = second, Fraction(1)
            for plane in frame.planes:
                plane.update(noise.randbytes(plane.buffer_size))
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    return file.getvalue()


def av1(width: int = 64, height: int = 64) -> bytes:
    """Encode AV1 with the fastest preset."""
    return encode("libsvtav1", width=width, height=height, options=(("preset", "12"),))


@functools.cache
def heavy_index(tracks: int = 24) -> bytes:
    """Return a file of few kilobytes for whose tables FFmpeg takes a second of CPU and almost a gigabyte."""
    data = encode_video(2, width=64, height=64, sound=0)
    count = struct.pack(">I", FRAMES_OF_HEAVY_TRACK)
    data = replace_box(data, f"{STBL}.stts", lambda _: struct.pack(">II", 0, 1) + count + struct.pack(">I", 1))
    data = replace_box(data, f"{STBL}.stsz", lambda _: struct.pack(">II", 0, 1) + count)
    data = replace_box(data, f"{STBL}.stsc", lambda _: struct.pack(">III", 0, 1, 1) + count + struct.pack(">I", 1))
    data = replace_box(data, f"{STBL}.stco", lambda _: struct.pack(">III", 0, 1, 48))

    def repeat(moov: bytes) -> bytes:
        start = moov.index(b"trak") - 4
        (length,) = struct.unpack_from(">I", moov, start)
        trak = moov[start : start + length]
        return (
            moov[:start]
            + b"".join(with_id(trak, number) for number in range(1, tracks + 1))
            + moov[start + length :]
        )

    def with_id(trak: bytes, number: int) -> bytes:
        return replace_box(trak, "trak.tkhd", overwrite(12, struct.pack(">I", number)))

    return replace_box(data, "moov", repeat)
