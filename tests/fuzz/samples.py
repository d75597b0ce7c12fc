"""Small real recordings of every codec and structure, encoded once per process."""

from __future__ import annotations

import functools
import math
import os
import struct
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.stream import Disposition
from av.video.stream import VideoStream

from tests.fuzz.boxes import walk
from tests.media.sample_files import audio_only, with_edits

FRAMES = 3
"""One per second. Each is a key frame, by default, so that a fragmented recording has as many fragments."""
SOUND_RATE = 8000
SOUND_BIT_RATE = 8000
_SOUND_FRAME = 1024


class Codec(NamedTuple):
    """How to encode a codec: the container that carries it, the pixel format, the size, and options."""

    name: str
    container: str = "mp4"
    pixel_format: str = "yuv420p"
    width: int = 64
    height: int = 64
    options: tuple[tuple[str, str], ...] = ()


# The smallest pictures that the encoders accept, with one thread each.
H264 = Codec("libx264", options=(("preset", "ultrafast"), ("x264-params", "threads=1")))
REORDERED = H264._replace(
    options=(("preset", "medium"), ("g", "9"), ("x264-params", "bframes=1:b-adapt=0:threads=1"))
)
HEVC = Codec("libx265", options=(("preset", "ultrafast"), ("x265-params", "log-level=none:pools=none:wpp=0")))
CODECS = {
    "h264": H264,
    "h264 mov": H264._replace(container="mov"),
    "hevc": HEVC,
    "hevc mov": HEVC._replace(container="mov"),
    "av1": Codec("libsvtav1", options=(("preset", "11"), ("svtav1-params", "lp=1"))),
    "vp9": Codec("libvpx-vp9", options=(("cpu-used", "8"), ("deadline", "realtime"))),
    "mpeg4": Codec("mpeg4"),
    "prores": Codec("prores_ks", "mov", "yuv422p10le"),
    "mjpeg": Codec("mjpeg", "mov", "yuvj420p"),
    "dnxhd": Codec("dnxhd", "mov", "yuv422p", 256, 120, (("profile", "dnxhr_lb"),)),
    "cineform": Codec("cfhd", "mov", "yuv422p10le"),
}
PADDING_BYTES = 150_000
"""More than the first request reads."""
FRAGMENTS = "frag_keyframe+empty_moov"
BROWSER_FRAGMENTS = f"{FRAGMENTS}+default_base_moof+skip_trailer"
MOVFLAGS = (
    "faststart",
    "frag_keyframe",
    FRAGMENTS,
    f"{FRAGMENTS}+default_base_moof+separate_moof",
    BROWSER_FRAGMENTS,
    "frag_every_frame+empty_moov+skip_trailer",
    "frag_every_frame+empty_moov+omit_tfhd_offset",
    "dash",
    "dash+global_sidx",
    "cmaf",
)
"""The ways to fragment a file, and the index in front of the pictures."""
# The encoder of AV1 would report its settings on stderr.
os.environ.setdefault("SVT_LOG", "1")
_ENCRYPTION = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
    "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
}


@functools.cache
def recordings() -> dict[str, bytes]:
    """Return recordings that a player shows, by their names."""
    h264 = encode(H264)
    return {
        **{name: encode(codec) for name, codec in CODECS.items()},
        **{flags: encode(H264, movflags=flags) for flags in MOVFLAGS},
        "hevc fragments": encode(HEVC, movflags=f"{FRAGMENTS}+skip_trailer"),
        "av1 fragments": encode(CODECS["av1"], movflags="frag_every_frame+empty_moov"),
        "mov fragments": encode(CODECS["h264 mov"], movflags=FRAGMENTS),
        "reordered": encode(REORDERED),
        "rotated": encode(H264, rotation=90),
        "no sound": encode(H264, sound=0),
        "two sounds": encode(H264, sound=2),
        "two videos": encode(H264, hidden_videos=1),
        "two videos in fragments": encode(H264, hidden_videos=1, movflags=FRAGMENTS),
        "edits": with_edits(h264, [(500, -1), (2000, 0)]),
        "repeated edits": with_edits(h264, [(1000, 0), (1000, 0), (1000, 16384)]),
        "empty sound": _without_sound_samples(h264),
        "cover": audio_only(cover=True),
        "anamorphic": encode(H264, aspect=Fraction(4, 3)),
        "far index": _with_padding(h264, b"moov"),
        "far pictures": _with_padding(encode(H264, movflags="faststart"), b"mdat"),
        "far fragments": _with_padding(
            encode(H264, movflags=f"{FRAGMENTS}+default_base_moof+skip_trailer"), b"moof"
        ),
    }


@functools.cache
def other_files() -> dict[str, bytes]:
    """Return files of the same structure that are not recordings, or that no player can decode, by their names."""
    avif = encode(CODECS["av1"]._replace(container="avif"), sound=0)
    return {
        "encrypted": encode(H264, extra=_ENCRYPTION),
        "encrypted fragments": encode(H264, movflags=FRAGMENTS, extra=_ENCRYPTION),
        "avif": avif,
        "heic": avif.replace(b"avif", b"heic").replace(b"avis", b"heic"),
        "matroska": encode(H264._replace(container="matroska")),
    }


@functools.cache
def samples() -> tuple[bytes, ...]:
    """Return all files, in a fixed order."""
    return (*recordings().values(), *other_files().values())


def encode(
    codec: Codec,
    *,
    movflags: str = "",
    rotation: int = 0,
    aspect: Fraction | None = None,
    sound: int = 1,
    hidden_videos: int = 0,
    extra: dict[str, str] | None = None,
) -> bytes:
    """Encode FRAMES moving pictures with tracks of a tone."""
    options = {**({"movflags": movflags} if movflags else {}), **(extra or {})}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "v")
        with av.open(str(path), "w", format=codec.container, options=options) as output:
            videos = [_add_video(output, codec) for _ in range(1 + hidden_videos)]
            videos[0].disposition = Disposition.default
            if rotation:
                videos[0].set_display_rotation(rotation)
            if aspect:
                videos[0].codec_context.sample_aspect_ratio = aspect
            sounds = [output.add_stream("aac", rate=SOUND_RATE, layout="mono") for _ in range(sound)]
            for track in sounds:
                track.bit_rate = SOUND_BIT_RATE
            packets = [packet for video in videos for packet in _encode_video(video)]
            packets += [packet for track in sounds for packet in _encode_sound(track)]
            output.mux(packets)
        return path.read_bytes()


def _add_video(output: Any, codec: Codec) -> VideoStream:
    video = output.add_stream(codec.name, rate=1, options={"g": "1", **dict(codec.options)})
    assert isinstance(video, VideoStream)
    video.width, video.height, video.pix_fmt = codec.width, codec.height, codec.pixel_format
    video.codec_context.thread_count = 1
    return video


def _encode_video(video: VideoStream) -> list[Any]:
    packets: list[Any] = []
    assert video.pix_fmt is not None
    frame = av.VideoFrame(video.width, video.height, video.pix_fmt)
    for number in range(FRAMES):
        for plane in frame.planes:
            plane.update(bytes((index * (number + 3)) >> 4 & 0x7F for index in range(plane.buffer_size)))
        frame.pts, frame.time_base = number, Fraction(1)
        packets += video.encode(frame)
    packets += video.encode(None)
    for packet in packets:
        packet.duration = int(1 / packet.time_base)
    return packets


def _encode_sound(track: Any) -> list[Any]:
    packets: list[Any] = []
    for start in range(0, FRAMES * SOUND_RATE, _SOUND_FRAME):
        frame = av.AudioFrame("fltp", "mono", _SOUND_FRAME)
        values = (math.sin((start + index) / 3) / 2 for index in range(_SOUND_FRAME))
        frame.planes[0].update(struct.pack(f"<{_SOUND_FRAME}f", *values))
        frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, start, Fraction(1, SOUND_RATE)
        packets += track.encode(frame)
    return [*packets, *track.encode(None)]


def _without_sound_samples(data: bytes) -> bytes:
    """Set the counts of the sample tables in the last track to 0."""
    changed = bytearray(data)
    last_track = [box for box in walk(data) if box.kind == b"trak"][-1]
    for box in walk(data):
        if box.start > last_track.start and box.kind in {b"stts", b"stsc", b"stco", b"stsz"}:
            count = box.body + (8 if box.kind == b"stsz" else 4)
            changed[count : count + 4] = bytes(4)
    return bytes(changed)


def _with_padding(data: bytes, kind: bytes) -> bytes:
    """Insert an unused box before the last one of a kind at the top level, and correct the offsets of frames."""
    at = [box.start for box in walk(data) if box.kind == kind and box.depth == 0][-1]
    changed = bytearray(data)
    for box in walk(data):
        if box.kind == b"stco":
            for entry in range(box.body + 8, box.end, 4):
                (offset,) = struct.unpack_from(">I", data, entry)
                if offset > at:
                    struct.pack_into(">I", changed, entry, offset + PADDING_BYTES)
    return (
        bytes(changed[:at]) + struct.pack(">I4s", PADDING_BYTES, b"free").ljust(PADDING_BYTES, b"\0") + changed[at:]
    )
