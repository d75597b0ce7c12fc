"""Provisions a batch of avatars, from the create request to the recorded status, with one implementation."""

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

from benchmarks.implementations import Implementation, Workload
from benchmarks.process_metrics import ProcessCost, cpu_seconds_of, measure_command, pinned_to_core
from benchmarks.simulator_process import SERVER_CORE, WORKLOAD_CORE, run_simulator
from deployments.embedded.prefect_connection import embedded_database_settings
from deployments.embedded.prefect_server import prefect_server

TRAINING_SECONDS = 30.0
WARM_UP = "import prefect; prefect.flow(lambda: None, name='warm-up')()"
"""Runs one flow before the measurement: a Prefect server is slow right after its start."""
PERCENTILE = 99


@dataclass(frozen=True)
class BatchMeasurement:
    """One run of one implementation with `count` avatars."""

    implementation: Implementation
    count: int
    cost: ProcessCost
    server_cpu_seconds: float
    """CPU of the Prefect server during the run, if the implementation uses one."""
    requests: dict[str, int]
    detection_delays: list[float]
    """Per avatar: seconds from the end of its training to the detection. Sorted."""

    @property
    def cpu_milliseconds_per_avatar(self) -> float:
        """CPU per avatar."""
        return 1000 * self.cost.cpu_seconds / self.count

    @property
    def delay_p99(self) -> float:
        """The 99th percentile of the detection delays, in seconds."""
        return self.detection_delays[max(len(self.detection_delays) * PERCENTILE // 100 - 1, 0)]

    @property
    def delay_median(self) -> float:
        """The median of the detection delays, in seconds."""
        return statistics.median(self.detection_delays)


def measure(implementation: Implementation, count: int, *, limit_seconds: float) -> BatchMeasurement:
    """Run an implementation against a new simulator.

    Raises:
        CommandFailed: The command ended with an error.
        RuntimeError: Avatars are missing, at the simulator or in the output.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        with run_simulator(TRAINING_SECONDS, folder) as simulator, pinned_to_core(WORKLOAD_CORE):
            workload = Workload(simulator, count, folder)
            args = implementation.command(workload)
            with prefect_server_for(implementation, folder) as (server, settings):
                before = cpu_seconds_of(server) if server else 0.0
                cost = measure_command(
                    args, {**implementation.settings(workload), **settings}, folder, limit_seconds=limit_seconds
                )
                after = cpu_seconds_of(server) if server else 0.0
            requests, completed = simulator.requests(), simulator.completion_times()
        delays: list[float] = []
        if cost.completed:
            detected = implementation.detection_times(workload)
            if not detected.keys() == completed.keys() or len(completed) != count:
                raise RuntimeError(
                    f"{implementation.name}: {len(completed)} of {count} avatars created, {len(detected)} detected"
                )
            delays = sorted(detected[avatar_id] - completed[avatar_id] for avatar_id in completed)
    return BatchMeasurement(implementation, count, cost, after - before, requests, delays)


@contextlib.contextmanager
def prefect_server_for(implementation: Implementation, folder: Path) -> Iterator[tuple[int | None, dict[str, str]]]:
    """Run a Prefect server if the implementation needs one: every deployment has a running server."""
    if not implementation.uses_prefect:
        yield None, {}
        return
    home = folder / "prefect"
    with contextlib.ExitStack() as stack:
        with pinned_to_core(SERVER_CORE):
            server = stack.enter_context(prefect_server(home, database=embedded_database_settings(home)))
        settings = {"PREFECT_API_URL": server.url, "PREFECT_HOME": str(home)}
        subprocess.run(
            [sys.executable, "-c", WARM_UP], env={**os.environ, **settings}, check=True, capture_output=True
        )
        yield server.process.pid, settings


def median_of(runs: Sequence[BatchMeasurement]) -> BatchMeasurement:
    """Return the run with the median wall time."""
    return sorted(runs, key=lambda run: run.cost.wall_seconds)[(len(runs) - 1) // 2]
