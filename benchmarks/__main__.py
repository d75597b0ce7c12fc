"""`python -m benchmarks`: runs all benchmarks, or the selected parts, and updates BENCHMARKS.md."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import api_runs, batch, concurrent_trainings, ledger, media, reconcile
from benchmarks.implementations import IMPLEMENTATIONS, PLAIN_PREFECT
from benchmarks.report import Measurements, render
from benchmarks.run_services import RUN_IMPLEMENTATIONS

PARTS = ("batch", "trainings", "media", "ledger", "reconcile", "api")
LIMIT_SECONDS = 900.0
MAX_REPEATED_SIZE = 1000
"""Batches up to this size are measured several times."""


def main(args: Sequence[str]) -> None:
    """Run the benchmarks. A run that exceeds --limit-seconds is reported as timed out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sizes", nargs="+", type=int, default=[100, 1000, 10000])
    parser.add_argument("--runs", type=int, default=3, help="per implementation and batch size up to 1,000")
    parser.add_argument("--limit-seconds", type=float, default=LIMIT_SECONDS, help="time limit of one run")
    parser.add_argument("--trainings", type=int, default=10000, help="number of concurrent trainings")
    parser.add_argument("--rows", type=int, default=ledger.ROWS, help="provisionings in the large ledger")
    parser.add_argument("--in-flight", type=int, default=reconcile.IN_FLIGHT, help="trainings to reconcile")
    parser.add_argument("--ended", type=int, default=reconcile.ENDED, help="trainings that end between two passes")
    parser.add_argument("--api-runs", nargs="+", type=int, default=api_runs.RUNS, help="runs over the Prefect API")
    parser.add_argument("--output", type=Path, default=Path("BENCHMARKS.md"))
    options = parser.parse_args(args)
    command = shlex.join(["python", "-m", "benchmarks", *args])

    def write(measurements: Measurements) -> None:
        before = options.output.read_text() if options.output.exists() else ""
        options.output.write_text(render(before, command, measurements))
        print(f"written to {options.output}", flush=True)

    if "batch" in options.only:
        write(Measurements(batches=_batches(options.sizes, options.runs, options.limit_seconds)))
    if "trainings" in options.only:
        write(Measurements(trainings=[concurrent_trainings.measure(options.trainings)]))
    if "media" in options.only:
        write(Measurements(probes=media.measure()))
    if "ledger" in options.only:
        write(Measurements(ledger=ledger.measure(options.rows)))
    if "reconcile" in options.only:
        passes = reconcile.measure(options.in_flight, options.ended, limit_seconds=options.limit_seconds)
        write(Measurements(reconcile=passes))
    if "api" in options.only:
        write(Measurements(api=_api_runs(options.api_runs, options.limit_seconds)))


def _batches(sizes: Sequence[int], repetitions: int, limit_seconds: float) -> list[batch.BatchMeasurement]:
    """Alternate between the implementations, so that other load on the machine affects all of them."""
    runs: list[batch.BatchMeasurement] = []
    too_slow: set[str] = set()
    for size in sizes:
        for repetition in range(repetitions if size <= MAX_REPEATED_SIZE else 1):
            for implementation in IMPLEMENTATIONS:
                if implementation.name in too_slow or (implementation is PLAIN_PREFECT and repetition > 0):
                    continue
                run = batch.measure(implementation, size, limit_seconds=limit_seconds)
                print(f"{size} avatars, {implementation.name}: {run.cost}", flush=True)
                runs.append(run)
                if not run.cost.completed:
                    too_slow.add(implementation.name)
    return runs


def _api_runs(sizes: Sequence[int], limit_seconds: float) -> list[api_runs.ApiRunsMeasurement]:
    """Measure each implementation with each number of runs; one that timed out gets no larger number."""
    measured: list[api_runs.ApiRunsMeasurement] = []
    too_slow: set[str] = set()
    for runs in sorted(sizes):
        for implementation in RUN_IMPLEMENTATIONS:
            if implementation.name in too_slow:
                continue
            measurement = api_runs.measure(implementation, runs, limit_seconds=limit_seconds)
            print(measurement, flush=True)
            measured.append(measurement)
            if not measurement.completed:
                too_slow.add(implementation.name)
    return measured


if __name__ == "__main__":
    main(sys.argv[1:])
