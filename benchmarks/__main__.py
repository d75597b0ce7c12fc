"""`python -m benchmarks`: measures everything, or what is chosen, and writes its parts of BENCHMARKS.md."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import batch, crowd, ledger, media
from benchmarks.contenders import CONTENDERS, PLAIN_PREFECT
from benchmarks.report import written

PARTS = ("batch", "crowd", "media", "ledger")
LIMIT_SECONDS = 900.0
SMALL = 1000
"""Sizes up to this are measured several times."""


def main(words: Sequence[str]) -> None:
    """Run it. What does not end within --limit is reported as such."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sizes", nargs="+", type=int, default=[100, 1000, 10000])
    parser.add_argument("--runs", type=int, default=3, help="of each contender at each size up to 1,000")
    parser.add_argument("--limit", type=float, default=LIMIT_SECONDS, help="seconds that one run may take")
    parser.add_argument("--crowd", type=int, default=10000)
    parser.add_argument("--rows", type=int, default=ledger.ROWS)
    parser.add_argument("--to", type=Path, default=Path("BENCHMARKS.md"))
    chosen = parser.parse_args(words)
    command = shlex.join(["python", "-m", "benchmarks", *words])

    def write(
        runs: Sequence[batch.Run] = (),
        crowds: Sequence[crowd.Crowd] = (),
        looks: Sequence[media.Look] = (),
        rows: Sequence[ledger.Row] = (),
    ) -> None:
        before = chosen.to.read_text() if chosen.to.exists() else ""
        chosen.to.write_text(written(before, command, runs, crowds, looks, rows))
        print(f"written to {chosen.to}", flush=True)

    if "batch" in chosen.only:
        write(runs=_batches(chosen.sizes, chosen.runs, chosen.limit))
    if "crowd" in chosen.only:
        write(crowds=[crowd.measure(chosen.crowd)])
    if "media" in chosen.only:
        write(looks=media.measure())
    if "ledger" in chosen.only:
        write(rows=ledger.measure(chosen.rows))


def _batches(sizes: Sequence[int], times: int, limit_seconds: float) -> list[batch.Run]:
    """Let the contenders take turns, so that what else the machine does meets all of them."""
    runs: list[batch.Run] = []
    too_slow: set[str] = set()
    for size in sizes:
        for turn in range(times if size <= SMALL else 1):
            for contender in CONTENDERS:
                if contender.name in too_slow or (contender is PLAIN_PREFECT and turn > 0):
                    continue
                run = batch.measure(contender, size, limit_seconds=limit_seconds)
                print(f"{size} by {contender.name}: {run.cost}", flush=True)
                runs.append(run)
                if not run.cost.ended:
                    too_slow.add(contender.name)
    return runs


if __name__ == "__main__":
    main(sys.argv[1:])
