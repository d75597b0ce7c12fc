"""A deterministic scheduler with virtual time.

Each relevant await suspends its coroutine at a yield point, and the scheduler resumes one coroutine at a time.
Nothing else runs between two yield points, so the same choice of steps always gives the same history.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections.abc import Coroutine, Generator
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.chaos.simulation import Simulation

MAX_STEPS = 50_000
MAX_IN_FLIGHT_DELAY = timedelta(seconds=25)
"""How long after the lease renewal a request may still reach Argil. A lease lasts 30 seconds.

A lease cannot fence a request that is already in flight, so no simulated request takes longer.
"""
IDS = random.Random(0)  # noqa: S311  # deterministic ids


def deterministic_uuid4() -> uuid.UUID:
    """Replace uuid.uuid4 with a seeded generator."""
    return uuid.UUID(int=IDS.getrandbits(128), version=4)


class ProcessKilled(BaseException):
    """The process was killed, as with `kill -9`. Every further yield point or crash point raises this again."""


@dataclass(frozen=True)
class ClockStep:
    """A step of the wall clock; the monotonic clock does not step."""

    point: int
    """The number of the point at which it happens, counted from the start."""
    seconds: float
    everywhere: bool = True
    """Whether the clocks of all processes step, as on one machine, or only that of the process at the point."""


@dataclass(eq=False)
class SimulatedProcess:
    """Coroutines that are killed together, with all the tasks they started and the context they share."""

    name: str
    simulation: Simulation
    is_dead: bool = False
    shared: Any = None
    """The shared context, as services.context stores it."""
    main_tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    clock_offset: timedelta = timedelta(0)
    """How far its wall clock is ahead of that of the machine."""

    @property
    def is_finished(self) -> bool:
        return all(main.done() for main in self.main_tasks)


current_process: ContextVar[SimulatedProcess] = ContextVar("process")


@dataclass(eq=False)
class SuspendedCoroutine:
    """A coroutine at a yield point; resumes at `not_before` or later, at the latest at `not_after` if set."""

    process: SimulatedProcess
    label: str
    not_before: datetime
    not_after: datetime | None
    gate: asyncio.Future[None]


class DeterministicScheduler:
    """Resumes suspended coroutines, advances time, and kills processes at chosen crash points."""

    def __init__(self, kill_after: tuple[int, ...] = (), clock_step: ClockStep | None = None) -> None:
        """Create a scheduler at a fixed time.

        Args:
            kill_after: The points at which a process is killed, each counted from the previous crash.
            clock_step: A step of the wall clock.

        """
        self.time = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
        self.suspended: list[SuspendedCoroutine] = []
        self.processes: list[SimulatedProcess] = []
        self.points: list[str] = []
        """The points passed since the last crash."""
        self.crashes: list[str] = []
        self.clock_offset = timedelta(0)
        """How far the wall clock of the machine is ahead of `time`, which is the true time."""
        self._clock_step = clock_step
        self._points_passed = 0
        self._kill_after = list(kill_after)
        self._loop = asyncio.get_running_loop()
        self._loop.set_task_factory(_task_factory)

    # Called by simulated processes.

    def crash_point(self, label: str) -> None:
        """Pass a point at which the process may be killed, or the wall clock may step."""
        process = current_process.get()
        if process.is_dead:
            raise ProcessKilled(label)
        self.points.append(label)
        self._points_passed += 1
        if self._clock_step is not None and self._points_passed == self._clock_step.point:
            self.step_clock(self._clock_step.seconds, None if self._clock_step.everywhere else process)
        if self._kill_after and len(self.points) == self._kill_after[0]:
            self._kill_after.pop(0)
            self.points = []
            self.crashes.append(label)
            process.is_dead = True
            raise ProcessKilled(label)

    async def yield_point(self, label: str, seconds: float = 0.0, *, within: timedelta | None = None) -> None:
        """Suspend the coroutine for `seconds`; time stops at most `within` after that until it resumes."""
        self.crash_point(label)
        not_before = self.time + timedelta(seconds=seconds)
        not_after = None if within is None else not_before + within
        coroutine = SuspendedCoroutine(
            current_process.get(), label, not_before, not_after, self._loop.create_future()
        )
        self.suspended.append(coroutine)
        try:
            await coroutine.gate
        finally:
            self.suspended.remove(coroutine)

    # Called by tests.

    def step_clock(self, seconds: float, process: SimulatedProcess | None = None) -> None:
        """Step the wall clock of one process, or of all."""
        (self if process is None else process).clock_offset += timedelta(seconds=seconds)

    def spawn(self, process: SimulatedProcess, work: Coroutine[Any, Any, Any]) -> None:
        """Start work in a process; it runs at the next step."""
        if process not in self.processes:
            self.processes.append(process)
        token = current_process.set(process)
        try:
            process.main_tasks.append(asyncio.ensure_future(work))
        finally:
            current_process.reset(token)

    async def step(self, coroutine: SuspendedCoroutine) -> None:
        """Resume one coroutine and run until every coroutine is suspended again."""
        if not coroutine.gate.done():
            coroutine.gate.set_result(None)
        await self.run_until_idle()

    def runnable(self, process: SimulatedProcess) -> list[SuspendedCoroutine]:
        """Return the coroutines of a process that can be resumed now, in the order in which they were suspended."""
        return [
            coroutine
            for coroutine in self.suspended
            if coroutine.process is process and coroutine.not_before <= self.time
        ]

    async def run(self, *processes: SimulatedProcess) -> None:
        """Run all processes, advancing time, until the given ones are finished."""
        for _ in range(MAX_STEPS):
            if all(process.is_finished for process in processes):
                return
            await self.step_next()
        labels = [coroutine.label for coroutine in self.suspended]
        raise AssertionError(f"not finished after {MAX_STEPS} steps: {labels}")

    async def step_next(self) -> None:
        """Resume the coroutine with the earliest `not_before`, advancing the time to it if necessary."""
        if not self.suspended:
            raise AssertionError(
                "deadlock: the processes wait for each other, and no coroutine is at a yield point"
            )
        first = min(self.suspended, key=lambda coroutine: coroutine.not_before)
        self.time = max(self.time, first.not_before)
        await self.step(first)

    async def advance_time(self, seconds: float) -> None:
        """Advance the time while all processes are paused; resume only coroutines whose `not_after` is reached."""
        until = self.time + timedelta(seconds=seconds)
        while due := [
            coroutine
            for coroutine in self.suspended
            if coroutine.not_after is not None and coroutine.not_after <= until
        ]:
            first = min(due, key=lambda coroutine: coroutine.not_after or until)
            self.time = max(self.time, first.not_before)
            await self.step(first)
        self.time = max(self.time, until)

    async def kill(self, process: SimulatedProcess) -> None:
        """Kill a process, as `kill -9` does."""
        process.is_dead = True
        await self.run_until_idle()

    async def run_until_idle(self) -> None:
        """Wait until every coroutine is suspended or done. Coroutines of killed processes are ended first."""
        while True:
            await asyncio.sleep(0)
            # Nothing waits for threads, sockets or real time: without a ready callback, every coroutine is idle.
            if len(self._loop._ready) > 0:  # type: ignore[attr-defined]  # a private attribute of BaseEventLoop
                continue
            dead = [process for process in self.processes if process.is_dead]
            dying = [coroutine for coroutine in self.suspended if coroutine.process in dead]
            for coroutine in dying:
                coroutine.gate.set_exception(ProcessKilled(coroutine.label))
            waiting = [task for process in dead for task in process.tasks if not task.done()]
            if not waiting:
                return
            if not dying:  # the remaining tasks wait for each other
                for task in waiting:
                    task.cancel()


def _task_factory(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **options: Any
) -> asyncio.Task[Any]:
    """Create a task and register it with its process, so that it is killed together with it."""
    task = asyncio.Task(work, loop=loop, **options)
    with contextlib.suppress(LookupError):  # tasks of the test itself
        current_process.get().tasks.append(task)
    return task
