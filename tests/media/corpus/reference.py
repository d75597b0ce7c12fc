"""Reads the facts about a recording with Debian's ffprobe, as the reference for those of the probe."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.media.sample_files import boxes

COMMAND = (
    "ffprobe -loglevel error -show_streams -show_format -show_entries packet=stream_index,pts_time,duration_time"
)
COMPARED = (
    "video_codec",
    "width",
    "height",
    "duration_seconds",
    "frame_rate",
    "has_audio",
    "pixel_format",
    "color_transfer",
)
"""The fields of MediaFacts that ffprobe also states."""
QUARTER_TURNS = (90, 270)
Document = Mapping[str, Any]
Facts = dict[str, Any]


def read_reference(path: Path) -> Facts:
    """Return the facts that ffprobe reads, keyed by the fields of MediaFacts.

    Raises:
        CalledProcessError: If ffprobe cannot read the file.
    """
    command = [*COMMAND.split(), "-of", "json", str(path)]
    output = subprocess.run(command, check=True, capture_output=True).stdout
    return reference_facts(
        json.loads(output), is_fragmented=b"moof" in [box[0] for box in boxes(path.read_bytes())]
    )


def reference_facts(document: Document, *, is_fragmented: bool) -> Facts:
    """Return the facts in a document of ffprobe.

    ffprobe states the duration of the first fragment only, so that of a fragmented file is the span of its packets.
    """
    streams = document["streams"]
    packets = document.get("packets", []) if is_fragmented else []
    facts: Facts = {"has_audio": any(stream["codec_type"] == "audio" for stream in streams)}
    videos = [
        stream
        for stream in streams
        if stream["codec_type"] == "video" and not stream["disposition"]["attached_pic"]
    ]
    # ffprobe marks the tracks that their header enables as default.
    enabled = [stream for stream in videos if stream["disposition"]["default"]] or videos
    if enabled:
        longest = max(enabled, key=lambda stream: _duration(stream, packets) or 0)
        facts |= _video_facts(longest, _duration(longest, packets))
    return facts


def _video_facts(stream: Document, seconds: float | None) -> Facts:
    width, height = round(stream["width"] * _ratio(stream.get("sample_aspect_ratio"), ":")), stream["height"]
    is_turned = any(side.get("rotation", 0) % 360 in QUARTER_TURNS for side in stream.get("side_data_list", ()))
    return {
        "video_codec": stream.get("codec_name", "unknown"),
        "width": height if is_turned else width,
        "height": width if is_turned else height,
        "duration_seconds": seconds,
        "frame_rate": _ratio(stream["avg_frame_rate"], "/"),
        "pixel_format": stream.get("pix_fmt"),
        "color_transfer": stream.get("color_transfer"),
    }


def _duration(stream: Document, packets: Iterable[Document]) -> float | None:
    spans = [
        (float(packet["pts_time"]), float(packet.get("duration_time", 0)))
        for packet in packets
        if packet["stream_index"] == stream["index"] and "pts_time" in packet
    ]
    if spans:
        return max(start + length for start, length in spans) - min(start for start, _ in spans)
    return float(stream["duration"]) if "duration" in stream else None


def _ratio(text: str | None, separator: str) -> float:
    """Parse "4:3" or "25/1"; one if it is missing or not a ratio."""
    numerator, _, denominator = (text or "").partition(separator)
    return int(numerator) / int(denominator) if denominator.isdigit() and int(numerator) * int(denominator) else 1.0
