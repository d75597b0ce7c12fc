"""Batch progress: counts, rate, final state name, and the results file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from models.batch import (
    CHECK_INCONCLUSIVE,
    INVALID,
    PENDING,
    WOULD_CREATE,
    WOULD_REJECT,
    BatchProgress,
)
from models.manifest.manifest import parse_rows
from models.reason import Reason


def make_progress(*statuses: str, is_dry_run: bool = False) -> BatchProgress:
    url = "https://videos.example/v.mp4"
    rows: list[Any] = [
        {"name": f"row {number}", "dataset_video": url, "consent_video": url} if status != INVALID else {}
        for number, status in enumerate(statuses)
    ]
    progress = BatchProgress(parse_rows(rows), started_at=100.0, is_dry_run=is_dry_run)
    for number, status in enumerate(statuses):
        if status not in {PENDING, INVALID}:
            progress.update_row(number, progress.rows[number].with_status(status, []), finished=True)
    return progress


@pytest.mark.parametrize(
    ("statuses", "name"),
    [
        (["READY", "READY"], "Ready"),
        (["READY", "TRAINING"], "Training"),
        (["REFUSED", "TRAINING", "TRAINING"], "Refused"),
        (["READY", "READY", "TIMED_OUT"], "TimedOut"),
        (["TRAINING_FAILED", "REFUSED", "REFUSED"], "Refused"),
        ([INVALID, "READY"], "Rejected"),
        (["ACCEPTED", "READY"], "Accepted"),
        ([CHECK_INCONCLUSIVE, WOULD_CREATE], "CheckInconclusive"),
        ([PENDING, "READY"], "NotStarted"),
    ],
)
def test_state_name_is_the_most_frequent_failure(statuses: list[str], name: str) -> None:
    assert make_progress(*statuses).state_name == name


def test_all_ready_and_dry_run_success_need_every_row() -> None:
    assert make_progress("READY", "READY").all_ready
    assert not make_progress("READY", PENDING).all_ready
    assert make_progress("READY", WOULD_CREATE).all_would_succeed
    assert not make_progress(WOULD_CREATE, WOULD_REJECT).all_would_succeed


def test_rate_counts_rows_finished_since_the_start() -> None:
    progress = make_progress("READY", "READY", INVALID, PENDING)
    assert (progress.finished, progress.total) == (3, 4)
    assert progress.rate(104.0) == 0.5
    assert progress.eta_seconds(104.0) == 2.0
    assert progress.progress_text(104.0) == (
        "3 of 4 rows finished (2 READY, 1 NOT_STARTED, 1 INVALID); 0:04 elapsed, 0.5 rows/s, about 2 s left"
    )
    assert make_progress(PENDING).eta_seconds(200.0) is None


def test_time_and_rate_stop_when_the_batch_ends() -> None:
    progress = make_progress("READY", "REJECTED")
    progress.ended_at = 4000.0
    assert progress.result_text(9999.0) == "2 rows: 1 READY, 1 REJECTED; 1:05:00 elapsed, 0.0 rows/s"
    assert progress.progress_text(9999.0).startswith("2 of 2 rows finished")


def test_dry_run_is_a_check() -> None:
    progress = make_progress(WOULD_CREATE, WOULD_REJECT, is_dry_run=True)
    assert progress.progress_text(104.0).startswith("2 of 2 rows checked (1 WOULD_CREATE, 1 WOULD_REJECT)")
    assert progress.result_text(104.0) == (
        "2 rows checked, nothing was sent: 1 WOULD_CREATE, 1 WOULD_REJECT; 0:04 elapsed, 0.5 rows/s"
    )


def test_rows_with_reasons_are_in_the_order_in_which_they_finish() -> None:
    progress = make_progress(PENDING, INVALID, PENDING, PENDING)
    reasons = [Reason(code="a", message="b", hint="")]
    progress.update_row(3, progress.rows[3].with_status("REJECTED", reasons), finished=True)
    progress.update_row(0, progress.rows[0].with_status("ACCEPTED", reasons))
    progress.update_row(2, progress.rows[2].with_status("READY", reasons), finished=True)
    progress.update_row(0, progress.rows[0].with_status("TRAINING_FAILED", reasons), finished=True)
    assert progress.attention == [1, 3, 0]


def test_result_names_the_credits_of_images() -> None:
    consent = "https://videos.example/c.mp4"
    rows: list[Any] = [
        {"name": "Ada", "image": "https://videos.example/1.png", "consent_video": consent},
        {"name": "Eve", "image": "https://videos.example/2.png", "consent_video": consent},
        {"name": "Bob", "dataset_video": "https://videos.example/d.mp4", "consent_video": consent},
    ]
    progress = BatchProgress(parse_rows(rows), started_at=100.0)
    for number in (0, 2):
        progress.update_row(number, progress.rows[number].with_status("ACCEPTED", []))
        progress.update_row(number, replace(progress.rows[number], status="READY", avatar_id="a-1"), finished=True)
    progress.update_row(1, replace(progress.rows[1], status="READY", avatar_id="a-2"), finished=True)  # attached
    assert "1 from images for 2 credits (2 each)" in progress.result_text(101.0)
    assert "1 from images for 2 credits (2 each)" in progress.progress_text(101.0)
    assert progress.image_credits == 2
    planned = BatchProgress(parse_rows(rows), started_at=100.0, is_dry_run=True)
    for number in range(3):
        planned.update_row(number, planned.rows[number].with_status(WOULD_CREATE, []), finished=True)
    assert "2 from images for 4 credits (2 each)" in planned.result_text(101.0)
    assert planned.image_credits == 4
