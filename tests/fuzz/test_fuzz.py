"""The short form of the fuzzing, and that the long one (`make fuzz`) would notice a fault of each kind."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.fuzz import __main__ as long_form
from tests.fuzz.all_kinds import SHARES

ROOT = Path(__file__).parents[2]
SHORT = 40
# A child's own: what it dies of must not be seen by pytest.
DYING = """
import os, resource, sys, time
from pathlib import Path
from hypothesis import strategies as st
from tests.fuzz import child, limits
from tests.fuzz.kinds import Kind
limits.MAX_SECONDS = 0.05 if sys.argv[1] == "slow" else 30
limits.HANG_SECONDS = 0.2 if sys.argv[1] == "hang" else 20
def spin():
    while True: pass
def grow(keep=[]):
    keep.append(b"x" * (limits.MAX_GROWTH_BYTES + 50_000_000))
def slow():
    began = time.process_time()
    while time.process_time() - began < 0.1: pass
ways = {"crash": os.abort, "hang": spin, "grow": grow, "slow": slow, "raise": lambda: 1 / 0, "none": lambda: None}
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
child.run(Kind("k", st.integers(), lambda case: ways[sys.argv[1]]()), 20, 1, Path(sys.argv[2]))
"""


@pytest.mark.parametrize("name", SHARES)
def test_whatever_comes_is_a_value_or_our_own_error(name: str) -> None:
    kind, _ = SHARES[name]

    @seed(7)
    @settings(max_examples=SHORT, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(kind.cases)
    def check(case: object) -> None:
        kind.check(case)

    check()


def test_the_shares_make_up_the_whole() -> None:
    assert sum(percent for _, percent in SHARES.values()) == 100


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("crash", "a case kills the process: SIGABRT"),
        ("hang", "a case hangs"),
        ("grow", "TooLarge"),
        ("slow", "TooSlow"),
        ("raise", "ZeroDivisionError"),
    ],
)
def test_a_child_that_fails_is_told_of_with_its_case(way: str, words: str, tmp_path: Path) -> None:
    outcome = long_form.run_child("k", [sys.executable, "-c", DYING, way], tmp_path / "k")
    assert outcome.failure is not None
    assert words in outcome.failure
    assert isinstance(pickle.loads((tmp_path / "k" / "case").read_bytes()), int)  # noqa: S301  # our own child's


def test_a_child_without_a_fault_tells_its_counts(tmp_path: Path) -> None:
    outcome = long_form.run_child("k", [sys.executable, "-c", DYING, "none"], tmp_path / "k")
    assert outcome.failure is None
    assert outcome.report.cases == 20
    assert long_form.told([outcome]).startswith("fuzz: 20 cases (k 20); slowest 0.0")


def test_the_long_form_tells_its_counts(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--cases", "20", "--only", "probe"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "fuzz: 20 cases (probe 20); " in done.stdout


def test_a_child_holds_nothing_but_what_it_needs() -> None:
    """Prefect alone would take 100 MB: growth would hide in it."""
    code = "import sys, tests.fuzz.child; sys.exit('prefect' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
