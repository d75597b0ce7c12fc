"""What the long form tells, and that too little chaos does not pass for enough."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.counts import LEAST_CRASH_POINTS, LEAST_KILLS, Counts

ROOT = Path(__file__).parents[2]


def test_the_least_of_both_with_nothing_broken_is_enough() -> None:
    counts = Counts(crash_points=LEAST_CRASH_POINTS, kills=LEAST_KILLS)
    assert counts.missing == []
    assert counts.told == "crash points 1000, kills 30, lost 0, duplicated 0"


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (Counts(LEAST_CRASH_POINTS - 1, LEAST_KILLS), "1000 crash points are the least"),
        (Counts(LEAST_CRASH_POINTS, LEAST_KILLS - 1), "30 kills are the least"),
        (Counts(LEAST_CRASH_POINTS, LEAST_KILLS, lost=1), "nothing may be lost"),
        (Counts(LEAST_CRASH_POINTS, LEAST_KILLS, duplicated=1), "nothing may be duplicated"),
    ],
)
def test_anything_less_is_told_in_words(counts: Counts, words: str) -> None:
    assert counts.missing == [words]


def test_kills_are_told_where_there_were_none() -> None:
    assert Counts().told == "crash points 0, kills 0, lost 0, duplicated 0"


def test_the_long_form_adds_up_over_its_workers_and_fails_where_that_is_not_enough(tmp_path: Path) -> None:
    for name, counted in {
        "points": Counts(LEAST_CRASH_POINTS),
        "kills": Counts(0, LEAST_KILLS - 1, lost=1),
    }.items():
        (tmp_path / f"test_{name}.py").write_text(
            f"from tests.chaos.counts import Counts\n\ndef test_of_them(counts):\n    counts.add({counted!r})\n"
        )
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "tests.chaos.conftest", "-n", "2", tmp_path],
        cwd=tmp_path,
        env={
            **own,
            "AVATARS_CHAOS": "long",
            "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # others take seconds to import
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "2 passed" in done.stdout
    assert "crash points 1000, kills 29, lost 1, duplicated 0" in done.stdout
    assert "chaos failed: 30 kills are the least; nothing may be lost" in done.stdout
