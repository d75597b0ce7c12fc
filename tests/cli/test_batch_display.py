"""What a terminal shows of a batch: while it runs, and when it has ended."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from cli.batch_display import print_result, render_progress
from models.batch import BatchProgress
from models.manifest.manifest import parse_rows
from models.reason import Reason

URL = "https://videos.example/v.mp4"
BATCH_ID = "11111111-2222-3333-4444-555555555555"


def make_progress(*, is_dry_run: bool = False) -> BatchProgress:
    rows = parse_rows(
        [{"name": f"row {number}", "dataset_video": URL, "consent_video": URL} for number in range(3)]
    )
    batch_id = None if is_dry_run else BATCH_ID
    return BatchProgress(rows, started_at=100.0, is_dry_run=is_dry_run, batch_id=batch_id)


def finish(progress: BatchProgress, number: int, status: str, *codes: str) -> None:
    reasons = [Reason(code=code, message=f"because of {code}", hint="") for code in codes]
    progress.update_row(number, progress.rows[number].with_status(status, reasons), finished=True)


def shown(progress: BatchProgress, now: float) -> str:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, color_system=None, width=120)
    console.print(render_progress(progress, now))
    return terminal.getvalue()


def test_running_batch_shows_time_rate_and_rejected_rows() -> None:
    progress = make_progress()
    finish(progress, 1, "REJECTED", "dataset.too-short")
    text = shown(progress, 110.0)
    assert re.search(r"1 of 3 finished +0:10 elapsed +0.1 rows/s +0:20 left", text)
    assert "because of dataset.too-short" in text


def test_running_and_ended_batch_show_the_limits(capsys: pytest.CaptureFixture[str]) -> None:
    progress = make_progress()
    progress.limits = ["payment: Argil asked for payment (402)", "3 of AVATARS_MAX_CREATES_PER_DAY=5 submissions"]
    for limit in progress.limits:
        assert limit in shown(progress, 110.0)
    progress.ended_at = 130.0
    print_result(progress)
    out = capsys.readouterr().out
    for limit in progress.limits:
        assert limit in out


def test_ended_batch_shows_its_last_state(capsys: pytest.CaptureFixture[str]) -> None:
    progress = make_progress()
    for number, status in enumerate(("READY", "REJECTED", "READY")):
        finish(progress, number, status, *(["dataset.too-short"] if status == "REJECTED" else []))
    progress.ended_at = 130.0
    text = shown(progress, 999.0)
    assert re.search(r"3 of 3 finished +0:30 elapsed +0.1 rows/s", text)
    assert "left" not in text
    assert "because of" not in text  # the result has it
    print_result(progress)
    out = capsys.readouterr().out
    assert "because of dataset.too-short" in out
    assert "3 rows: 2 READY, 1 REJECTED; 0:30 elapsed, 0.1 rows/s" in out
    assert f"`avatars list --batch {BATCH_ID}`" in out


def test_dry_run_is_shown_as_a_check(capsys: pytest.CaptureFixture[str]) -> None:
    progress = make_progress(is_dry_run=True)
    for number in range(3):
        finish(progress, number, "WOULD_CREATE")
    progress.ended_at = 103.0
    assert "3 of 3 checked" in shown(progress, 103.0)
    print_result(progress)
    assert capsys.readouterr().out == (
        "3 rows checked, nothing was sent: 3 WOULD_CREATE; 0:03 elapsed, 1.0 rows/s\n"
    )


@pytest.mark.parametrize("is_dry_run", [True, False])
def test_dry_run_shows_rows_with_warnings(is_dry_run: bool, capsys: pytest.CaptureFixture[str]) -> None:
    progress = make_progress(is_dry_run=is_dry_run)
    warning = Reason(code="dataset.no-audio", message="it has no audio", hint="record it again")
    warned = progress.rows[1].with_warnings([warning])
    progress.update_row(1, warned.with_status("WOULD_CREATE", []), finished=True)
    print_result(progress)
    assert ("it has no audio" in capsys.readouterr().out) is is_dry_run
