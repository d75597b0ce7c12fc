"""The video formats that services commonly read, and how to convert the others to them.

Argil names containers, not codecs. H.264 and HEVC in 8 bits with 4:2:0 are what phones, browsers and cameras record
for playback, and what every decoder reads: in software (FFmpeg, OpenCV) and in hardware. Not so the others that an
MP4 or MOV can contain:

- AV1, VP9, VP8: no hardware decoder on many machines; older decoders in software, and QuickTime, lack them.
- MPEG-4 part 2, MPEG-2, H.263, Motion JPEG: no browser plays them in an MP4.
- ProRes, DNxHR, CineForm, HAP and other formats of editing programs.
- 10 bits, 4:2:2 and 4:4:4 in H.264 and HEVC: no hardware decoder for many, and often reduced without dithering.
- HDR (PQ, HLG): read as SDR, it looks grey and flat.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

COMMON_CODECS = frozenset({"h264", "hevc"})
# 8 bits, 4:2:0. yuvj420p is the full range of values, which some phones record; nv12 is another memory layout.
COMMON_PIXEL_FORMATS = frozenset({"yuv420p", "yuvj420p", "nv12"})
# FFmpeg's names of the transfer characteristics of HDR (ITU-T H.273: 16 and 18), with the words for them.
HDR_TRANSFERS: Mapping[str, str] = MappingProxyType({"smpte2084": "HDR (PQ)", "arib-std-b67": "HDR (HLG)"})

COMMON_FORMATS_TEXT = "in a format that services commonly read (H.264 or HEVC; 8 bits, 4:2:0; not HDR)"

_TO_SDR = "zscale=t=linear:npl=100,tonemap=hable,zscale=p=bt709:t=bt709:m=bt709:r=limited,"
_CONVERT = 'ffmpeg -i IN -vf "{filters}format=yuv420p" -c:v libx264 -crf 18 -c:a aac -movflags +faststart OUT.mp4'
CONVERSION_HINT = f"convert it: {_CONVERT.format(filters='')}"
HDR_HINT = f"record it with HDR off, or convert it: {_CONVERT.format(filters=_TO_SDR)}"


class FormatJudgement(NamedTuple):
    """A video format in words, whether services commonly read it, and the remedy if they do not."""

    text: str
    is_common: bool
    hint: str


def judge_format(codec: str, pixel_format: str | None, color_transfer: str | None) -> FormatJudgement:
    """Judge a video format by FFmpeg's names of its parts. A part that is not known (None) counts as common."""
    hdr = HDR_TRANSFERS.get(color_transfer or "")
    return FormatJudgement(
        text=", ".join(part for part in (codec, pixel_format, hdr) if part),
        is_common=codec in COMMON_CODECS and pixel_format in COMMON_PIXEL_FORMATS | {None} and hdr is None,
        hint=HDR_HINT if hdr else CONVERSION_HINT,
    )
