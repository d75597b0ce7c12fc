from __future__ import annotations

from typing import Any

import pytest

from models.errors import MediaRejected
from models.media_checks import check_rules, violations
from models.media_codes import MediaCode
from models.media_facts import MediaFacts
from models.media_report import MediaReport, rejected_result
from models.media_rules import GIB, MIB, MediaRole

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
        ({"duration_seconds": 0.0}, ["duration-too-short"]),
        ({"duration_seconds": None}, ["unknown-duration"]),
        ({"width": 1280, "height": 720}, []),
        ({"width": 720, "height": 1280}, []),
        ({"width": 1279, "height": 720}, ["resolution-too-low"]),
        ({"width": 1280, "height": 719}, ["resolution-too-low"]),
        ({"width": 719, "height": 1280}, ["resolution-too-low"]),
        ({"width": 1000, "height": 1000}, ["resolution-too-low"]),
        ({"width": 3840, "height": 2160}, []),
        ({"width": 2160, "height": 3840}, []),
        ({"width": 3841, "height": 2160}, ["resolution-too-high"]),
        ({"width": 3840, "height": 2161}, ["resolution-too-high"]),
        ({"width": 4000, "height": 700}, ["resolution-too-low", "resolution-too-high"]),
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


@pytest.mark.parametrize("role", MediaRole)
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
