"""The facts that are read from a document of ffprobe are those that a player shows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.media.corpus.reference import reference_facts


def video(**changes: Any) -> dict[str, Any]:
    stream = {
        "index": 0,
        "codec_type": "video",
        "codec_name": "h264",
        "width": 960,
        "height": 720,
        "avg_frame_rate": "30000/1001",
        "duration": "12.5",
        "pix_fmt": "yuv420p",
        "disposition": {"default": 1, "attached_pic": 0},
    }
    return {**stream, **changes}


def facts(*streams: dict[str, Any], packets: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return reference_facts({"streams": streams, "packets": packets}, is_fragmented=bool(packets))


def size(stream: dict[str, Any]) -> tuple[int, int]:
    read = facts(stream)
    return read["width"], read["height"]


def test_facts_of_one_stream() -> None:
    assert facts(video(color_transfer="bt709")) == {
        "video_codec": "h264",
        "width": 960,
        "height": 720,
        "duration_seconds": 12.5,
        "frame_rate": 30000 / 1001,
        "has_audio": False,
        "pixel_format": "yuv420p",
        "color_transfer": "bt709",
    }


@pytest.mark.parametrize("aspect", ["0:1", "1:1", "N/A"])
def test_size_without_a_pixel_aspect_is_coded(aspect: str) -> None:
    assert size(video(sample_aspect_ratio=aspect)) == (960, 720)


def test_pixel_aspect_scales_the_width_before_the_rotation() -> None:
    assert size(video(sample_aspect_ratio="4:3")) == (1280, 720)
    assert size(video(sample_aspect_ratio="4:3", side_data_list=[{"rotation": -90}])) == (720, 1280)


@pytest.mark.parametrize(("rotation", "expected"), [(90, (720, 960)), (-90, (720, 960)), (180, (960, 720))])
def test_quarter_turns_swap_the_sides(rotation: int, expected: tuple[int, int]) -> None:
    assert size(video(side_data_list=[{"rotation": rotation}])) == expected


def test_longest_enabled_stream_counts() -> None:
    small = video(index=1, width=320, duration="20")
    disabled = video(index=2, width=160, duration="99", disposition={"default": 0, "attached_pic": 0})
    assert facts(video(), small, disabled)["width"] == 320
    assert facts(disabled)["width"] == 160


def test_cover_art_is_not_a_video() -> None:
    assert "video_codec" not in facts(video(disposition={"default": 1, "attached_pic": 1}))


def test_fragments_last_from_their_first_to_their_last_packet() -> None:
    packets = (
        {"stream_index": 0, "pts_time": "5.0", "duration_time": "0.5"},
        {"stream_index": 0, "pts_time": "9.0", "duration_time": "0.5"},
        {"stream_index": 0, "pts_time": "8.0", "duration_time": "0.5"},
        {"stream_index": 1, "pts_time": "70.0", "duration_time": "0.5"},
        {"stream_index": 0},
    )
    assert facts(video(), packets=packets)["duration_seconds"] == 4.5


def test_sound_counts_as_audio() -> None:
    assert facts({"index": 0, "codec_type": "audio", "disposition": {"default": 1, "attached_pic": 0}}) == {
        "has_audio": True
    }
