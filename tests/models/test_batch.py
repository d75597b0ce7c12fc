"""Batch progress: counts, rate, final state name, and the results file."""

from __future__ import annotations

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
from models.manifest import parse_rows


def make_progress(*statuses: str) -> BatchProgress:
    url = "https://videos.example/v.mp4"
    rows: list[Any] = [
        {"name": f"row {number}", "dataset_video": url, "consent_video": url} if status != INVALID else {}
        for number, status in enumerate(statuses)
    ]
    progress = BatchProgress(parse_rows(rows), started_at=100.0)
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
    assert progress.summary_with_eta(104.0) == (
        "3 of 4 rows finished (2 READY, 1 NOT_STARTED, 1 INVALID); 0.5/s, about 2 s left"
    )
    assert make_progress(PENDING).eta_seconds(200.0) is None
