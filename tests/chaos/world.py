"""A world for one history: a ledger in a file, an account at the simulated Argil, and processes that may die."""

from __future__ import annotations

import contextlib
import uuid
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from flows.drive import drive
from flows.provision_avatar import provision_avatar
from flows.provision_pending import provision_pending
from flows.reconcile_avatars import reconcile_avatars
from models.errors import AvatarsError
from models.provisioning import Driver, Status
from models.request import ProvisioningRequest
from models.settings import Settings
from simulator.argil import create_app
from simulator.scenarios import Timing
from simulator.world import World as Account
from store.ledger_reader import LedgerReader
from tasks import runtime
from tasks.cancel import cancel as end
from tasks.find_provisioning import find_provisioning, reopen_provisioning
from tests.chaos.audit import MANY
from tests.chaos.conductor import IDS, Conductor, Killed, Process
from tests.chaos.line import Fault, Line
from tests.chaos.stand_ins import ConductedClock, SharedDatabase

KEY = "chaos-key"
TRAINING_SECONDS = 40.0
TIMEOUT_SECONDS = 80.0
GRACE_SECONDS = 10.0
LAG_SECONDS = 4.0
LEASE_SECONDS = runtime.LEASE.total_seconds()
TICK_SECONDS = 60.0
Work = Callable[[], Coroutine[Any, Any, object]]


def request_of(name: str, scenario: str) -> ProvisioningRequest:
    """Return a request that the simulator meets with the scenario; its name is its reference too."""
    return ProvisioningRequest(
        name=name,
        dataset_video=f"https://videos.example/{name}/dataset.mp4",
        consent_video=f"https://videos.example/{name}/consent.mp4",
        extras={"simulator": scenario} if scenario else {},
        reference=name,
    )


def provision(request: ProvisioningRequest) -> Work:
    """Provision and stay to the end, as `avatars provision` does."""
    return lambda: provision_avatar.fn(request, wait="hold")


def resume(request: ProvisioningRequest) -> Work:
    """Drive on, as `avatars resume` does."""

    async def work() -> None:
        me = Driver(actor="resume", id=str(uuid.uuid4()))
        with contextlib.suppress(AvatarsError):
            async with runtime.runtime():
                await drive(await reopen_provisioning(await find_provisioning(request.name), me), me)

    return work


def cancel(request: ProvisioningRequest) -> Work:
    """Stop it, as `avatars cancel` does."""

    async def work() -> None:
        me = Driver(actor="cancel", id=str(uuid.uuid4()))
        with contextlib.suppress(AvatarsError):
            async with runtime.runtime() as active:
                await end(active.ledger, await active.ledger.get(request.name), me, "a person cancelled it")

    return work


TICKS: tuple[Work, Work] = (reconcile_avatars.fn, provision_pending.fn)


class World:
    """Make it, use it and close it on one event loop."""

    def __init__(
        self,
        ledger: Path,
        *,
        kill_after: tuple[int, ...] = (),
        list_lag_seconds: float = LAG_SECONDS,
        retrain_limit: int = 0,
    ) -> None:
        """`ledger` has its tables. See Conductor for `kill_after`."""
        IDS.seed(0)
        self.ledger = ledger
        self.conductor = Conductor(kill_after)
        self.account = Account(
            Timing(
                training_seconds=TRAINING_SECONDS,
                list_lag_seconds=list_lag_seconds,
                late_get_seconds=LAG_SECONDS,
                retry_after_seconds=7.0,
            ),
            clock=lambda: self.conductor.time.timestamp(),  # noqa: PLW0108  # its time moves on
        )
        self.requests: dict[str, ProvisioningRequest] = {}
        self.faults: deque[Fault] = deque()
        self.ledger_fails = 0
        """How many of the next writes fail."""
        self.line = Line(self.conductor, create_app(self.account, api_key=KEY), self.faults, self._act_later)
        self._network = Process("network", self)
        self._open = contextlib.AsyncExitStack()
        self.settings = Settings(
            _env_file=None,
            argil_api_url="http://127.0.0.1:1/v1",
            argil_api_key=KEY,
            avatars_database_url=f"sqlite+aiosqlite:///{ledger}",
            avatars_media_check="off",
            avatars_poll_floor_seconds=8.0,
            avatars_lookup_grace_seconds=GRACE_SECONDS,
            avatars_training_timeout_seconds=TIMEOUT_SECONDS,
            avatars_requests_per_second=1e6,
            avatars_retrain_limit=retrain_limit,
        )
        self._database = SharedDatabase(self.settings.avatars_database_url.get_secret_value())

    @property
    def alive(self) -> list[Process]:
        """Processes that could still do something."""
        processes = [one for one in self.conductor.processes if one is not self._network]
        return [one for one in processes if not (one.is_dead or one.has_ended)]

    def ask(self, name: str, scenario: str) -> ProvisioningRequest:
        """Return the request of this name, the same one each time."""
        return self.requests.setdefault(name, request_of(name, scenario))

    async def statuses(self) -> list[Status]:
        """Return where each provisioning stands."""
        return [one.status for one in await self.reader.newest(None, MANY)]

    async def start(self, work: Work, process: Process | None = None) -> Process:
        """Begin some work in a process of its own, or beside what another one does."""
        if process is None:
            process = Process(f"process {len(self.conductor.processes)}", self)
            self.conductor.begin(process, self._build(process))
            await self.conductor.quiet()
            process.mains.clear()
        self.conductor.begin(process, work())
        await self.conductor.quiet()
        return process

    async def finish(self, work: Work) -> Process:
        """Let a new process do some work to its end, or to its death."""
        process = await self.start(work)
        await self.conductor.run(process)
        self.raise_what_failed()
        return process

    async def tick(self) -> bool:
        """Let both schedules fire a minute after whatever was last; returns whether one of them died."""
        await self.conductor.pass_(TICK_SECONDS)
        ended = [await self.finish(work) for work in TICKS]
        return any(process.is_dead for process in ended)

    def raise_what_failed(self) -> None:
        """Raise what no driver may end with: anything but a state, or its death."""
        for process in self.conductor.processes:
            for task in process.tasks:
                if task.done() and not task.cancelled() and task in process.mains:
                    error = task.exception()
                    if error is not None and not (process.is_dead and isinstance(error, Killed)):
                        raise error

    async def close(self) -> None:
        """End every process, and close what is open."""
        for process in self.conductor.processes:
            process.is_dead = True
        await self.conductor.quiet()
        for process in self.conductor.processes:
            for task in process.tasks:
                if not task.cancelled():
                    task.exception()  # or asyncio tells that nobody asked
        await self._open.aclose()
        await self._database.engine.dispose()

    @property
    def reader(self) -> LedgerReader:
        """The ledger as the test itself reads it."""
        return LedgerReader(self._database, ConductedClock())

    async def _build(self, process: Process) -> None:
        built = await self._open.enter_async_context(runtime.build(self.settings, ConductedClock()))
        process.shared = runtime._Shared()
        process.shared.runtime = built

    def _act_later(self, request: httpx.Request, seconds: float) -> None:
        async def act() -> None:
            await self.conductor.park("late", seconds, within=timedelta(0))
            await self.line.act(request)

        self.conductor.begin(self._network, act())
