"""Thousands in training in one process: its memory, its CPU between two ticks, and what it asks Argil."""

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

from benchmarks.batch import prefect_for
from benchmarks.contenders import OURS, Task
from benchmarks.measuring import cpu_seconds_of, megabytes_of, on_core
from benchmarks.world import OTHER_CORE, world

TRAINING_SECONDS = 7200.0
WATCHED_SECONDS = 120
LIMIT_SECONDS = 1200.0


@dataclass(frozen=True)
class Crowd:
    """What one process took for `count` avatars in training, over WATCHED_SECONDS."""

    count: int
    megabytes: float
    idle_percent: float
    """Of a core, in the median second: most seconds hold no tick."""
    mean_percent: float
    lists: int
    gets: int


def measure(count: int) -> Crowd:
    """Bring so many into training by `avatars batch`, watch the process, and end it. Raises TimeoutError."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        with world(TRAINING_SECONDS, folder) as around, on_core(OTHER_CORE):
            task = Task(around, count, folder)
            words = OURS.words(task)
            with prefect_for(OURS, folder) as (_, settings), (folder / "output.txt").open("wb") as output:
                environment = {**os.environ, **OURS.settings(task), **settings}
                process = subprocess.Popen(words, env=environment, stdout=output, stderr=output)
                try:
                    _wait_for_all(folder / "ledger.db", count)
                    before = around.requests()
                    seconds = _watch(process.pid)
                    after = around.requests()
                    megabytes = megabytes_of(process.pid)
                finally:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
    return Crowd(
        count,
        megabytes,
        100 * statistics.median(seconds),
        100 * statistics.fmean(seconds),
        after.get("GET /avatars", 0) - before.get("GET /avatars", 0),
        after.get("GET /avatars/{id}", 0) - before.get("GET /avatars/{id}", 0),
    )


def _wait_for_all(ledger: Path, count: int) -> None:
    give_up_at = time.monotonic() + LIMIT_SECONDS
    in_training = 0
    while in_training < count:
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{in_training} of {count} were in training after {LIMIT_SECONDS:g} s")
        time.sleep(1)
        if ledger.exists():
            with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as reading:
                query = "SELECT count(*) FROM provisionings WHERE status = 'TRAINING'"
                try:
                    in_training = reading.execute(query).fetchone()[0]
                except sqlite3.OperationalError:  # its tables are not there yet
                    continue


def _watch(pid: int) -> list[float]:
    """Return the CPU seconds of each second."""
    seconds = []
    last = cpu_seconds_of(pid)
    for _ in range(WATCHED_SECONDS):
        time.sleep(1)
        now = cpu_seconds_of(pid)
        seconds.append(now - last)
        last = now
    return seconds
