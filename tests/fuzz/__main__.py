"""Fuzzes every target in a process of its own and prints the counts: `python -m tests.fuzz`."""

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

from tests.fuzz.resource_limits import HANG_SIGNALS
from tests.fuzz.targets import TARGET_WEIGHTS
from tests.fuzz.worker import Report

MAX_REPORTED_LINES = 40
GUIDED = "guided"
"""The probe under atheris, with a tenth of all cases in addition. Atheris runs on Linux only."""


class Outcome(NamedTuple):
    """The result of a worker: its report and its failure, if any."""

    name: str
    report: Report
    failure: str | None


def run_worker(name: str, command: list[str], folder: Path) -> Outcome:
    """Run a worker until it exits. It writes its report and its last case to `folder`."""
    folder.mkdir(parents=True)
    completed = subprocess.run(
        [*command, str(folder)], capture_output=True, text=True, errors="replace", check=False
    )
    path = folder / "report"
    report = Report(**json.loads(path.read_text())) if path.exists() else Report()
    if completed.returncode == 0:
        return Outcome(name, report, None)
    if -completed.returncode in HANG_SIGNALS:
        message = "a case hangs"
    elif completed.returncode < 0:
        message = f"a case kills the process: {signal.Signals(-completed.returncode).name}"
    else:
        message = "\n".join((completed.stdout + completed.stderr).splitlines()[:MAX_REPORTED_LINES])
    return Outcome(name, report, f"{name}: {message}\nthe pickled case is in {folder / 'case'}")


def command(name: str, cases: int, seed: int) -> list[str]:
    """Return the command that runs so many cases of a target, without the folder."""
    module = ["tests.fuzz.coverage_guided"] if name == GUIDED else ["tests.fuzz.worker", name]
    return [sys.executable, "-m", *module, str(cases), str(seed)]


def format_summary(outcomes: list[Outcome]) -> str:
    """Format the counts as one line."""
    total = sum(outcome.report.cases for outcome in outcomes)
    counts = ", ".join(f"{outcome.name} {outcome.report.cases:,}" for outcome in outcomes)
    slowest = max(outcome.report.slowest_seconds for outcome in outcomes)
    growth = max(outcome.report.growth_bytes for outcome in outcomes) // 10**6
    failed = sum(outcome.failure is not None for outcome in outcomes)
    extremes = f"slowest {slowest:.2f} s of CPU, growth {growth} MB at most"
    return f"fuzz: {total:,} cases ({counts}); {extremes}; {failed} failed"


def main() -> int:
    """Run the targets that the arguments select, and return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000, help="number of cases, over all targets")
    parser.add_argument("--seed", type=int, default=1, help="seed of the cases")
    parser.add_argument("--jobs", type=int, default=2, help="number of concurrent processes")
    parser.add_argument("--only", choices=[*TARGET_WEIGHTS, GUIDED], help="run one target with all cases")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="avatars-fuzz-"))
    counts = {name: -(-args.cases * percent // 100) for name, (_, percent) in TARGET_WEIGHTS.items()}
    if importlib.util.find_spec("atheris"):
        counts = {GUIDED: -(-args.cases // 10), **counts}
    if args.only:
        counts = {args.only: args.cases}
    with ThreadPoolExecutor(args.jobs) as pool:
        outcomes = list(
            pool.map(
                lambda item: run_worker(item[0], command(item[0], item[1], args.seed), folder / item[0]),
                counts.items(),
            )
        )
    for outcome in outcomes:
        if outcome.failure:
            sys.stderr.write(f"{outcome.failure}\n")
    sys.stdout.write(f"{format_summary(outcomes)}\n")
    is_complete = sum(outcome.report.cases for outcome in outcomes) >= args.cases
    return 0 if is_complete and not any(outcome.failure for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
