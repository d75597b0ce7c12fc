"""Runs one fuzz target in a process of its own, because a case may kill the process."""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.resource_limits import CaseRunner
from tests.fuzz.target import FuzzTarget
from tests.fuzz.targets import TARGET_WEIGHTS

EXAMPLES_PER_ROUND = 500
"""Hypothesis keeps what it drew. A new round frees that memory, so that it does not count as growth."""
MAX_ADDRESS_BYTES = 4 * 1024**3
"""Limit of the address space. A case that allocates more fails without affecting the machine."""


@dataclass
class Report:
    """The counts of a worker so far."""

    cases: int = 0
    slowest_seconds: float = 0.0
    growth_bytes: int = 0


def write_report(folder: Path, runner: CaseRunner) -> None:
    """Write the report for the parent process."""
    report = Report(runner.count, runner.slowest_seconds, runner.growth_bytes)
    (folder / "report").write_text(json.dumps(asdict(report)))


def run(target: FuzzTarget, cases: int, first_seed: int, folder: Path) -> None:
    """Check so many cases of a target, and raise the error of the first one that fails."""
    target.prepare()
    _draw_some(target)
    runner = CaseRunner(folder / "case")
    number = 0
    while runner.count < cases:
        number += 1

        @seed(first_seed * 1_000_003 + number)
        @settings(
            max_examples=min(EXAMPLES_PER_ROUND, cases - runner.count),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(target.cases)
        def run_round(case: object) -> None:
            runner.run(target.check, case)

        try:
            run_round()
        finally:
            write_report(folder, runner)


def _draw_some(target: FuzzTarget) -> None:
    """Draw some cases, to make Hypothesis load its character tables."""

    @settings(
        max_examples=100,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @seed(0)
    @given(target.cases)
    def draw(_case: object) -> None:
        pass

    draw()


def main() -> None:
    """Run the target that the arguments select."""
    name, cases, first_seed, folder = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_BYTES, MAX_ADDRESS_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    run(TARGET_WEIGHTS[name][0], int(cases), int(first_seed), Path(folder))


if __name__ == "__main__":
    main()
