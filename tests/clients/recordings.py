"""Makes recordings of every kind with PyAV, and alters them box by box: what people send, and what is broken."""

from __future__ import annotations

import functools
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition
from av.video.stream import VideoStream

PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf", b"edts", b"mfra"}
INDEX = {b"moov", b"moof", b"sidx", b"mfra"}


@functools.cache
def recorded(
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
) -> bytes:
    """A grey video of one frame each `step` seconds, with `sound` tracks of silence."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "v")
        options = {"movflags": movflags} if movflags else {}
        with av.open(str(path), "w", format=container, options=options) as output:
            video = output.add_stream(codec, rate=1, options={"preset": "ultrafast", "g": str(keyframes)})
            assert isinstance(video, VideoStream)
            video.width, video.height, video.pix_fmt = width, height, "yuv420p"
            if rotation:
                video.set_display_rotation(rotation)
            tracks = [output.add_stream("aac", rate=8000, layout="mono") for _ in range(sound)]
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
                for start in range(0, seconds * 8000, 1024):
                    silence = av.AudioFrame("fltp", "mono", 1024)
                    silence.planes[0].update(bytes(4096))
                    silence.sample_rate, silence.pts, silence.time_base = 8000, start, Fraction(1, 8000)
                    output.mux(track.encode(silence))
                output.mux(track.encode(None))
        return path.read_bytes()


@functools.cache
def sound_alone(*, cover: bool = False, container: str = "mp4") -> bytes:
    """Twelve seconds of silence, with or without a still picture for it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "v")
        with av.open(str(path), "w", format=container) as output:
            audio = output.add_stream("aac", rate=8000, layout="mono")
            if cover:
                picture = output.add_stream("mjpeg", rate=1)
                picture.width, picture.height, picture.pix_fmt = 64, 64, "yuvj420p"
                picture.disposition = Disposition.attached_pic
                frame = av.VideoFrame(64, 64, "yuvj420p")
                frame.pts, frame.time_base = 0, Fraction(1)
                output.mux(picture.encode(frame))
                output.mux(picture.encode(None))
            for start in range(0, 12 * 8000, 1024):
                silence = av.AudioFrame("fltp", "mono", 1024)
                silence.planes[0].update(bytes(4096))
                silence.sample_rate, silence.pts, silence.time_base = 8000, start, Fraction(1, 8000)
                output.mux(audio.encode(silence))
            output.mux(audio.encode(None))
        return path.read_bytes()


@functools.cache
def two_pictures() -> bytes:
    """A video of ten seconds in 1280x720 and, in its second track, one of 75 seconds in 640x360."""
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
    """Yield kind, start, body and end of each box."""
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
    """How many bytes of a file are index."""
    return sum(end - start for kind, start, _, end in boxes(data) if kind in INDEX)


def edited(data: bytes, path: str, change: Callable[[bytes], bytes | None], *, every: bool = False) -> bytes:
    """The file with the body of a box changed (None: without the box), and the lengths around it mended.

    `path` is like moov.trak.edts, the first of each meant, or every one. What lies behind moves, so the length may
    change only where no picture lies behind.
    """
    names = path.encode().split(b".")
    out, done = [], False
    for kind, start, body, end in boxes(data):
        inside: bytes | None = data[body:end]
        if kind == names[0] and (every or not done):
            rest = b".".join(names[1:]).decode()
            inside = change(data[body:end]) if not rest else edited(data[body:end], rest, change, every=every)
            done = True
        if inside is not None:
            head = data[start:body] if len(inside) == end - body else struct.pack(">I4s", len(inside) + 8, kind)
            out.append(head + inside)
    return b"".join(out)


def put(at: int, piece: bytes) -> Callable[[bytes], bytes]:
    """A change that overwrites some bytes of a body."""
    return lambda body: body[:at] + piece + body[at + len(piece) :]


def with_edits(data: bytes, edits: Sequence[tuple[int, int]]) -> bytes:
    """The file with an edit list in its first track: durations (ms) and where they begin (ticks, -1: nowhere)."""
    listed = b"".join(struct.pack(">IiI", duration, begin, 0x10000) for duration, begin in edits)
    elst = struct.pack(">I4sII", 16 + len(listed), b"elst", 0, len(edits)) + listed
    edts = struct.pack(">I4s", 8 + len(elst), b"edts") + elst
    bare = edited(data, "moov.trak.edts", lambda _: None)
    return edited(bare, "moov.trak", lambda body: body + edts)


def times_shifted(data: bytes, ticks: int) -> bytes:
    """A fragmented file whose clock began earlier, as one that was cut out of a live stream."""

    def shift(body: bytes) -> bytes:
        return body[:4] + struct.pack(">Q", struct.unpack_from(">Q", body, 4)[0] + ticks)

    return edited(data, "moof.traf.tfdt", shift, every=True)


def last_fragment_at(data: bytes) -> int:
    """Where the last fragment of a file begins."""
    return [start for kind, start, _, _ in boxes(data) if kind == b"moof"][-1]


def grown(data: bytes, more: int) -> bytes:
    """The file with its last box so much longer."""
    *_, (kind, start, body, _) = boxes(data)
    return data[:start] + struct.pack(">I4s", len(data) - start + more, kind) + data[body:] + bytes(more)
