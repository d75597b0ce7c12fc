"""Monitors thousands of trainings in one process: memory, CPU between ticks, and requests to Argil."""

from __future__ import annotations

import os
import signal
import sqlite3
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.batch import prefect_server_for
from benchmarks.implementations import AVATARS_BATCH, Workload
from benchmarks.process_metrics import cpu_seconds_of, megabytes_of, pinned_to_core
from benchmarks.simulator_process import WORKLOAD_CORE, run_simulator

TRAINING_SECONDS = 7200.0
OBSERVATION_SECONDS = 120
START_TIMEOUT_SECONDS = 1200.0


@dataclass(frozen=True)
class TrainingLoad:
    """The cost of one process with `count` avatars in training, over OBSERVATION_SECONDS."""

    count: int
    megabytes: float
    idle_percent: float
    """CPU of one core in the median second; most seconds contain no tick."""
    mean_percent: float
    list_calls: int
    gets: int


def measure(count: int) -> TrainingLoad:
    """Start `count` trainings with `avatars batch`, measure the process, and kill it. Raises TimeoutError."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        with run_simulator(TRAINING_SECONDS, folder) as simulator, pinned_to_core(WORKLOAD_CORE):
            workload = Workload(simulator, count, folder)
            args = AVATARS_BATCH.command(workload)
            with (
                prefect_server_for(AVATARS_BATCH, folder) as (_, settings),
                (folder / "output.txt").open("wb") as output,
            ):
                environment = {**os.environ, **AVATARS_BATCH.settings(workload), **settings}
                process = subprocess.Popen(args, env=environment, stdout=output, stderr=output)
                try:
                    _wait_until_training(folder / "ledger.db", count)
                    before = simulator.requests()
                    seconds = _sample_cpu(process.pid)
                    after = simulator.requests()
                    megabytes = megabytes_of(process.pid)
                finally:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
    return TrainingLoad(
        count,
        megabytes,
        100 * statistics.median(seconds),
        100 * statistics.fmean(seconds),
        after.get("GET /avatars", 0) - before.get("GET /avatars", 0),
        after.get("GET /avatars/{id}", 0) - before.get("GET /avatars/{id}", 0),
    )


def _wait_until_training(ledger: Path, count: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    in_training = 0
    while in_training < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{in_training} of {count} were in training after {START_TIMEOUT_SECONDS:g} s")
        time.sleep(1)
        if ledger.exists():
            with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as connection:
                query = "SELECT count(*) FROM provisionings WHERE status = 'TRAINING'"
                try:
                    in_training = connection.execute(query).fetchone()[0]
                except sqlite3.OperationalError:  # the tables do not exist yet
                    continue


def _sample_cpu(pid: int) -> list[float]:
    """Return the CPU seconds used in each second."""
    seconds = []
    last = cpu_seconds_of(pid)
    for _ in range(OBSERVATION_SECONDS):
        time.sleep(1)
        now = cpu_seconds_of(pid)
        seconds.append(now - last)
        last = now
    return seconds
