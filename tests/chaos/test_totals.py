"""The totals: their summary, and the minimum that a long run must reach."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.totals import MIN_CRASH_POINTS, MIN_KILLS, ChaosTotals

ROOT = Path(__file__).parents[2]


def test_minimum_totals_are_enough() -> None:
    totals = ChaosTotals(crash_points=MIN_CRASH_POINTS, kills=MIN_KILLS)
    assert totals.shortfalls == []
    assert totals.summary == "crash points 1000, kills 30, lost 0, duplicated 0"


@pytest.mark.parametrize(
    ("totals", "message"),
    [
        (ChaosTotals(MIN_CRASH_POINTS - 1, MIN_KILLS), "at least 1000 crash points are required"),
        (ChaosTotals(MIN_CRASH_POINTS, MIN_KILLS - 1), "at least 30 kills are required"),
        (ChaosTotals(MIN_CRASH_POINTS, MIN_KILLS, lost=1), "avatars were lost"),
        (ChaosTotals(MIN_CRASH_POINTS, MIN_KILLS, duplicated=1), "avatars were duplicated"),
    ],
)
def test_shortfall_is_reported(totals: ChaosTotals, message: str) -> None:
    assert totals.shortfalls == [message]


def test_summary_includes_zero_counts() -> None:
    assert ChaosTotals().summary == "crash points 0, kills 0, lost 0, duplicated 0"


def test_long_run_adds_workers_and_fails_on_shortfall(tmp_path: Path) -> None:
    for name, totals in {
        "points": ChaosTotals(MIN_CRASH_POINTS),
        "kills": ChaosTotals(0, MIN_KILLS - 1, lost=1),
    }.items():
        (tmp_path / f"test_{name}.py").write_text(
            f"from tests.chaos.totals import ChaosTotals\n\ndef test_totals(totals):\n    totals.add({totals!r})\n"
        )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    completed = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "tests.chaos.conftest", "-n", "2", tmp_path],
        cwd=tmp_path,
        env={
            **environment,
            "AVATARS_CHAOS": "long",
            "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # other plugins take seconds to import
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == pytest.ExitCode.TESTS_FAILED, completed.stdout
    assert "2 passed" in completed.stdout
    assert "crash points 1000, kills 29, lost 1, duplicated 0" in completed.stdout
    assert "chaos failed: at least 30 kills are required; avatars were lost" in completed.stdout
