"""The workers of the long fuzz run (`make fuzz`) detect every kind of failure."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import __main__ as long_run

ROOT = Path(__file__).parents[2]
# Runs in a worker process, because these failures would kill pytest.
FAILING_WORKER = """
import os, resource, signal, sys, time
from pathlib import Path
from hypothesis import strategies as st
from tests.fuzz import resource_limits, worker
from tests.fuzz.target import FuzzTarget
resource_limits.MAX_SECONDS = 0.05 if sys.argv[1].startswith("slow") else 30
resource_limits.HANG_SECONDS = 0.2 if sys.argv[1] == "hang" else 20
resource_limits.HANG_WALL_SECONDS = 0.2 if sys.argv[1] == "wait" else 600
def spin():
    while True: pass
def grow(keep=[]):
    keep.append(b"x" * (resource_limits.MAX_GROWTH_BYTES + 50_000_000))
def slow():
    started_at = time.process_time()
    while time.process_time() - started_at < 0.1: pass
def slow_once(runs=[]):
    runs.append(None)
    if len(runs) == 1: slow()
failures = {"crash": os.abort, "hang": spin, "wait": signal.pause, "grow": grow, "slow": slow}
failures |= {"raise": lambda: 1 / 0, "none": lambda: None, "slow-once": slow_once}
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
worker.run(FuzzTarget("k", st.integers(), lambda case: failures[sys.argv[1]]()), 20, 1, Path(sys.argv[2]))
"""

pytestmark = pytest.mark.system  # each test starts processes


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ("crash", "a case kills the process: SIGABRT"),
        ("hang", "a case hangs"),
        ("wait", "a case hangs"),
        ("grow", "TooLarge"),
        ("slow", "TooSlow"),
        ("raise", "ZeroDivisionError"),
    ],
)
def test_worker_failure_is_reported_with_its_case(failure: str, message: str, tmp_path: Path) -> None:
    outcome = long_run.run_worker("k", [sys.executable, "-c", FAILING_WORKER, failure], tmp_path / "k")
    assert outcome.failure is not None
    assert message in outcome.failure
    assert isinstance(pickle.loads((tmp_path / "k" / "case").read_bytes()), int)  # noqa: S301  # written by our own worker


def test_case_that_is_slow_once_is_not_a_failure(tmp_path: Path) -> None:
    outcome = long_run.run_worker("k", [sys.executable, "-c", FAILING_WORKER, "slow-once"], tmp_path / "k")
    assert outcome.failure is None
    assert outcome.report.cases == 20


def test_worker_without_failure_reports_counts(tmp_path: Path) -> None:
    outcome = long_run.run_worker("k", [sys.executable, "-c", FAILING_WORKER, "none"], tmp_path / "k")
    assert outcome.failure is None
    assert outcome.report.cases == 20
    assert long_run.format_summary([outcome]).startswith("fuzz: 20 cases (k 20); slowest 0.0")


def test_long_run_reports_counts(tmp_path: Path) -> None:
    completed = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--cases", "20", "--only", "probe"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    assert "fuzz: 20 cases (probe 20); " in completed.stdout


def test_worker_does_not_import_prefect() -> None:
    """Prefect alone takes 100 MB, which would hide memory growth."""
    code = "import sys, tests.fuzz.worker; sys.exit('prefect' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
