"""Fuzzes concurrent probes with the child processes of FFmpeg, which are sometimes killed."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from hypothesis import strategies as st

from media.ffmpeg.inspector_pool import InspectorPool
from media.processes.messages import DEFAULT_INSPECTION_LIMITS
from tests.fuzz.facts import assert_plausible
from tests.fuzz.media import File, ProbeCase, check_probe, prepare, probe_cases, probe_through
from tests.fuzz.samples import samples
from tests.fuzz.target import FuzzTarget

POOL_SIZE = 2
MAX_PROBES = 3
"""More than child processes, so that one probe waits for another."""
_COMMAND = b"media.ffmpeg.inspector_process"


class PoolCase(NamedTuple):
    """Concurrent probes, and whether the child processes are killed meanwhile."""

    probes: list[ProbeCase]
    kills: bool


class _Pool:
    """A pool of child processes, and a recording that it must always be able to read."""

    def __init__(self) -> None:
        self._others = set(_inspector_pids())
        self._pool = InspectorPool(size=POOL_SIZE)
        atexit.register(self._pool.close)
        self._facts = self._probe_sample()
        assert self._facts is not None

    def check(self, case: PoolCase) -> None:
        """Run the probes, then check the number and the memory of the child processes."""
        with ThreadPoolExecutor(MAX_PROBES) as threads:
            probe = self._probe_once if case.kills else self._probe_twice
            running = [threads.submit(probe, item) for item in case.probes]
            if case.kills:
                self._kill_children()
            for future in running:
                future.result()
        assert self._probe_sample() == self._facts, "the pool cannot read a valid recording any more"
        pids = self._pids()
        assert len(pids) <= POOL_SIZE, f"{len(pids)} processes"
        for pid in pids:
            assert (peak := _peak_bytes(pid)) <= DEFAULT_INSPECTION_LIMITS.memory_bytes, f"{peak:,} bytes"

    def _probe_once(self, case: ProbeCase) -> None:
        facts = probe_through(case.host(), self._pool.inspect)
        if facts is not None:
            assert_plausible(facts)

    def _probe_twice(self, case: ProbeCase) -> None:
        check_probe(case, self._pool.inspect)

    def _probe_sample(self) -> object:
        return probe_through(File(samples()[0]), self._pool.inspect)

    def _kill_children(self) -> None:
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _pids(self) -> set[int]:
        return set(_inspector_pids()) - self._others


@functools.cache
def _pool() -> _Pool:
    return _Pool()


def _inspector_pids() -> Iterator[int]:
    """Yield the living children of this process that inspect recordings; none on a system other than Linux."""
    for folder in Path("/proc").glob("[0-9]*"):
        # Any process may end meanwhile.
        with contextlib.suppress(OSError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z" and _COMMAND in (folder / "cmdline").read_bytes():
                yield int(folder.name)


def _peak_bytes(pid: int) -> int:
    """Return the peak memory of a process, 0 if it has just ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _prepare() -> None:
    prepare()
    _pool()


_cases = st.builds(
    PoolCase, st.lists(probe_cases, min_size=1, max_size=MAX_PROBES), st.sampled_from([False] * 9 + [True])
)
POOL = FuzzTarget("pool", _cases, lambda case: _pool().check(case), _prepare)
