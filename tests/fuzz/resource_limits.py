"""Limits the CPU time and memory of each case, and saves the case in case the process dies."""

from __future__ import annotations

import pickle
import resource
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

MAX_SECONDS = 1.0
SLOW_RUNS = 3
"""A case is too slow if each of so many runs is: on a busy machine, one run may take several times as long."""
HANG_SECONDS = 20.0
"""CPU time until a signal kills the process. A loop in native code never returns to Python."""
HANG_WALL_SECONDS = 600.0
"""Time until a signal kills the process, which may wait without using the CPU. Any budget of a probe is shorter."""
HANG_SIGNALS = (signal.SIGPROF, signal.SIGALRM)
MAX_GROWTH_BYTES = 200 * 1000 * 1000


class TooSlow(AssertionError):
    """A case took more than a second of CPU time, each time that it ran."""


class TooLarge(AssertionError):
    """The process has grown by more than 200 MB."""


def peak_bytes() -> int:
    """Return the peak memory of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _cpu_seconds(check: Callable[[Any], None], case: Any) -> float:
    """Check a case, and return the CPU time it took. A signal kills the process if the case hangs."""
    started_at = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, HANG_WALL_SECONDS)
    try:
        check(case)
    except Exception:
        traceback.print_exc()  # Hypothesis may fail to report the case
        raise
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    return time.process_time() - started_at


class CaseRunner:
    """Runs cases one by one, and counts them. Memory growth is measured from its creation."""

    def __init__(self, current: Path) -> None:
        self.count = 0
        self.slowest_seconds = 0.0
        self._base = peak_bytes()
        self._current = current.open("wb")
        for number in HANG_SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    @property
    def growth_bytes(self) -> int:
        """The growth of the peak memory, in bytes."""
        return peak_bytes() - self._base

    def run(self, check: Callable[[Any], None], case: Any) -> None:
        """Check a case, after saving it to disk.

        Raises:
            TooSlow: If the case takes more than MAX_SECONDS in each of SLOW_RUNS runs.
            TooLarge: If the process has grown by more than MAX_GROWTH_BYTES.
            Exception: Any failure of the check.
        """
        self._current.seek(0)
        self._current.truncate()
        pickle.dump(case, self._current)
        self._current.flush()
        self.count += 1
        seconds = _cpu_seconds(check, case)
        for _ in range(SLOW_RUNS - 1):
            if seconds > MAX_SECONDS:
                seconds = min(seconds, _cpu_seconds(check, case))
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        if seconds > MAX_SECONDS:
            raise TooSlow(f"it took {seconds:.1f} s of CPU time")
        if self.growth_bytes > MAX_GROWTH_BYTES:
            raise TooLarge(f"the process has grown by {self.growth_bytes // 10**6} MB")
