"""Runs a command as a process, and tells what it cost."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KILOBYTES_A_MEGABYTE = 1024
LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Cost:
    """What a command took, with the processes that it started; `ended` is false where its time was up before."""

    wall_seconds: float
    cpu_seconds: float
    peak_megabytes: float
    """Its own most resident memory."""
    ended: bool


class CommandFailed(Exception):
    """A command that was to be measured did not succeed."""


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Start processes on one core while the context is open, as far as the machine has it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core} & before or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cost_of(words: Sequence[str], environment: Mapping[str, str], folder: Path, *, limit_seconds: float) -> Cost:
    """Run a command to its end, or for `limit_seconds`; its output goes to output.txt. Raises CommandFailed."""
    with (folder / "output.txt").open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            words,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        ended, peak = True, 0.0
        while True:
            peak = max(peak, _peak_megabytes_of(process.pid))
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if ended and time.monotonic() - began > limit_seconds:
                os.killpg(process.pid, signal.SIGKILL)
                ended = False
            time.sleep(LOOK_SECONDS)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if ended and process.returncode != 0:
        told = (folder / "output.txt").read_text(errors="replace")[-2000:]
        raise CommandFailed(f"{' '.join(words)} ended with exit code {process.returncode}:\n{told}")
    return Cost(wall, used.ru_utime + used.ru_stime, peak, ended)


def _peak_megabytes_of(pid: int) -> float:
    """Return the most that a process had resident so far, 0 where it has ended.

    Not what wait4 tells: there a process begins with the memory of the one that started it.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / KILOBYTES_A_MEGABYTE
    return 0.0


def cpu_seconds_of(pid: int) -> float:
    """Return the CPU time of a living process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def megabytes_of(pid: int) -> float:
    """Return the resident memory of a living process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / KILOBYTES_A_MEGABYTE
