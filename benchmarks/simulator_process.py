"""Runs `avatars simulate` as a process pinned to its own core, and reads its request counts and avatars."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from benchmarks.process_metrics import pinned_to_core

SERVER_CORE = 0
"""Core of the simulator and the servers; the measured command has the other one."""
WORKLOAD_CORE = 1
START_TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class SimulatorProcess:
    """A running simulator; `settings` are the environment variables that point a process at it."""

    settings: dict[str, str]
    videos: list[str]
    training_seconds: float

    def requests(self) -> dict[str, int]:
        """Return the number of requests per route."""
        counts: dict[str, int] = self._query("requests")["counts"]
        return counts

    def completion_times(self) -> dict[str, float]:
        """Return by avatar id when the training ended, as a wall time in seconds."""
        return {
            avatar["id"]: datetime.fromisoformat(avatar["createAt"]).timestamp() + self.training_seconds
            for avatar in self._query("avatars")
        }

    def _query(self, resource: str) -> Any:
        base = self.settings["ARGIL_API_URL"].removesuffix("/v1")
        return httpx.get(f"{base}/_simulator/{resource}", timeout=120, trust_env=False).raise_for_status().json()


@contextmanager
def run_simulator(training_seconds: float, folder: Path) -> Iterator[SimulatorProcess]:
    """Run a simulator while the context is open. Raises RuntimeError if it does not start."""
    args = [sys.executable, "-m", "cli", "simulate", "--port", "0", "--training-seconds", str(training_seconds)]
    output_file = folder / "simulator.txt"
    with output_file.open("wb") as output, pinned_to_core(SERVER_CORE):
        process = subprocess.Popen(args, stdout=output, stderr=output, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while "Ctrl-C" not in (text := output_file.read_text()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the simulator did not start:\n{text}")
            time.sleep(POLL_SECONDS)
        settings = dict(re.findall(r"^export (\w+)=(\S+)$", text, re.MULTILINE))
        yield SimulatorProcess(settings, re.findall(r"^# +(https://\S+)$", text, re.MULTILINE), training_seconds)
    finally:
        process.terminate()
        process.wait(30)
