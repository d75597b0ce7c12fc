"""Time and turns: every await that matters parks its coroutine here, and one at a time is let go on.

Between two parks nothing else runs, so that a choice of turns gives the same history each time.
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
    from tests.chaos.world import World

MOST_TURNS = 50_000
STALL = timedelta(seconds=25)
"""How late a request may still reach Argil after its driver has made sure that it holds the lease of 30 seconds.

No lease can fence what is on its way already, so nothing here takes longer for it.
"""
IDS = random.Random(0)  # noqa: S311  # ids that are the same each time


def next_id() -> uuid.UUID:
    """Stand in for uuid.uuid4."""
    return uuid.UUID(int=IDS.getrandbits(128), version=4)


class Killed(BaseException):
    """The process is gone, as with kill -9; whatever it still tries raises this again."""


@dataclass(eq=False)
class Process:
    """What dies together: some coroutines, all that they started, and the runtime they share."""

    name: str
    world: World
    is_dead: bool = False
    shared: Any = None
    """The runtime in use, as tasks.runtime keeps it."""
    mains: list[asyncio.Task[Any]] = field(default_factory=list)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    @property
    def has_ended(self) -> bool:
        return all(main.done() for main in self.mains)


CURRENT: ContextVar[Process] = ContextVar("process")


@dataclass(eq=False)
class Parked:
    """A coroutine that waits for its turn: not before `ready`, and if there is a `due`, not after it."""

    process: Process
    what: str
    ready: datetime
    due: datetime | None
    gate: asyncio.Future[None]


class Conductor:
    """Lets parked coroutines go on, lets time pass, and kills processes at the point it was told."""

    def __init__(self, kill_after: tuple[int, ...] = ()) -> None:
        """`kill_after` numbers the points at which a process dies, each counted from the death before."""
        self.time = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
        self.parked: list[Parked] = []
        self.processes: list[Process] = []
        self.points: list[str] = []
        """What was passed since the last death."""
        self.deaths: list[str] = []
        self._kill_after = list(kill_after)
        self._loop = asyncio.get_running_loop()
        self._loop.set_task_factory(_owned)

    # What processes call.

    def point(self, what: str) -> None:
        """Pass a point where a process may die."""
        process = CURRENT.get()
        if process.is_dead:
            raise Killed(what)
        self.points.append(what)
        if self._kill_after and len(self.points) == self._kill_after[0]:
            self._kill_after.pop(0)
            self.points = []
            self.deaths.append(what)
            process.is_dead = True
            raise Killed(what)

    async def park(self, what: str, seconds: float = 0.0, *, within: timedelta | None = None) -> None:
        """Wait for a turn, and for so long; time does not pass beyond `within` before that."""
        self.point(what)
        ready = self.time + timedelta(seconds=seconds)
        due = None if within is None else ready + within
        mine = Parked(CURRENT.get(), what, ready, due, self._loop.create_future())
        self.parked.append(mine)
        try:
            await mine.gate
        finally:
            self.parked.remove(mine)

    # What tests call.

    def begin(self, process: Process, work: Coroutine[Any, Any, Any]) -> None:
        """Have a process begin some work with the next turn."""
        if process not in self.processes:
            self.processes.append(process)
        before = CURRENT.set(process)
        try:
            process.mains.append(asyncio.ensure_future(work))
        finally:
            CURRENT.reset(before)

    async def turn(self, parked: Parked) -> None:
        """Let one go on until everything waits again."""
        if not parked.gate.done():
            parked.gate.set_result(None)
        await self.quiet()

    def of(self, process: Process) -> list[Parked]:
        """Return what could go on in a process now, in the order of waiting."""
        return [one for one in self.parked if one.process is process and one.ready <= self.time]

    async def run(self, *processes: Process) -> None:
        """Let everything go on as time passes, until these processes have ended."""
        for _ in range(MOST_TURNS):
            if all(process.has_ended for process in processes):
                return
            await self.turn_of_next()
        raise AssertionError(f"no end after {MOST_TURNS} turns: {[one.what for one in self.parked]}")

    async def turn_of_next(self) -> None:
        """Let go on whoever has waited longest; where everybody sleeps, who wakes first."""
        if not self.parked:
            raise AssertionError("processes wait for each other, and none for its turn")
        first = min(self.parked, key=lambda one: one.ready)
        self.time = max(self.time, first.ready)
        await self.turn(first)

    async def pass_(self, seconds: float) -> None:
        """Let time pass while every process stands still, but for what is due before."""
        until = self.time + timedelta(seconds=seconds)
        while due := [one for one in self.parked if one.due is not None and one.due <= until]:
            first = min(due, key=lambda one: one.due or until)
            self.time = max(self.time, first.ready)
            await self.turn(first)
        self.time = max(self.time, until)

    async def kill(self, process: Process) -> None:
        """End a process as kill -9 does."""
        process.is_dead = True
        await self.quiet()

    async def quiet(self) -> None:
        """Wait until every coroutine is parked or done; those of dead processes are ended first."""
        while True:
            await asyncio.sleep(0)
            # Nothing here waits for threads, sockets or real time: with no callback ready, nothing moves.
            if len(self._loop._ready) > 0:  # type: ignore[attr-defined]  # BaseEventLoop's own queue
                continue
            dead = [process for process in self.processes if process.is_dead]
            dying = [one for one in self.parked if one.process in dead]
            for one in dying:
                one.gate.set_exception(Killed(one.what))
            waiting = [task for process in dead for task in process.tasks if not task.done()]
            if not waiting:
                return
            if not dying:  # they wait for each other
                for task in waiting:
                    task.cancel()


def _owned(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **options: Any
) -> asyncio.Task[Any]:
    """Make a task that its process knows, to be ended with it."""
    task = asyncio.Task(work, loop=loop, **options)
    with contextlib.suppress(LookupError):  # the test's own
        CURRENT.get().tasks.append(task)
    return task
