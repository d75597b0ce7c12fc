from __future__ import annotations

import json
import math
from typing import Any

import pytest

from models.errors import MediaRejected
from models.media.checks import check_rules, recorded_warnings, violations
from models.media.codes import MediaCode
from models.media.facts import MediaFacts
from models.media.report import MediaReport, rejected_result
from models.media.rules import GIB, MIB, RULES, MediaPolicy, MediaRole

GOOD: dict[str, Any] = {
    "size_bytes": 200 * MIB,
    "container": "mp4",
    "video_codec": "h264",
    "width": 1920,
    "height": 1080,
    "duration_seconds": 120.0,
    "frame_rate": 30.0,
    "has_audio": True,
}
GOOD_CONSENT = GOOD | {"size_bytes": 10 * MIB, "duration_seconds": 12.0}


def codes(role: MediaRole, **facts: Any) -> list[str]:
    base = GOOD if role is MediaRole.DATASET else GOOD_CONSENT
    return [reason.code for reason in violations(MediaFacts(**base | facts), role)]


def report(role: MediaRole, **facts: Any) -> MediaReport:
    base = GOOD if role is MediaRole.DATASET else GOOD_CONSENT
    checked = MediaFacts(**base | facts)
    return MediaReport(role=role, facts=checked, checks=tuple(check_rules(checked, role)))


def warnings(role: MediaRole, **facts: Any) -> list[str]:
    return [reason.code for reason in report(role, **facts).warnings]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, []),
        ({"container": "mov"}, []),
        ({"container": "3gp4"}, ["wrong-container"]),
        ({"has_audio": False}, []),
        ({"size_bytes": 1_500_000_000}, []),
        ({"size_bytes": 3 * GIB // 2}, []),
        ({"size_bytes": 3 * GIB // 2 + 1}, ["file-too-large"]),
        ({"duration_seconds": 60.0}, []),
        ({"duration_seconds": 59.5}, []),
        ({"duration_seconds": 59.49}, ["duration-too-short"]),
        ({"duration_seconds": 300.5}, []),
        ({"duration_seconds": 300.51}, ["duration-too-long"]),
        ({"duration_seconds": None}, ["unknown-duration"]),
        ({"width": None, "height": None}, ["resolution-too-low"]),
        ({"video_codec": "unknown"}, ["unknown-codec"]),
        ({"video_codec": "unknown", "pixel_format": "yuv420p"}, ["unknown-codec"]),
    ],
)
def test_dataset_rules(facts: dict[str, Any], expected: list[str]) -> None:
    assert codes(MediaRole.DATASET, **facts) == [f"dataset.{name}" for name in expected]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, []),
        ({"duration_seconds": 0.5}, []),
        ({"duration_seconds": 30.5}, []),
        ({"duration_seconds": 30.51}, ["duration-too-long"]),
        ({"size_bytes": 100 * MIB}, []),
        ({"size_bytes": 100 * MIB + 1}, ["file-too-large"]),
        ({"width": 320, "height": 240}, []),
        ({"width": 7680, "height": 4320}, []),
        ({"container": "M4A"}, ["wrong-container"]),
    ],
)
def test_consent_rules(facts: dict[str, Any], expected: list[str]) -> None:
    assert codes(MediaRole.CONSENT, **facts) == [f"consent.{name}" for name in expected]


def test_violations_lists_every_broken_rule() -> None:
    actual_codes = codes(
        MediaRole.DATASET, size_bytes=2 * GIB, container="3gp4", width=640, height=360, duration_seconds=10.0
    )
    assert actual_codes == [
        "dataset.wrong-container",
        "dataset.file-too-large",
        "dataset.duration-too-short",
        "dataset.resolution-too-low",
    ]


def test_without_video_track_only_file_rules_are_checked() -> None:
    facts = MediaFacts(size_bytes=2 * GIB, container="mp4", has_audio=True)
    assert [reason.code for reason in violations(facts, MediaRole.DATASET)] == [
        "dataset.file-too-large",
        "dataset.no-video-stream",
    ]


def test_reason_names_rule_actual_value_and_hint() -> None:
    (reason,) = violations(MediaFacts(**GOOD | {"duration_seconds": 40.0}), MediaRole.DATASET)
    assert reason.message == "the dataset video must be at least 60 seconds long; actual: 40.00 seconds"
    assert reason.hint == "record at least 60 seconds"


@pytest.mark.parametrize("role", RULES)
def test_check_rules_lists_passed_rules_too(role: MediaRole) -> None:
    rows = check_rules(MediaFacts(**GOOD_CONSENT | {"duration_seconds": 30.0, "size_bytes": 5}), role)
    assert [row.code.partition(".")[0] for row in rows] == [role.value] * len(rows)
    assert all(row.expected and row.actual and row.hint for row in rows)
    assert [row.code for row in rows if not row.passed] == (
        ["dataset.duration-too-short"] if role is MediaRole.DATASET else []
    )


def test_rejected_recording_is_one_failed_check() -> None:
    error = MediaRejected(MediaCode.FORBIDDEN, "https://x.test/v.mp4 answered 403 Forbidden", hint="sign it again")
    report = MediaReport(role=MediaRole.CONSENT, facts=None, checks=(rejected_result(error, MediaRole.CONSENT),))
    (reason,) = report.reasons
    assert reason.code == "consent.forbidden"
    assert "answered 403 Forbidden" in reason.message
    assert reason.hint == "sign it again"


def test_media_report_round_trips_through_json() -> None:
    facts = MediaFacts(**GOOD)
    report = MediaReport(
        role=MediaRole.DATASET, facts=facts, checks=tuple(check_rules(facts, MediaRole.DATASET)), requests=3
    )
    assert MediaReport.model_validate_json(report.model_dump_json()) == report


NO_DURATIONS = [0.0, -0.0, 0.004, -5.0, math.nan, math.inf, -math.inf, None]


@pytest.mark.parametrize("role", RULES)
@pytest.mark.parametrize("seconds", NO_DURATIONS)
def test_duration_that_is_not_measured_never_passes(seconds: float | None, role: MediaRole) -> None:
    assert codes(role, duration_seconds=seconds) == [f"{role}.unknown-duration"]
    facts = MediaFacts(**GOOD_CONSENT).model_copy(update={"duration_seconds": seconds})
    assert f"{role}.unknown-duration" in [reason.code for reason in violations(facts, role)]


def test_duration_of_one_frame_is_measured() -> None:
    assert codes(MediaRole.CONSENT, duration_seconds=1 / 120) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_cannot_store_are_unknown(value: float) -> None:
    names = ("duration_seconds", "frame_rate", "audio_seconds", "audio_bit_rate")
    facts = MediaFacts(**GOOD | dict.fromkeys(names, value))
    assert [getattr(facts, name) for name in names] == [None] * len(names)
    json.dumps(facts.model_dump(mode="json"), allow_nan=False)


def test_facts_of_former_versions_still_load() -> None:
    facts = MediaFacts.model_validate(GOOD | {"etag": None, "sha256": None})
    assert (facts.audio_seconds, facts.audio_bit_rate, facts.pixel_format, facts.color_transfer) == (None,) * 4
    assert warnings(MediaRole.DATASET) == []


LOW, HIGH, UNUSUAL = "resolution-too-low", "resolution-too-high", "unusual-resolution"


@pytest.mark.parametrize("is_portrait", [False, True])
@pytest.mark.parametrize(
    ("width", "height", "reason", "warning"),
    [
        # Both readings accept.
        (1280, 720, None, None),
        (3840, 2160, None, None),
        (1920, 1080, None, None),
        (2160, 2160, None, None),
        (3840, 720, None, None),
        (3840, 1080, None, None),
        # The lines are 720 or more.
        (1080, 1080, None, UNUSUAL),
        (720, 720, None, UNUSUAL),
        (1279, 720, None, UNUSUAL),
        (960, 720, None, UNUSUAL),
        # The columns are 1280 or more.
        (1280, 719, None, UNUSUAL),
        (1280, 534, None, UNUSUAL),
        (1280, 427, None, UNUSUAL),
        # Neither.
        (1279, 719, LOW, None),
        (640, 480, LOW, None),
        (1024, 576, LOW, None),
        # At most 4096 columns, or at most 2160 lines.
        (4096, 2160, None, UNUSUAL),
        (3841, 2160, None, UNUSUAL),
        (3840, 2161, None, UNUSUAL),
        (4096, 3072, None, UNUSUAL),
        (5120, 2160, None, UNUSUAL),
        (4097, 2161, HIGH, None),
        (5120, 2880, HIGH, None),
        (7680, 4320, HIGH, None),
        # One side of a very long picture counts for nothing.
        (1280, 426, LOW, None),
        (1280, 16, LOW, None),
        (720, 16, LOW, None),
        (1280, 1, LOW, None),
        (6481, 2160, HIGH, None),
        (100_000, 720, HIGH, None),
    ],
)
def test_resolution_is_rejected_by_the_wide_reading(
    width: int, height: int, reason: str | None, warning: str | None, *, is_portrait: bool
) -> None:
    size = {"width": height, "height": width} if is_portrait else {"width": width, "height": height}
    assert codes(MediaRole.DATASET, **size) == ([f"dataset.{reason}"] if reason else [])
    assert warnings(MediaRole.DATASET, **size) == ([f"dataset.{warning}"] if warning else [])
    assert codes(MediaRole.CONSENT, **size) == warnings(MediaRole.CONSENT, **size) == []


def test_very_long_picture_breaks_both_limits() -> None:
    assert codes(MediaRole.DATASET, width=4000, height=700) == [f"dataset.{LOW}", f"dataset.{HIGH}"]


@pytest.mark.parametrize(
    ("width", "height", "message", "hint"),
    [
        (1080, 1080, "1080x1080, which is at least 720p by its short side only", "16:9 or 9:16"),
        (720, 1279, "720x1279, which is at least 720p by its short side only", "16:9 or 9:16"),
        (1280, 534, "1280x534, which is at least 720p by its long side only", "16:9 or 9:16"),
        (4096, 2160, "4096x2160, which is at most 4K by its short side only", "scale=3840:2160"),
        (3000, 4096, "3000x4096, which is at most 4K by its long side only", "scale=2160:3840"),
    ],
)
def test_unusual_resolution_names_both_readings(width: int, height: int, message: str, hint: str) -> None:
    (warning,) = report(MediaRole.DATASET, width=width, height=height).warnings
    assert "720p to 4K by both sides (1280x720 to 3840x2160, in either orientation)" in warning.message
    assert message in warning.message
    assert hint in warning.hint


@pytest.mark.parametrize("role", RULES)
@pytest.mark.parametrize(
    ("codec", "pixel_format", "transfer", "is_common"),
    [
        ("h264", "yuv420p", "bt709", True),
        ("h264", "yuvj420p", None, True),
        ("h264", None, None, True),
        ("hevc", "yuv420p", "smpte170m", True),
        ("hevc", "yuv420p", "bt2020-10", True),
        ("h264", "yuv422p", "bt709", False),
        ("h264", "yuv444p", None, False),
        ("h264", "yuv420p10le", None, False),
        ("h264", "gray", None, False),
        ("hevc", "yuv420p10le", "arib-std-b67", False),
        ("hevc", "yuv422p10le", None, False),
        ("hevc", "yuv420p", "arib-std-b67", False),
        ("hevc", None, "smpte2084", False),
        ("av1", "yuv420p", "bt709", False),
        ("vp9", "yuv420p", None, False),
        ("vp8", "yuv420p", None, False),
        ("vvc", "yuv420p10le", None, False),
        ("mpeg4", "yuv420p", None, False),
        ("mpeg2video", "yuv420p", None, False),
        ("mjpeg", "yuvj420p", None, False),
        ("prores", "yuv422p10le", None, False),
        ("dnxhd", "yuv422p", None, False),
        ("cfhd", "yuv422p10le", None, False),
        ("hap", "rgba", None, False),
        ("rawvideo", "uyvy422", None, False),
    ],
)
def test_format_that_services_rarely_read_is_a_warning(
    codec: str, pixel_format: str | None, transfer: str | None, role: MediaRole, *, is_common: bool
) -> None:
    facts = {"video_codec": codec, "pixel_format": pixel_format, "color_transfer": transfer}
    assert codes(role, **facts) == []
    assert warnings(role, **facts) == ([] if is_common else [f"{role}.uncommon-codec"])


@pytest.mark.parametrize(
    ("transfer", "text", "filter_name"),
    [(None, "hevc, yuv420p10le", "format=yuv420p"), ("smpte2084", "HDR (PQ)", "tonemap=hable")],
)
def test_uncommon_format_states_parts_and_command(transfer: str | None, text: str, filter_name: str) -> None:
    facts = {"video_codec": "hevc", "pixel_format": "yuv420p10le", "color_transfer": transfer}
    (warning,) = report(MediaRole.DATASET, **facts).warnings
    assert text in warning.message
    assert filter_name in warning.hint
    assert "-c:v libx264" in warning.hint


@pytest.mark.parametrize(
    ("role", "picture", "audio", "is_warned"),
    [
        (MediaRole.CONSENT, 20.0, 62.0, True),
        (MediaRole.CONSENT, 20.0, 22.01, True),
        (MediaRole.CONSENT, 20.0, 22.0, False),
        (MediaRole.CONSENT, 5.0, 6.0, False),
        (MediaRole.CONSENT, 5.0, 6.01, True),
        (MediaRole.CONSENT, 29.9, 30.5, False),
        (MediaRole.CONSENT, 29.9, 30.51, True),
        (MediaRole.CONSENT, 20.0, 3.0, False),
        (MediaRole.CONSENT, 20.0, None, False),
        (MediaRole.DATASET, 62.0, 68.0, False),
        (MediaRole.DATASET, 62.0, 69.0, True),
        (MediaRole.DATASET, 299.0, 301.0, True),
    ],
)
def test_audio_longer_than_picture_is_a_warning(
    role: MediaRole, picture: float, audio: float | None, *, is_warned: bool
) -> None:
    facts = {"duration_seconds": picture, "audio_seconds": audio}
    assert codes(role, **facts) == []
    assert warnings(role, **facts) == ([f"{role}.audio-longer-than-video"] if is_warned else [])


def test_audio_over_the_limit_names_the_limit() -> None:
    (warning,) = report(MediaRole.CONSENT, duration_seconds=20.0, audio_seconds=62.0).warnings
    assert "20.00 seconds of picture, 62.00 seconds of audio" in warning.message
    assert "over the limit of 30 seconds" in warning.message
    assert "-t 20.00" in warning.hint
    (within,) = report(MediaRole.CONSENT, duration_seconds=10.0, audio_seconds=20.0).warnings
    assert "limit" not in within.message


@pytest.mark.parametrize("role", RULES)
@pytest.mark.parametrize(
    ("bit_rate", "is_silent"),
    [(0.0, True), (256.0, True), (2290.0, True), (3011.0, True), (3629.0, False), (8187.0, False), (None, False)],
)
def test_digital_silence_is_a_warning_and_speech_is_not(
    bit_rate: float | None, role: MediaRole, *, is_silent: bool
) -> None:
    assert codes(role, audio_bit_rate=bit_rate) == []
    assert warnings(role, audio_bit_rate=bit_rate) == ([f"{role}.silent-audio"] if is_silent else [])


def test_audio_track_of_zero_seconds_counts_as_absent() -> None:
    assert codes(MediaRole.CONSENT, audio_seconds=0.0, audio_bit_rate=0.0) == ["consent.no-audio"]
    assert warnings(MediaRole.CONSENT, audio_seconds=0.0, audio_bit_rate=0.0) == []


def test_silence_is_not_checked_without_the_audio_rule() -> None:
    facts = MediaFacts(**GOOD_CONSENT | {"audio_bit_rate": 256.0})
    rows = check_rules(facts, MediaRole.CONSENT, MediaPolicy(consent_audio="off"))
    assert all(row.passed for row in rows)


@pytest.mark.parametrize(("is_enforced", "expected"), [(True, []), (False, ["dataset.duration-too-short"])])
def test_recorded_facts_give_the_warnings_of_the_check_again(is_enforced: bool, expected: list[str]) -> None:
    short = GOOD | {"has_audio": False, "duration_seconds": 5.0}
    facts = {"dataset": MediaFacts(**short).model_dump(mode="json"), "consent": None, "image": {"of": "old"}}
    found = [reason.code for reason in recorded_warnings(facts, is_enforced=is_enforced)]
    assert found == [*expected, "dataset.no-audio"]
    assert recorded_warnings({}) == []
