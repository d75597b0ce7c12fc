"""The generated page: ratios to the bare implementation of the same run, and parts kept from the previous page."""

from __future__ import annotations

import itertools
from pathlib import Path

from benchmarks.batch import BatchMeasurement
from benchmarks.concurrent_trainings import TrainingLoad
from benchmarks.implementations import ASYNCIO_HTTPX, AVATARS_BATCH, PLAIN_PREFECT, Implementation
from benchmarks.ledger import Row
from benchmarks.media import ProbeMeasurement
from benchmarks.process_metrics import ProcessCost
from benchmarks.report import CONCURRENT_TRAININGS_TITLE, LEDGER_TITLE, render


def measurement(
    implementation: Implementation, wall: float, cpu: float, *, completed: bool = True
) -> BatchMeasurement:
    delays = [0.5] * 98 + [2.0, 9.0]
    return BatchMeasurement(
        implementation,
        100,
        ProcessCost(wall, cpu, 80.0, completed),
        0.0,
        {"POST /avatars": 100},
        delays if completed else [],
    )


def cells(page: str, name: str) -> list[str]:
    """Return the cells of an implementation's row."""
    [line] = [line for line in page.splitlines() if f"| {name} |" in line]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_median_run_is_reported_with_its_ratios() -> None:
    bare = [measurement(ASYNCIO_HTTPX, wall, 1.0) for wall in (30.0, 31.0, 50.0)]
    batch = [measurement(AVATARS_BATCH, wall, 2.0) for wall in (90.0, 34.1, 20.0)]
    page = render("", "the command", [*batch, *bare], [], [], [])
    row = cells(page, AVATARS_BATCH.name)
    assert row == ["100", AVATARS_BATCH.name, "3", "34.1", "1.10", "20.0", "2.00", "80", "100", "0.5, 2.0"]
    assert cells(page, ASYNCIO_HTTPX.name)[3:5] == ["31.0", "1.00"]


def test_run_over_the_time_limit_is_reported_as_timed_out() -> None:
    page = render(
        "",
        "the command",
        [measurement(ASYNCIO_HTTPX, 30.0, 1.0), measurement(PLAIN_PREFECT, 330.0, 9.0, completed=False)],
        [],
        [],
        [],
    )
    assert cells(page, PLAIN_PREFECT.name)[3:] == ["timed out after 330", *["–"] * 6]


def test_part_without_new_measurement_is_kept() -> None:
    before = render(
        "", "first", [measurement(ASYNCIO_HTTPX, 30.0, 1.0)], [TrainingLoad(7, 80.0, 1.5, 2.5, 3, 4)], [], []
    )
    after = render(before, "second", [], [], [], [Row("sqlite", "commit a transition", 10, 20, 1.0, 1.5)])
    trainings, ledger = (after.index(f"## {title}") for title in (CONCURRENT_TRAININGS_TITLE, LEDGER_TITLE))
    assert before.strip() in after
    assert after.count("Measured by `first`") == 2
    assert "Measured by `second`" in after[ledger:]
    assert "| 7 | 80 | 1.5% | 2.5% | 3 | 4 |" in after[trainings:ledger]
    assert "| sqlite | commit a transition | 1.00 (10) | 1.50 (20) | 1.50 |" in after[ledger:]


def test_benchmarks_page_matches_the_generator() -> None:
    page = Path(__file__).parents[2].joinpath("BENCHMARKS.md").read_text()
    assert render(page, "the command", [], [], [], []) == page
    cost = ProcessCost(1.0, 1.0, 1.0, completed=True)
    sample = render(
        "",
        "the command",
        [measurement(ASYNCIO_HTTPX, 30.0, 1.0)],
        [TrainingLoad(7, 80.0, 1.5, 2.5, 3, 4)],
        [ProbeMeasurement("ffprobe URL", cost, 3)],
        [Row("sqlite", "commit a transition", 10, 20, 1.0, 1.5)],
    )
    lines = sample.splitlines()
    fixed = [line for line in lines if not line.startswith(("Measured by", "| ")) or line.startswith("| ---")]
    headers = [line for line, below in itertools.pairwise(lines) if below.startswith("| ---")]
    assert len(headers) == 4
    assert {*fixed, *headers} <= set(page.splitlines())
