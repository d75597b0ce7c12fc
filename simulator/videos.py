"""Makes sample videos: small real files, one for each thing that a media check tells apart."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av

HUGE_BYTES = 1_400_000_000
HUGE_INDEX_PADDING_BYTES = 300_000
AUDIO_RATE = 8000
AUDIO_FRAME_SAMPLES = 1024
GREY = (110, 128, 128)

Recipe = Callable[[Path], None]


def sample(name: str, directory: Path) -> Path:
    """Return the sample called `name` (a key of SAMPLES) in `directory`, made if it is not there yet."""
    path = directory / name
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{name}.part")
        SAMPLES[name](unfinished)
        unfinished.replace(path)
    return path


def make_video(
    path: Path,
    *,
    seconds: int,
    width: int = 1280,
    height: int = 720,
    container: str = "mp4",
    movflags: str = "",
    rotation: int = 0,
    picture: bool = True,
    sound: bool = False,
) -> None:
    """Write a grey H.264 video of one frame a second, with silence for a sound.

    `container` and `movflags` are FFmpeg's; `rotation` is in degrees, counter-clockwise, for the player to apply.
    """
    with av.open(str(path), "w", format=container, options={"movflags": movflags} if movflags else {}) as output:
        if picture:
            video = output.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
            video.width, video.height, video.pix_fmt = width, height, "yuv420p"
            if rotation:
                video.set_display_rotation(rotation)
        if sound:
            audio = output.add_stream("aac", rate=AUDIO_RATE, layout="mono")
        if picture:
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane, value in zip(frame.planes, GREY, strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            for second in range(seconds):
                frame.pts, frame.time_base = second, Fraction(1)
                output.mux(video.encode(frame))
            output.mux(video.encode(None))
        if sound:
            for start in range(0, seconds * AUDIO_RATE, AUDIO_FRAME_SAMPLES):
                silence = av.AudioFrame("fltp", "mono", AUDIO_FRAME_SAMPLES)
                silence.planes[0].update(bytes(silence.planes[0].buffer_size))
                silence.sample_rate, silence.pts, silence.time_base = AUDIO_RATE, start, Fraction(1, AUDIO_RATE)
                output.mux(audio.encode(silence))
            output.mux(audio.encode(None))


def make_huge(path: Path) -> None:
    """Write a video of HUGE_BYTES, nearly all of it a hole in its picture data, with its index at the end.

    The index is as large as that of a real file of this size, for the padding in it.
    """
    small = path.with_suffix(".small")
    make_video(small, seconds=75, sound=True)
    whole = small.read_bytes()
    small.unlink()
    # FFmpeg leaves an empty box before mdat for the very purpose of widening mdat's length; no frame moves.
    start = whole.index(b"\x00\x00\x00\x08free")
    (length,) = struct.unpack_from(">I", whole, start + 8)
    frames, moov = whole[start + 16 : start + 8 + length], whole[start + 8 + length :]
    padding = struct.pack(">I4s", HUGE_INDEX_PADDING_BYTES, b"free").ljust(HUGE_INDEX_PADDING_BYTES, b"\x00")
    moov = struct.pack(">I", len(moov) + len(padding)) + moov[4:] + padding
    index_at = HUGE_BYTES - len(moov)
    with path.open("wb") as file:
        file.write(whole[:start])
        file.write(struct.pack(">I4sQ", 1, b"mdat", index_at - start))
        file.write(frames)
        file.seek(index_at)
        file.write(moov)


def make_page(path: Path) -> None:
    """Write what a link to a page that shows a video leads to."""
    path.write_text("<!DOCTYPE html><html><title>Video</title><body>Sign in to watch this video.</body></html>\n")


SAMPLES: dict[str, Recipe] = {
    "dataset.mp4": partial(make_video, seconds=75, sound=True),
    "dataset-index-first.mp4": partial(make_video, seconds=75, movflags="faststart"),
    "dataset-quicktime.mov": partial(make_video, seconds=75, container="mov"),
    "dataset-portrait.mp4": partial(make_video, seconds=75, width=720, height=1280),
    "dataset-turned.mp4": partial(make_video, seconds=75, rotation=90),
    "dataset-40s.mp4": partial(make_video, seconds=40),
    "dataset-310s.mp4": partial(make_video, seconds=310),
    "dataset-small.mp4": partial(make_video, seconds=75, width=640, height=360),
    "dataset-fragmented.mp4": partial(make_video, seconds=75, movflags="frag_keyframe+empty_moov"),
    "dataset-1.4gb.mp4": make_huge,
    "consent.mp4": partial(make_video, seconds=12, sound=True),
    "consent-45s.mp4": partial(make_video, seconds=45, sound=True),
    "matroska.mp4": partial(make_video, seconds=75, container="matroska"),
    "sound-only.mp4": partial(make_video, seconds=75, picture=False, sound=True),
    "page.mp4": make_page,
}

if __name__ == "__main__":
    for each in SAMPLES:
        sample(each, Path(sys.argv[1]))
