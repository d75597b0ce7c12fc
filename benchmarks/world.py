"""The simulator in a process of its own, on a core of its own: `avatars simulate`, and what it has seen."""

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

from benchmarks.measuring import on_core

CORE = 0
"""The simulator's; what is measured has the other one."""
OTHER_CORE = 1
READY_SECONDS = 60.0
LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class World:
    """A running simulator, and the settings that point a process at it."""

    settings: dict[str, str]
    videos: list[str]
    training_seconds: float

    def requests(self) -> dict[str, int]:
        """Return how many requests each route has had."""
        counts: dict[str, int] = self._seen("requests")["counts"]
        return counts

    def ends(self) -> dict[str, float]:
        """Return by avatar id when its training ended, as a wall time in seconds."""
        return {
            one["id"]: datetime.fromisoformat(one["createAt"]).timestamp() + self.training_seconds
            for one in self._seen("avatars")
        }

    def _seen(self, what: str) -> Any:
        base = self.settings["ARGIL_API_URL"].removesuffix("/v1")
        return httpx.get(f"{base}/_simulator/{what}", timeout=120, trust_env=False).raise_for_status().json()


@contextmanager
def world(training_seconds: float, folder: Path) -> Iterator[World]:
    """Run it while the context is open."""
    words = [sys.executable, "-m", "cli", "simulate", "--port", "0", "--training-seconds", str(training_seconds)]
    printed = folder / "simulator.txt"
    with printed.open("wb") as output, on_core(CORE):
        process = subprocess.Popen(words, stdout=output, stderr=output, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        give_up_at = time.monotonic() + READY_SECONDS
        while "Ctrl-C" not in (text := printed.read_text()):
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"the simulator did not start:\n{text}")
            time.sleep(LOOK_SECONDS)
        settings = dict(re.findall(r"^export (\w+)=(\S+)$", text, re.MULTILINE))
        yield World(settings, re.findall(r"^https://\S+$", text, re.MULTILINE), training_seconds)
    finally:
        process.terminate()
        process.wait(30)
