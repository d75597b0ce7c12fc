"""The generated page: ratios to the bare implementation of the same run, and parts kept from the previous page."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

from benchmarks.api_runs import ApiRunsMeasurement
from benchmarks.batch import BatchMeasurement
from benchmarks.concurrent_trainings import TrainingLoad
from benchmarks.implementations import ASYNCIO_HTTPX, AVATARS_BATCH, PLAIN_PREFECT, Implementation
from benchmarks.ledger import Row
from benchmarks.media import ProbeMeasurement
from benchmarks.process_metrics import ProcessCost
from benchmarks.reconcile import BARE, LIST_ROUTE, RECONCILE, ReconcileMeasurement
from benchmarks.report import CONCURRENT_TRAININGS_TITLE, LEDGER_TITLE, Measurements, render
from benchmarks.run_services import AVATARS_UP, PREFECT_SERVE


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
    page = render("", "the command", Measurements(batches=[*batch, *bare]))
    row = cells(page, AVATARS_BATCH.name)
    assert row == ["100", AVATARS_BATCH.name, "3", "34.1", "1.10", "20.0", "2.00", "80", "100", "0.5, 2.0"]
    assert cells(page, ASYNCIO_HTTPX.name)[3:5] == ["31.0", "1.00"]


def test_run_over_the_time_limit_is_reported_as_timed_out() -> None:
    page = render(
        "",
        "the command",
        Measurements(
            batches=[
                measurement(ASYNCIO_HTTPX, 30.0, 1.0),
                measurement(PLAIN_PREFECT, 330.0, 9.0, completed=False),
            ]
        ),
    )
    assert cells(page, PLAIN_PREFECT.name)[3:] == ["timed out after 330", *["–"] * 6]


def test_pass_is_reported_with_its_ratios_and_requests() -> None:
    def one(name: str, ended: int, cpu: float, megabytes: float, **requests: int) -> ReconcileMeasurement:
        counts = Counter({LIST_ROUTE: 1, "GET /avatars/{id}": requests.get("gets", 0), "GET /voices": 1})
        cost = ProcessCost(2.0, cpu, megabytes, completed=True)
        return ReconcileMeasurement(name, 1_000, ended, cost, ended, counts)

    passes = [one(BARE, 0, 0.5, 40.0), one(RECONCILE, 0, 1.0, 80.0), one(RECONCILE, 20, 9.0, 90.0, gets=3)]
    page = render("", "the command", Measurements(reconcile=passes))
    with_news = [line for line in page.splitlines() if line.startswith("| 1,000 | 20 |")]
    without_news = [line for line in page.splitlines() if f"| 0 | {RECONCILE} |" in line]
    assert without_news == [f"| 1,000 | 0 | {RECONCILE} | 0 | 2.0 | 1.0 | 2.00 | 80 | 2.00 | 1 | 0 | 1 |"]
    assert with_news == [f"| 1,000 | 20 | {RECONCILE} | 20 | 2.0 | 9.0 | 1.00 | 90 | 1.00 | 1 | 3 | 1 |"]


def test_runs_over_the_api_are_compared_with_plain_prefect() -> None:
    measured = [
        ApiRunsMeasurement(AVATARS_UP.name, 10, 2.0, 60.0, 600.0, 40, completed=True),
        ApiRunsMeasurement(PREFECT_SERVE.name, 10, 2.0, 80.0, 1600.0, 90, completed=True),
        ApiRunsMeasurement(AVATARS_UP.name, 300, 60.0, 200.0, 650.0, 900, completed=True),
        ApiRunsMeasurement(PREFECT_SERVE.name, 300, 60.0, 330.0, 5000.0, 900, completed=False),
    ]
    page = render("", "the command", Measurements(api=measured))
    lines = [line for line in page.splitlines() if line.startswith(("| 10 |", "| 300 |"))]
    assert lines == [
        f"| 10 | {AVATARS_UP.name} | 2 | 60 | 0.75 | 600 | 40 |",
        f"| 10 | {PREFECT_SERVE.name} | 2 | 80 | 1.00 | 1600 | 90 |",
        f"| 300 | {AVATARS_UP.name} | 60 | 200 | – | 650 | 900 |",
        f"| 300 | {PREFECT_SERVE.name} | – | timed out after 330 | – | – | – |",
    ]


def test_part_without_new_measurement_is_kept() -> None:
    first = Measurements(
        batches=[measurement(ASYNCIO_HTTPX, 30.0, 1.0)], trainings=[TrainingLoad(7, 80.0, 1.5, 2.5, 3, 4)]
    )
    before = render("", "first", first)
    second = Measurements(ledger=[Row("sqlite", "commit a transition", 10, 20, 1.0, 1.5)])
    after = render(before, "second", second)
    trainings, ledger = (after.index(f"## {title}") for title in (CONCURRENT_TRAININGS_TITLE, LEDGER_TITLE))
    assert before.strip() in after
    assert after.count("Measured by `first`") == 2
    assert "Measured by `second`" in after[ledger:]
    assert "| 7 | 80 | 1.5% | 2.5% | 3 | 4 |" in after[trainings:ledger]
    assert "| sqlite | commit a transition | 1.00 (10) | 1.50 (20) | 1.50 |" in after[ledger:]


def test_benchmarks_page_matches_the_generator() -> None:
    page = Path(__file__).parents[2].joinpath("BENCHMARKS.md").read_text()
    assert render(page, "the command", Measurements()) == page
    cost = ProcessCost(1.0, 1.0, 1.0, completed=True)
    sample = render(
        "",
        "the command",
        Measurements(
            batches=[measurement(ASYNCIO_HTTPX, 30.0, 1.0)],
            trainings=[TrainingLoad(7, 80.0, 1.5, 2.5, 3, 4)],
            probes=[ProbeMeasurement("ffprobe URL", cost, 3)],
            ledger=[Row("sqlite", "commit a transition", 10, 20, 1.0, 1.5)],
            reconcile=[ReconcileMeasurement(BARE, 10, 0, cost, 0, Counter({LIST_ROUTE: 1}))],
            api=[ApiRunsMeasurement(AVATARS_UP.name, 10, 2.0, 60.0, 600.0, 40, completed=True)],
        ),
    )
    lines = sample.splitlines()
    fixed = [line for line in lines if not line.startswith(("Measured by", "| ")) or line.startswith("| ---")]
    headers = [line for line, below in itertools.pairwise(lines) if below.startswith("| ---")]
    assert len(headers) == 6
    assert {*fixed, *headers} <= set(page.splitlines())
