"""One kind of input in a process of its own, which may die of a case."""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.all_kinds import SHARES
from tests.fuzz.kinds import Kind
from tests.fuzz.limits import Watch

ROUND = 500
"""Hypothesis remembers what it drew: a new round forgets it, and what it held is not taken for a leak of ours."""
MAX_ADDRESS_BYTES = 4 * 1024**3
"""Of address space: a case that wants all of the machine fails by itself."""


@dataclass
class Report:
    """What a child did, so far."""

    cases: int = 0
    slowest_seconds: float = 0.0
    growth_bytes: int = 0


def write_report(folder: Path, watch: Watch) -> None:
    """Leave the report for who started this process."""
    report = Report(watch.count, watch.slowest_seconds, watch.growth_bytes)
    (folder / "report").write_text(json.dumps(asdict(report)))


def run(kind: Kind, cases: int, first_seed: int, folder: Path) -> None:
    """Check so many cases of a kind. Raises what the first one raises that fails."""
    kind.prepare()
    _draw_some(kind)
    watch = Watch(folder / "case")
    number = 0
    while watch.count < cases:
        number += 1

        @seed(first_seed * 1_000_003 + number)
        @settings(
            max_examples=min(ROUND, cases - watch.count),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(kind.cases)
        def one_round(case: object) -> None:
            watch.run(kind.check, case)

        try:
            one_round()
        finally:
            write_report(folder, watch)


def _draw_some(kind: Kind) -> None:
    """Let Hypothesis load its tables of characters."""

    @settings(
        max_examples=100,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @seed(0)
    @given(kind.cases)
    def draw(_case: object) -> None:
        pass

    draw()


def main() -> None:
    """Run what the arguments say."""
    name, cases, first_seed, folder = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_BYTES, MAX_ADDRESS_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    run(SHARES[name][0], int(cases), int(first_seed), Path(folder))


if __name__ == "__main__":
    main()
