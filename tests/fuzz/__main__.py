"""Fuzzes every kind of input, each in a process of its own, and tells the counts: `python -m tests.fuzz`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.all_kinds import SHARES
from tests.fuzz.child import Report

TOLD_LINES = 40
GUIDED = "guided"
"""The probe under atheris, with a tenth more cases than the others have in all; atheris runs on Linux alone."""


class Outcome(NamedTuple):
    """How a child ended: what it did, and what it failed of, None where it did not."""

    name: str
    report: Report
    failure: str | None


def run_child(name: str, command: list[str], folder: Path) -> Outcome:
    """Run a child to its end; `folder` keeps its report and its last case."""
    folder.mkdir(parents=True)
    full = [*command, str(folder)]
    done = subprocess.run(full, capture_output=True, text=True, errors="replace", check=False)
    told = folder / "report"
    report = Report(**json.loads(told.read_text())) if told.exists() else Report()
    if done.returncode == 0:
        return Outcome(name, report, None)
    if done.returncode == -signal.SIGPROF:
        why = "a case hangs"
    elif done.returncode < 0:
        why = f"a case kills the process: {signal.Signals(-done.returncode).name}"
    else:
        why = "\n".join((done.stdout + done.stderr).splitlines()[:TOLD_LINES])
    return Outcome(name, report, f"{name}: {why}\nthe case is kept, pickled, in {folder / 'case'}")


def command(name: str, cases: int, seed: int) -> list[str]:
    """Return what runs so many cases of a kind, but for the folder."""
    module = ["tests.fuzz.guided"] if name == GUIDED else ["tests.fuzz.child", name]
    return [sys.executable, "-m", *module, str(cases), str(seed)]


def told(outcomes: list[Outcome]) -> str:
    """Return the counts in one line."""
    total = sum(outcome.report.cases for outcome in outcomes)
    each = ", ".join(f"{outcome.name} {outcome.report.cases:,}" for outcome in outcomes)
    slowest = max(outcome.report.slowest_seconds for outcome in outcomes)
    growth = max(outcome.report.growth_bytes for outcome in outcomes) // 10**6
    failed = sum(outcome.failure is not None for outcome in outcomes)
    worst = f"slowest {slowest:.2f} s of CPU, growth {growth} MB at most"
    return f"fuzz: {total:,} cases ({each}); {worst}; {failed} failed"


def main() -> int:
    """Run what the arguments say; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000, help="how many, over all kinds")
    parser.add_argument("--seed", type=int, default=1, help="which cases")
    parser.add_argument("--jobs", type=int, default=2, help="how many processes at once")
    parser.add_argument("--only", choices=[*SHARES, GUIDED], help="one kind alone, with all the cases")
    wanted = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="avatars-fuzz-"))
    counts = {name: -(-wanted.cases * percent // 100) for name, (_, percent) in SHARES.items()}
    if importlib.util.find_spec("atheris"):
        counts = {GUIDED: -(-wanted.cases // 10), **counts}
    if wanted.only:
        counts = {wanted.only: wanted.cases}
    with ThreadPoolExecutor(wanted.jobs) as pool:
        outcomes = list(
            pool.map(
                lambda one: run_child(one[0], command(one[0], one[1], wanted.seed), folder / one[0]),
                counts.items(),
            )
        )
    for outcome in outcomes:
        if outcome.failure:
            sys.stderr.write(f"{outcome.failure}\n")
    sys.stdout.write(f"{told(outcomes)}\n")
    enough = sum(outcome.report.cases for outcome in outcomes) >= wanted.cases
    return 0 if enough and not any(outcome.failure for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
