"""The facts about a video, as the probe reads them. Those about an image are in models/media/image_facts.py."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

_Measured = Annotated[float, AfterValidator(lambda value: value if math.isfinite(value) else None)]
"""A number from the file. Infinity and NaN, which the ledger's JSON cannot store, become None: not measured."""


class MediaFacts(BaseModel):
    """The facts about a video, parsed from its index. Facts about the picture are None without a video track.

    Attributes:
        size_bytes: Size of the file.
        container: "mp4" or "mov" by the brand that the file declares, else that brand.
        video_codec: FFmpeg's name of the codec ("h264", "av1"); "unknown" if FFmpeg has none for it.
        pixel_format: FFmpeg's name of the pixel format ("yuv420p10le"); None if unknown.
        color_transfer: FFmpeg's name of the transfer characteristics ("arib-std-b67"); None if unknown.
        width: Width in pixels as displayed: scaled by the pixel aspect ratio, then rotated.
        height: Height in pixels as displayed.
        duration_seconds: Duration of the video track; None if the file does not state it.
        frame_rate: Mean frames per second.
        has_audio: Whether the file has an audio track with samples.
        audio_seconds: Duration of the longest audio track as players show it; None if unknown.
        audio_bit_rate: Mean bit rate of the audio in bits per second, of the track with the highest one; None if
            that of a track is unknown.
        etag: ETag of the host.
        sha256: Digest of the whole file; None if it was not requested.
        sample_sha256: Digest of its size, first and last bytes; see media/remote/remote_file.py.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_bytes: int
    container: str
    video_codec: str | None = None
    pixel_format: str | None = None
    color_transfer: str | None = None
    width: int | None = None
    height: int | None = None
    duration_seconds: _Measured | None = None
    frame_rate: _Measured | None = None
    has_audio: bool
    audio_seconds: _Measured | None = None
    audio_bit_rate: _Measured | None = None
    etag: str | None = None
    sha256: str | None = None
    sample_sha256: str | None = None
