"""Watches each case: its CPU time, the memory of the process, and, should the process die, which one it was."""

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
HANG_SECONDS = 20.0
"""Of CPU time: then the process is ended from outside its Python, which a loop in native code never returns to."""
MAX_GROWTH_BYTES = 200 * 1000 * 1000


class TooSlow(AssertionError):
    """A case took more than a second of CPU time."""


class TooLarge(AssertionError):
    """The process has grown by more than 200 MB."""


def peak_bytes() -> int:
    """Return the most memory that this process has ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Watch:
    """Runs cases one by one; `count` of them so far. Growth is counted from where the watch began."""

    def __init__(self, current: Path) -> None:
        self.count = 0
        self.slowest_seconds = 0.0
        self._base = peak_bytes()
        self._current = current.open("wb")
        signal.signal(signal.SIGPROF, signal.SIG_DFL)

    @property
    def growth_bytes(self) -> int:
        """How much the process has grown."""
        return peak_bytes() - self._base

    def run(self, check: Callable[[Any], None], case: Any) -> None:
        """Check a case. Raises what it raises, TooSlow or TooLarge; it is on disk before anything else."""
        self._current.seek(0)
        self._current.truncate()
        pickle.dump(case, self._current)
        self._current.flush()
        self.count += 1
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS)
        try:
            check(case)
        except Exception:
            traceback.print_exc()  # Hypothesis may fail in telling of the case
            raise
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        seconds = time.process_time() - began
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        if seconds > MAX_SECONDS:
            raise TooSlow(f"it took {seconds:.1f} s of CPU time")
        if self.growth_bytes > MAX_GROWTH_BYTES:
            raise TooLarge(f"the process has grown by {self.growth_bytes // 10**6} MB")
