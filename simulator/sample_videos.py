"""Generates sample videos: small real files, one for each case that the media check distinguishes.

For requests with an image, there are also a picture and a recording of a voice.
"""

from __future__ import annotations

import array
import math
import struct
import sys
import uuid
import zlib
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av

HUGE_BYTES = 1_400_000_000
HUGE_INDEX_PADDING_BYTES = 300_000
AUDIO_RATE = 8000
AUDIO_FRAME_SAMPLES = 1024
AUDIO_BIT_RATE = 8000
# A quiet tone of 250 Hz, of which a frame holds 32 periods. The media check warns about digital silence.
TONE = array.array(
    "f", [0.03 * math.sin(2 * math.pi * sample / 32) for sample in range(AUDIO_FRAME_SAMPLES)]
).tobytes()
GREY = (110, 128, 128)

VideoFactory = Callable[[Path], None]


def ensure_sample(name: str, directory: Path) -> Path:
    """Return the path of a sample in `directory`; generate the file if it does not exist.

    Args:
        name: A key of SAMPLES.
        directory: The folder of the samples; it is created if needed.
    """
    path = directory / name
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{name}.part")
        SAMPLES[name](unfinished)
        unfinished.replace(path)
    return path


def copy_as_another_recording(source: Path, target: Path) -> None:
    """Copy a video with other bytes at its end, as if it were recorded again: a box that players skip."""
    box = uuid.uuid4().bytes
    target.write_bytes(source.read_bytes() + struct.pack(">I4s", 8 + len(box), b"free") + box)


def make_video(
    path: Path,
    *,
    seconds: int,
    width: int = 1280,
    height: int = 720,
    container: str = "mp4",
    movflags: str = "",
    rotation: int = 0,
    with_video: bool = True,
    with_audio: bool = False,
) -> None:
    """Write a grey H.264 video with one frame per second and an optional audio track of a quiet tone.

    `container` and `movflags` are options of FFmpeg. `rotation` is in degrees counter-clockwise and is stored as
    metadata for the player.
    """
    with av.open(str(path), "w", format=container, options={"movflags": movflags} if movflags else {}) as output:
        if with_video:
            video = output.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
            video.width, video.height, video.pix_fmt = width, height, "yuv420p"
            if rotation:
                video.set_display_rotation(rotation)
        if with_audio:
            audio = output.add_stream("aac", rate=AUDIO_RATE, layout="mono")
            audio.bit_rate = AUDIO_BIT_RATE
        if with_video:
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane, value in zip(frame.planes, GREY, strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            for second in range(seconds):
                frame.pts, frame.time_base = second, Fraction(1)
                output.mux(video.encode(frame))
            output.mux(video.encode(None))
        if with_audio:
            for start in range(0, seconds * AUDIO_RATE, AUDIO_FRAME_SAMPLES):
                tone = av.AudioFrame("fltp", "mono", AUDIO_FRAME_SAMPLES)
                tone.planes[0].update(TONE)
                tone.sample_rate, tone.pts, tone.time_base = AUDIO_RATE, start, Fraction(1, AUDIO_RATE)
                output.mux(audio.encode(tone))
            output.mux(audio.encode(None))


def make_huge(path: Path) -> None:
    """Write a sparse video file of HUGE_BYTES with its index at the end.

    The index is padded to the size that it has in a real file of this size.
    """
    small = path.with_suffix(".small")
    make_video(small, seconds=75, with_audio=True)
    data = small.read_bytes()
    small.unlink()
    # FFmpeg writes an empty box before mdat to leave room for a 64-bit length of mdat; no frame offset changes.
    start = data.index(b"\x00\x00\x00\x08free")
    (length,) = struct.unpack_from(">I", data, start + 8)
    frames, moov = data[start + 16 : start + 8 + length], data[start + 8 + length :]
    padding = struct.pack(">I4s", HUGE_INDEX_PADDING_BYTES, b"free").ljust(HUGE_INDEX_PADDING_BYTES, b"\x00")
    moov = struct.pack(">I", len(moov) + len(padding)) + moov[4:] + padding
    index_offset = HUGE_BYTES - len(moov)
    with path.open("wb") as file:
        file.write(data[:start])
        file.write(struct.pack(">I4sQ", 1, b"mdat", index_offset - start))
        file.write(frames)
        file.seek(index_offset)
        file.write(moov)


def make_picture(path: Path, *, width: int = 1280, height: int = 720) -> None:
    """Write a grey PNG picture."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = (b"\0" + bytes([GREY[0]]) * width) * height
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = (struct.pack(">I", len(body)) + kind + body + _checksum(kind + body) for kind, body in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def _checksum(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))


def make_page(path: Path) -> None:
    """Write an HTML page, as a share link returns it instead of the video."""
    path.write_text("<!DOCTYPE html><html><title>Video</title><body>Sign in to watch this video.</body></html>\n")


SAMPLES: dict[str, VideoFactory] = {
    "dataset.mp4": partial(make_video, seconds=75, with_audio=True),
    "dataset-index-first.mp4": partial(make_video, seconds=75, movflags="faststart"),
    "dataset-quicktime.mov": partial(make_video, seconds=75, container="mov"),
    "dataset-portrait.mp4": partial(make_video, seconds=75, width=720, height=1280),
    "dataset-rotated.mp4": partial(make_video, seconds=75, rotation=90),
    "dataset-40s.mp4": partial(make_video, seconds=40),
    "dataset-310s.mp4": partial(make_video, seconds=310),
    "dataset-small.mp4": partial(make_video, seconds=75, width=640, height=360),
    "dataset-fragmented.mp4": partial(make_video, seconds=75, movflags="frag_keyframe+empty_moov"),
    "dataset-1.4gb.mp4": make_huge,
    "consent.mp4": partial(make_video, seconds=12, with_audio=True),
    "consent-45s.mp4": partial(make_video, seconds=45, with_audio=True),
    "matroska.mp4": partial(make_video, seconds=75, container="matroska"),
    "sound-only.mp4": partial(make_video, seconds=75, with_video=False, with_audio=True),
    "page.mp4": make_page,
    "portrait.png": make_picture,
    "voice.m4a": partial(make_video, seconds=30, with_video=False, with_audio=True),
}

if __name__ == "__main__":
    for sample_name in SAMPLES:
        ensure_sample(sample_name, Path(sys.argv[1]))
