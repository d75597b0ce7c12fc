"""The tally of a batch: counts, pace, the name it ends by, and the results file."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest

from models.batch import INVALID, WAITING, WOULD_CREATE, WOULD_REJECT, Tally, results_text
from models.manifest import read_rows
from models.provisioning import Status
from models.reason import Reason


def tally_of(*statuses: str) -> Tally:
    url = "https://videos.example/v.mp4"
    rows: list[Any] = [
        {"name": f"row {number}", "dataset_video": url, "consent_video": url} if status != INVALID else {}
        for number, status in enumerate(statuses)
    ]
    tally = Tally(read_rows(rows), began=100.0)
    for number, status in enumerate(statuses):
        if status not in {WAITING, INVALID}:
            tally.put(number, tally.rows[number].stopped(status, []), settled=True)
    return tally


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
    ],
)
def test_it_ends_by_the_most_frequent_outcome_in_which_a_row_went_wrong(statuses: list[str], name: str) -> None:
    assert tally_of(*statuses).state_name == name


def test_only_ready_rows_make_it_ready_and_a_dry_run_counts_what_would_be_created() -> None:
    assert tally_of("READY", "READY").all_ready
    assert not tally_of("READY", WAITING).all_ready
    assert tally_of("READY", WOULD_CREATE).all_would_go
    assert not tally_of(WOULD_CREATE, WOULD_REJECT).all_would_go


def test_pace_counts_what_was_settled_since_it_began() -> None:
    tally = tally_of("READY", "READY", INVALID, WAITING)
    assert (tally.settled, tally.total) == (3, 4)
    assert tally.rate(104.0) == 0.5
    assert tally.seconds_left(104.0) == 2.0
    assert tally.told_with_pace(104.0) == (
        "3 of 4 rows settled (2 READY, 1 WAITING, 1 INVALID); 0.5/s, about 2 s left"
    )
    assert tally_of(WAITING).seconds_left(200.0) is None


def test_the_results_file_holds_every_row_as_csv_that_no_spreadsheet_runs_and_as_json() -> None:
    tally = tally_of("READY", INVALID)
    named = replace(tally.rows[0], name="=1+1", reasons=[Reason(code="c", message="m")])
    tally.put(0, named)
    rows = list(csv.DictReader(io.StringIO(results_text(tally, as_json=False))))
    assert [(row["line"], row["status"], row["name"]) for row in rows] == [
        ("1", "READY", "'=1+1"),
        ("2", INVALID, ""),
    ]
    assert rows[0]["reasons"] == "c: m"
    documents = json.loads(results_text(tally, as_json=True))
    assert [one["status"] for one in documents] == [Status.READY, INVALID]
    assert set(documents[0]) == {"line", "reference", "name", "status", "id", "avatar_id", "reasons"}
