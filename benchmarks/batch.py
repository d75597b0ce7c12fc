"""The batch: so many avatars from the create to the recorded end, by each contender at each size."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import Contender, Task
from benchmarks.measuring import Cost, cost_of, cpu_seconds_of, on_core
from benchmarks.world import CORE, OTHER_CORE, world
from deployments.prefect_access import embedded_database
from deployments.prefect_server import prefect_server

TRAINING_SECONDS = 30.0
WARM_UP = "import prefect; prefect.flow(lambda: None, name='warm-up')()"
"""A flow run before the measured one: a server that has just started is slow at first."""
PERCENT_NOTICED = 99


@dataclass(frozen=True)
class Run:
    """One contender, once, at one size."""

    contender: Contender
    count: int
    cost: Cost
    server_cpu_seconds: float
    """Of the Prefect server meanwhile, where the contender uses one."""
    requests: dict[str, int]
    late_seconds: list[float]
    """For each avatar that was noticed: how long after the end of its training. Sorted."""

    @property
    def cpu_milliseconds_each(self) -> float:
        """CPU an avatar."""
        return 1000 * self.cost.cpu_seconds / self.count

    @property
    def late_p99(self) -> float:
        """The delay that all but one in a hundred stay below."""
        return self.late_seconds[max(len(self.late_seconds) * PERCENT_NOTICED // 100 - 1, 0)]

    @property
    def late_median(self) -> float:
        """The median delay."""
        return statistics.median(self.late_seconds)


def measure(contender: Contender, count: int, *, limit_seconds: float) -> Run:
    """Have a contender do the job in a fresh world. Raises CommandFailed, also where avatars are missing."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        with world(TRAINING_SECONDS, folder) as around, on_core(OTHER_CORE):
            task = Task(around, count, folder)
            words = contender.words(task)
            with prefect_for(contender, folder) as (server, settings):
                before = cpu_seconds_of(server) if server else 0.0
                cost = cost_of(words, {**contender.settings(task), **settings}, folder, limit_seconds=limit_seconds)
                after = cpu_seconds_of(server) if server else 0.0
            requests, ends = around.requests(), around.ends()
        late: list[float] = []
        if cost.ended:
            noticed = contender.noticed(task)
            if not noticed.keys() == ends.keys() or len(ends) != count:
                raise RuntimeError(
                    f"{contender.name}: of {count} avatars {len(ends)} were made, {len(noticed)} seen"
                )
            late = sorted(noticed[one] - ends[one] for one in ends)
    return Run(contender, count, cost, after - before, requests, late)


@contextlib.contextmanager
def prefect_for(contender: Contender, folder: Path) -> Iterator[tuple[int | None, dict[str, str]]]:
    """Run a Prefect server for who needs one, as every deployment has one running already."""
    if not contender.uses_prefect:
        yield None, {}
        return
    home = folder / "prefect"
    with contextlib.ExitStack() as stack:
        with on_core(CORE):
            server = stack.enter_context(prefect_server(home, database=embedded_database(home)))
        settings = {"PREFECT_API_URL": server.url, "PREFECT_HOME": str(home)}
        subprocess.run(
            [sys.executable, "-c", WARM_UP], env={**os.environ, **settings}, check=True, capture_output=True
        )
        yield server.process.pid, settings


def median_of(runs: Sequence[Run]) -> Run:
    """Return the run with the median wall time."""
    return sorted(runs, key=lambda run: run.cost.wall_seconds)[(len(runs) - 1) // 2]
