"""Encodes recordings of every kind with PyAV and edits their boxes, to make unusual and damaged files."""

from __future__ import annotations

import array
import functools
import math
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf", b"edts", b"mfra"}
INDEX = {b"moov", b"moof", b"sidx", b"mfra"}

# A quiet tone of 250 Hz for 1024 samples at 8 kHz, which hold 32 periods. Digital silence would cause a warning.
TONE = array.array("f", [0.03 * math.sin(2 * math.pi * sample / 32) for sample in range(1024)]).tobytes()
TONE_BIT_RATE = 8000


@functools.cache
def encode_video(
    seconds: int = 75,
    *,
    width: int = 1280,
    height: int = 720,
    container: str = "mp4",
    movflags: str = "",
    codec: str = "libx264",
    rotation: int = 0,
    sound: int = 1,
    keyframes: int = 250,
    step: int = 1,
    sound_first: bool = False,
) -> bytes:
    """Encode a grey video with one frame per `step` seconds and `sound` audio tracks of a tone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "v")
        options = {"movflags": movflags} if movflags else {}
        with av.open(str(path), "w", format=container, options=options) as output:
            tracks = _add_sound(output, sound if sound_first else 0)
            video = output.add_stream(codec, rate=1, options={"preset": "ultrafast", "g": str(keyframes)})
            assert isinstance(video, VideoStream)
            video.width, video.height, video.pix_fmt = width, height, "yuv420p"
            if rotation:
                video.set_display_rotation(rotation)
            tracks = tracks or _add_sound(output, sound)
            packets: list[Any] = []
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane in frame.planes:
                plane.update(b"\x80" * plane.buffer_size)
            for second in range(0, seconds, step):
                frame.pts, frame.time_base = second, Fraction(1)
                packets += video.encode(frame)
            for packet in packets + video.encode(None):
                packet.duration = int(step / packet.time_base)
                output.mux(packet)
            for track in tracks:
                _mux_tone(output, track, seconds)
        return path.read_bytes()


def _add_sound(output: OutputContainer, count: int) -> list[AudioStream]:
    tracks = [output.add_stream("aac", rate=8000, layout="mono") for _ in range(count)]
    for track in tracks:
        track.bit_rate = TONE_BIT_RATE
    return tracks


def _mux_tone(output: OutputContainer, track: AudioStream, seconds: int) -> None:
    for start in range(0, seconds * 8000, 1024):
        tone = av.AudioFrame("fltp", "mono", 1024)
        tone.planes[0].update(TONE)
        tone.sample_rate, tone.pts, tone.time_base = 8000, start, Fraction(1, 8000)
        output.mux(track.encode(tone))
    output.mux(track.encode(None))


@functools.cache
def audio_only(*, cover: bool = False, container: str = "mp4") -> bytes:
    """Encode twelve seconds of a tone, with or without cover art."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "v")
        with av.open(str(path), "w", format=container) as output:
            [audio] = _add_sound(output, 1)
            if cover:
                picture = output.add_stream("mjpeg", rate=1)
                picture.width, picture.height, picture.pix_fmt = 64, 64, "yuvj420p"
                picture.disposition = Disposition.attached_pic
                frame = av.VideoFrame(64, 64, "yuvj420p")
                frame.pts, frame.time_base = 0, Fraction(1)
                output.mux(picture.encode(frame))
                output.mux(picture.encode(None))
            _mux_tone(output, audio, 12)
        return path.read_bytes()


@functools.cache
def two_video_tracks() -> bytes:
    """Encode a video with two tracks: ten seconds in 1280x720, and 75 seconds in 640x360."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "v.mp4")
        with av.open(str(path), "w") as output:
            tracks = [output.add_stream("libx264", rate=1, options={"preset": "ultrafast"}) for _ in range(2)]
            sizes = ((1280, 720, 10), (640, 360, 75))
            for track, (width, height, _) in zip(tracks, sizes, strict=True):
                track.width, track.height, track.pix_fmt = width, height, "yuv420p"
            for track, (width, height, seconds) in zip(tracks, sizes, strict=True):
                frame = av.VideoFrame(width, height, "yuv420p")
                for second in range(seconds):
                    frame.pts, frame.time_base = second, Fraction(1)
                    output.mux(track.encode(frame))
                output.mux(track.encode(None))
        return path.read_bytes()


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield kind, start, start of the body, and end of each box."""
    end = len(data) if end is None else end
    while end - start >= 8:
        length, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if length == 1:
            (length,), body = struct.unpack_from(">Q", data, body), start + 16
        yield kind, start, body, min(start + length, end) if length else end
        if not length:
            return
        start += max(length, 8)


def index_bytes(data: bytes) -> int:
    """Return the number of bytes in index boxes."""
    return sum(end - start for kind, start, _, end in boxes(data) if kind in INDEX)


def replace_box(data: bytes, path: str, change: Callable[[bytes], bytes | None], *, every: bool = False) -> bytes:
    """Replace the body of a box and correct the lengths of its parents.

    The box is removed if `change` returns None. The following bytes move, so the length may change
    only if no picture data follows.

    Args:
        data: The file.
        path: Kinds of nested boxes, for example moov.trak.edts.
        change: Returns the new body.
        every: Replace every matching box, not only the first.
    """
    names = path.encode().split(b".")
    parts, is_replaced = [], False
    for kind, start, body, end in boxes(data):
        content: bytes | None = data[body:end]
        if kind == names[0] and (every or not is_replaced):
            rest = b".".join(names[1:]).decode()
            content = change(data[body:end]) if not rest else replace_box(data[body:end], rest, change, every=every)
            is_replaced = True
        if content is not None:
            head = data[start:body] if len(content) == end - body else struct.pack(">I4s", len(content) + 8, kind)
            parts.append(head + content)
    return b"".join(parts)


def overwrite(offset: int, replacement: bytes) -> Callable[[bytes], bytes]:
    """Return a function that overwrites some bytes of a body."""
    return lambda body: body[:offset] + replacement + body[offset + len(replacement) :]


def with_edits(data: bytes, edits: Sequence[tuple[int, int]]) -> bytes:
    """Add an edit list to the first track: durations (ms) and media times (ticks; -1 is an empty edit)."""
    entries = b"".join(struct.pack(">IiI", duration, begin, 0x10000) for duration, begin in edits)
    elst = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(edits)) + entries
    edts = struct.pack(">I4s", 8 + len(elst), b"edts") + elst
    without_edits = replace_box(data, "moov.trak.edts", lambda _: None)
    return replace_box(without_edits, "moov.trak", lambda body: body + edts)


def enable_tracks(data: bytes, *, enabled: bool = True) -> bytes:
    """Set the flag of every track that tells players to show it."""
    return replace_box(data, "moov.trak.tkhd", overwrite(3, bytes([3 if enabled else 2])), every=True)


def with_pixel_aspect(data: bytes, horizontal: int, vertical: int) -> bytes:
    """State the width and the height of a pixel in the index of a file with one track."""
    pasp = struct.pack(">I4sII", 16, b"pasp", horizontal, vertical)

    def add(stsd: bytes) -> bytes:
        (length,) = struct.unpack_from(">I", stsd, 8)
        return stsd[:8] + struct.pack(">I", length + 16) + stsd[12:] + pasp

    return replace_box(data, "moov.trak.mdia.minf.stbl.stsd", add)


def zeroed(data: bytes, start: float, end: float = 1.0) -> bytes:
    """Fill a part of the picture data with zeros, as an upload that lost it does."""
    body, stop = next((body, stop) for kind, _, body, stop in boxes(data) if kind == b"mdat")
    first, last = (body + int(part * (stop - body)) for part in (start, end))
    return data[:first] + bytes(last - first) + data[last:]


def pad_fragments(data: bytes, extra_bytes: int) -> bytes:
    """Put an empty box behind the pictures of each fragment. Positions must be relative to the fragments."""
    padding = struct.pack(">I4s", 8 + extra_bytes, b"free") + bytes(extra_bytes)
    return b"".join(data[start:end] + (padding if kind == b"mdat" else b"") for kind, start, _, end in boxes(data))


def shift_timestamps(data: bytes, ticks: int) -> bytes:
    """Shift the timestamps of all fragments, as in a file cut out of a live stream."""

    def shift(body: bytes) -> bytes:
        return body[:4] + struct.pack(">Q", struct.unpack_from(">Q", body, 4)[0] + ticks)

    return replace_box(data, "moof.traf.tfdt", shift, every=True)


def last_fragment_offset(data: bytes) -> int:
    """Return the offset of the last fragment."""
    return [start for kind, start, _, _ in boxes(data) if kind == b"moof"][-1]


def extend_last_box(data: bytes, extra_bytes: int) -> bytes:
    """Extend the last box with zeros."""
    *_, (kind, start, body, _) = boxes(data)
    return (
        data[:start] + struct.pack(">I4s", len(data) - start + extra_bytes, kind) + data[body:] + bytes(extra_bytes)
    )
