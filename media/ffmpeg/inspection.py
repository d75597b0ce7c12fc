"""What FFmpeg tells about a recording: the contract between this process and its child processes.

Only standard types, so that a child process starts quickly and its answers are plain JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from media.processes.available_bytes import AvailableBytes


class FirstFrame(StrEnum):
    """What decoding the first frame of a video stream showed."""

    NOT_DECODED = "not-decoded"
    """Its bytes are not available, or another stream was to be decoded."""
    DECODED = "decoded"
    INVALID = "invalid"
    """Its bytes are certainly not a picture of this codec."""
    UNSUPPORTED = "unsupported"
    """FFmpeg has no decoder for it, or refuses its size or features; the recording may still be valid."""
    NO_PICTURE = "no-picture"
    """The decoder found no fault and no picture, for example because the picture needs an earlier one."""


@dataclass(frozen=True)
class IndexEntry:
    """A frame in the index: its position and size in bytes, and its decoding time in ticks of the stream."""

    position: int
    size: int
    timestamp: int


@dataclass(frozen=True)
class VideoStream:
    """A video track as FFmpeg describes it. A fact is None if FFmpeg does not know it.

    Attributes:
        index: The number of the stream; track ids of damaged files are not unique.
        id: The track id.
        codec: The name of the codec ("av1"), not of its decoder ("libdav1d").
        width: Of the coded picture, in pixels; 0 if unknown.
        height: The same.
        sample_aspect_ratio: Width and height of a pixel.
        frame_rate: The mean, in frames per second.
        pixel_format: FFmpeg's name, for example "yuv420p10le".
        color_transfer: FFmpeg's name, for example "arib-std-b67".
        duration: In ticks.
        time_base: Numerator and denominator of a tick in seconds.
        first: The first frame in the index.
        last: The last frame in the index.
        is_attached_picture: A still picture, for example cover art.
        first_frame: What decoding the first frame showed.
    """

    index: int
    id: int
    codec: str | None = None
    width: int = 0
    height: int = 0
    sample_aspect_ratio: tuple[int, int] | None = None
    frame_rate: float | None = None
    pixel_format: str | None = None
    color_transfer: str | None = None
    duration: int | None = None
    time_base: tuple[int, int] | None = None
    first: IndexEntry | None = None
    last: IndexEntry | None = None
    is_attached_picture: bool = False
    first_frame: FirstFrame = FirstFrame.NOT_DECODED


@dataclass(frozen=True)
class AudioStream:
    """An audio track as FFmpeg describes it; see VideoStream."""

    index: int
    id: int
    codec: str | None
    duration: int | None
    time_base: tuple[int, int] | None


@dataclass(frozen=True)
class Inspection:
    """The streams of a recording. `error` is FFmpeg's reason for not opening it; then there are no streams."""

    videos: tuple[VideoStream, ...] = ()
    audios: tuple[AudioStream, ...] = ()
    error: str | None = None


Inspect = Callable[[AvailableBytes, int | None], Inspection]
"""Inspects the bytes, and decodes the first frame of the video stream with this index.

None: of the only video stream, if there is exactly one.
"""
