"""Runs a command as a process and measures its time, CPU and memory."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KILOBYTES_PER_MEGABYTE = 1024
SAMPLE_INTERVAL_SECONDS = 0.02


@dataclass(frozen=True)
class ProcessCost:
    """The cost of a command and its child processes; `completed` is False if the time limit ended it."""

    wall_seconds: float
    cpu_seconds: float
    peak_megabytes: float
    """Peak resident memory of the command's own process."""
    completed: bool


class CommandFailed(Exception):
    """A measured command ended with an error."""


@contextmanager
def pinned_to_core(core: int) -> Iterator[None]:
    """Start child processes on one core while the context is open, if the machine has that core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core} & before or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def measure_command(
    args: Sequence[str], environment: Mapping[str, str], folder: Path, *, limit_seconds: float
) -> ProcessCost:
    """Run a command until it ends, for at most `limit_seconds`. Raises CommandFailed.

    Its output goes to output.txt in `folder`.
    """
    with (folder / "output.txt").open("wb") as output:
        started_at = time.monotonic()
        process = subprocess.Popen(
            args,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        completed, peak = True, 0.0
        while True:
            peak = max(peak, _peak_megabytes_of(process.pid))
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if completed and time.monotonic() - started_at > limit_seconds:
                os.killpg(process.pid, signal.SIGKILL)
                completed = False
            time.sleep(SAMPLE_INTERVAL_SECONDS)
        wall = time.monotonic() - started_at
        process.returncode = os.waitstatus_to_exitcode(status)
    if completed and process.returncode != 0:
        output_tail = (folder / "output.txt").read_text(errors="replace")[-2000:]
        raise CommandFailed(f"{' '.join(args)} ended with exit code {process.returncode}:\n{output_tail}")
    return ProcessCost(wall, used.ru_utime + used.ru_stime, peak, completed)


def _peak_megabytes_of(pid: int) -> float:
    """Return the peak resident memory of a process so far, 0 if it has ended.

    Do not use wait4 instead: its maximum includes the parent's memory at the time of the fork.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / KILOBYTES_PER_MEGABYTE
    return 0.0


def cpu_seconds_of(pid: int) -> float:
    """Return the CPU time of a running process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def megabytes_of(pid: int) -> float:
    """Return the resident memory of a running process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / KILOBYTES_PER_MEGABYTE
