from __future__ import annotations

from typing import Any

import pytest

from models.errors import MediaRejected
from models.media import (
    GIB,
    MIB,
    MediaFacts,
    MediaReport,
    MediaRole,
    checks,
    rejection,
    violations,
)

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
        ({"size_bytes": 3 * GIB // 2 + 1}, ["file-too-big"]),
        ({"duration_seconds": 60.0}, []),
        ({"duration_seconds": 59.5}, []),
        ({"duration_seconds": 59.49}, ["too-short"]),
        ({"duration_seconds": 300.5}, []),
        ({"duration_seconds": 300.51}, ["too-long"]),
        ({"duration_seconds": 0.0}, ["too-short"]),
        ({"duration_seconds": None}, ["unknown-duration"]),
        ({"width": 1280, "height": 720}, []),
        ({"width": 720, "height": 1280}, []),
        ({"width": 1279, "height": 720}, ["too-small"]),
        ({"width": 1280, "height": 719}, ["too-small"]),
        ({"width": 719, "height": 1280}, ["too-small"]),
        ({"width": 1000, "height": 1000}, ["too-small"]),
        ({"width": 3840, "height": 2160}, []),
        ({"width": 2160, "height": 3840}, []),
        ({"width": 3841, "height": 2160}, ["too-large"]),
        ({"width": 3840, "height": 2161}, ["too-large"]),
        ({"width": 4000, "height": 700}, ["too-small", "too-large"]),
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
        ({"duration_seconds": 30.51}, ["too-long"]),
        ({"size_bytes": 100 * MIB}, []),
        ({"size_bytes": 100 * MIB + 1}, ["file-too-big"]),
        ({"width": 320, "height": 240}, []),
        ({"width": 7680, "height": 4320}, []),
        ({"container": "M4A"}, ["wrong-container"]),
    ],
)
def test_consent_rules(facts: dict[str, Any], expected: list[str]) -> None:
    assert codes(MediaRole.CONSENT, **facts) == [f"consent.{name}" for name in expected]


def test_every_violation_is_listed_and_not_only_the_first() -> None:
    found = codes(
        MediaRole.DATASET, size_bytes=2 * GIB, container="3gp4", width=640, height=360, duration_seconds=10.0
    )
    assert found == [
        "dataset.wrong-container",
        "dataset.file-too-big",
        "dataset.too-short",
        "dataset.too-small",
    ]


def test_without_a_picture_only_rules_about_the_file_are_held() -> None:
    facts = MediaFacts(size_bytes=2 * GIB, container="mp4", has_audio=True)
    assert [reason.code for reason in violations(facts, MediaRole.DATASET)] == [
        "dataset.file-too-big",
        "dataset.no-video-stream",
    ]


def test_a_reason_names_the_rule_the_value_seen_and_a_way_out() -> None:
    (reason,) = violations(MediaFacts(**GOOD | {"duration_seconds": 40.0}), MediaRole.DATASET)
    assert reason.message == "the dataset video must be at least 60 seconds long; seen: 40.00 seconds"
    assert reason.hint == "record at least 60 seconds"


@pytest.mark.parametrize("role", MediaRole)
def test_the_table_shows_what_passed_as_well(role: MediaRole) -> None:
    rows = checks(MediaFacts(**GOOD_CONSENT | {"duration_seconds": 30.0, "size_bytes": 5}), role)
    assert [row.code.partition(".")[0] for row in rows] == [role.value] * len(rows)
    assert all(row.rule and row.seen and row.hint for row in rows)
    assert [row.code for row in rows if not row.passed] == (
        ["dataset.too-short"] if role is MediaRole.DATASET else []
    )


def test_a_rejected_recording_is_one_failed_row() -> None:
    error = MediaRejected("forbidden", "https://x.test/v.mp4 answered 403 Forbidden", hint="sign it anew")
    report = MediaReport(role=MediaRole.CONSENT, facts=None, checks=(rejection(error, MediaRole.CONSENT),))
    (reason,) = report.reasons
    assert reason.code == "consent.forbidden"
    assert "answered 403 Forbidden" in reason.message
    assert reason.hint == "sign it anew"


def test_a_report_survives_json() -> None:
    facts = MediaFacts(**GOOD)
    report = MediaReport(
        role=MediaRole.DATASET, facts=facts, checks=tuple(checks(facts, MediaRole.DATASET)), requests=3
    )
    assert MediaReport.model_validate_json(report.model_dump_json()) == report
