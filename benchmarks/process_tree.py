"""The memory of a process and all its descendants, and their end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process_metrics import KILOBYTES_PER_MEGABYTE

SAMPLE_SECONDS = 1.0
_PSS = re.compile(r"^Pss: +(\d+) kB$", re.MULTILINE)


def process_tree(roots: Iterable[int]) -> list[int]:
    """Return the ids of the processes and of all their descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has exited since it was listed
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children[parent].append(int(folder.name))
    tree = list(roots)
    for pid in tree:
        tree += children[pid]
    return tree


def tree_megabytes(roots: Iterable[int]) -> float:
    """Return the proportional set size of the processes and their descendants: shared memory counts once."""
    kilobytes = 0
    for pid in process_tree(roots):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            kilobytes += sum(map(int, _PSS.findall(Path(f"/proc/{pid}/smaps_rollup").read_text())))
    return kilobytes / KILOBYTES_PER_MEGABYTE


def kill_all(pids: Iterable[int]) -> None:
    """Kill those of the processes that still run."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@dataclass
class PeakMemory:
    """The highest memory seen so far."""

    megabytes: float = 0.0


@contextlib.contextmanager
def sampled_memory(roots: Iterable[int]) -> Iterator[PeakMemory]:
    """Sample `tree_megabytes` once per SAMPLE_SECONDS while the context is open."""
    peak, pids, stop = PeakMemory(), list(roots), threading.Event()

    def sample() -> None:
        while not stop.is_set():
            peak.megabytes = max(peak.megabytes, tree_megabytes(pids))
            stop.wait(SAMPLE_SECONDS)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peak
    finally:
        stop.set()
        sampler.join()
