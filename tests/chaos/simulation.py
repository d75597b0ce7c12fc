"""One simulated history: a ledger file, an account at the simulated Argil, and processes that can be killed."""

from __future__ import annotations

import contextlib
import uuid
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from flows.engine.state_machine import run_to_completion
from flows.provision_avatar import provision_avatar
from flows.provision_image_avatar import provision_image_avatar
from flows.provision_pending import provision_pending
from flows.reconcile_avatars import reconcile_avatars
from models.errors import AvatarsError
from models.image_request import ImageRequest
from models.lease_duration import LEASE_DURATION
from models.provisioning import LeaseOwner, Status
from models.request import AnyRequest, ProvisioningRequest
from models.settings import Settings
from services import context as context_module
from services.cancellation import cancel_provisioning
from services.context import app_context
from simulator.account import SimulatedAccount as Account
from simulator.argil_app import create_app
from simulator.scenarios import CreateResponse, Timing
from store.ledger_reader import LedgerReader
from tasks.find_provisioning import find_provisioning
from tasks.reopen_provisioning import reopen_provisioning
from tasks.retrain_provisioning import retrain_provisioning
from tasks.retry_provisioning import retry_provisioning
from tests.chaos.deterministic_scheduler import (
    IDS,
    ClockStep,
    DeterministicScheduler,
    ProcessKilled,
    SimulatedProcess,
)
from tests.chaos.fakes import ScheduledClock, SharedDatabase
from tests.chaos.fault_transport import Fault, FaultInjectingTransport
from tests.chaos.invariants import MAX_PROVISIONINGS

KEY = "chaos-key"
SIGNED = "?X-Amz-Signature=fresh"
REASON = "Grace: recorded again"
TRAINING_SECONDS = 40.0
IMAGE_TRAINING_SECONDS = 20.0
TIMEOUT_SECONDS = 80.0
GRACE_SECONDS = 10.0
GONE_AFTER_SECONDS = 15.0
LAG_SECONDS = 4.0
LEASE_SECONDS = LEASE_DURATION.total_seconds()
TICK_SECONDS = 60.0
IMAGE_PREFIX = "image:"
Job = Callable[[], Coroutine[Any, Any, object]]
SimulatedRequest = ProvisioningRequest | ImageRequest


def make_request(name: str, scenario: str) -> ProvisioningRequest:
    """Return a request that selects a scenario of the simulator; its name is also its reference."""
    return ProvisioningRequest(
        name=name,
        dataset_video=f"https://videos.example/{name}/dataset.mp4",
        consent_video=f"https://videos.example/{name}/consent.mp4",
        extras={"simulator": scenario} if scenario else {},
        reference=name,
    )


def make_image_request(name: str, scenario: str, *, has_sample: bool = False) -> ImageRequest:
    """Return a request like that of `make_request`, with an image, and a sample of which the voice is cloned."""
    return ImageRequest(
        name=name,
        image=f"https://videos.example/{name}/portrait.png",
        consent_video=f"https://videos.example/{name}/consent.mp4",
        voice_sample=f"https://videos.example/{name}/voice.mp3" if has_sample else None,
        extras={"simulator": scenario} if scenario else {},
        reference=name,
    )


def sign(request: AnyRequest, query: str) -> AnyRequest:
    """Return the same request with this query in its URLs, as a new signature changes it."""
    urls = {name: getattr(request, name) for name in request.recording_fields.values()}
    return request.model_copy(update={name: f"{url.partition('?')[0]}{query}" for name, url in urls.items() if url})


def provision(request: SimulatedRequest) -> Job:
    """Provision and wait for the outcome, like `avatars provision`."""
    if isinstance(request, ImageRequest):
        return lambda: provision_image_avatar.fn(request, wait="block")
    return lambda: provision_avatar.fn(request, wait="block")


def resume(request: SimulatedRequest) -> Job:
    """Re-open and run to completion, like `avatars resume`."""

    async def work() -> None:
        owner = LeaseOwner(actor="resume", id=str(uuid.uuid4()))
        with contextlib.suppress(AvatarsError):
            async with app_context():
                provisioning = await find_provisioning(request.name)
                await run_to_completion(await reopen_provisioning(provisioning, owner, by_person=True), owner)

    return work


def retry(request: SimulatedRequest) -> Job:
    """Retry a rejected provisioning and run it to completion, like `avatars retry`."""

    async def work() -> None:
        owner = LeaseOwner(actor="retry", id=str(uuid.uuid4()))
        with contextlib.suppress(AvatarsError):
            async with app_context():
                provisioning = await find_provisioning(request.name)
                await run_to_completion(await retry_provisioning(provisioning, owner), owner)

    return work


def retrain(request: SimulatedRequest, **recordings: str) -> Job:
    """Retrain, like `avatars retrain`; each call of the returned job is an attempt of the same run.

    Starting the job again is what Prefect's Retry does.
    """
    flow_run_id = str(uuid.uuid4())

    async def work() -> None:
        owner = LeaseOwner(actor="retrain", id=str(uuid.uuid4()), flow_run_id=flow_run_id)
        with contextlib.suppress(AvatarsError):
            async with app_context():
                provisioning = await find_provisioning(request.name)
                retrained = await retrain_provisioning(provisioning, owner, REASON, **recordings)
                await run_to_completion(retrained, owner)

    return work


def cancel(request: SimulatedRequest) -> Job:
    """Cancel the provisioning, like `avatars cancel`."""

    async def work() -> None:
        owner = LeaseOwner(actor="cancel", id=str(uuid.uuid4()))
        with contextlib.suppress(AvatarsError):
            async with app_context() as context:
                provisioning = await context.ledger.get(request.name)
                await cancel_provisioning(context.ledger, provisioning, owner, "a person cancelled it")

    return work


SCHEDULES: tuple[Job, Job] = (reconcile_avatars.fn, provision_pending.fn)


class Simulation:
    """A simulation; create, use and close it on the same event loop."""

    def __init__(
        self,
        ledger: Path,
        *,
        kill_after: tuple[int, ...] = (),
        clock_step: ClockStep | None = None,
        list_lag_seconds: float = LAG_SECONDS,
        retrain_limit: int = 0,
    ) -> None:
        """Create a simulation.

        Args:
            ledger: An SQLite file with the schema.
            kill_after: See DeterministicScheduler.
            clock_step: See DeterministicScheduler.
            list_lag_seconds: How long the account list does not show a new avatar.
            retrain_limit: AVATARS_RETRAIN_LIMIT.

        """
        IDS.seed(0)
        self.ledger = ledger
        self.scheduler = DeterministicScheduler(kill_after, clock_step)
        self.account = Account(
            Timing(
                training_seconds=TRAINING_SECONDS,
                image_training_seconds=IMAGE_TRAINING_SECONDS,
                list_lag_seconds=list_lag_seconds,
                get_lag_seconds=LAG_SECONDS,
                retry_after_seconds=7.0,
            ),
            clock=lambda: self.scheduler.time.timestamp(),  # noqa: PLW0108  # the scheduler replaces its time
        )
        self.requests: dict[str, SimulatedRequest] = {}
        self.retrains: Counter[str] = Counter()
        """The retrains that persons asked for, by name."""
        self.faults: deque[Fault] = deque()
        self.failing_writes = 0
        """The number of next writes that fail."""
        self.transport = FaultInjectingTransport(
            self.scheduler, create_app(self.account, api_key=KEY), self.faults, self._act_later
        )
        self._network = SimulatedProcess("network", self)
        self._open = contextlib.AsyncExitStack()
        self.settings = Settings(
            _env_file=None,
            argil_api_url="http://127.0.0.1:1/v1",
            argil_api_key=KEY,
            avatars_database_url=f"sqlite+aiosqlite:///{ledger}",
            avatars_media_check="off",
            avatars_poll_min_seconds=8.0,
            avatars_lookup_grace_seconds=GRACE_SECONDS,
            avatars_gone_after_seconds=GONE_AFTER_SECONDS,
            avatars_training_timeout_seconds=TIMEOUT_SECONDS,
            avatars_requests_per_second=1e6,
            avatars_retrain_limit=retrain_limit,
        )
        self._database = SharedDatabase(self.settings.avatars_database_url.get_secret_value())

    @property
    def live_processes(self) -> list[SimulatedProcess]:
        """The processes that are neither killed nor finished."""
        processes = [process for process in self.scheduler.processes if process is not self._network]
        return [process for process in processes if not (process.is_dead or process.is_finished)]

    def request(self, name: str, scenario: str) -> SimulatedRequest:
        """Return the request of this name; repeated calls return the same request.

        A scenario that begins with IMAGE_PREFIX is that of a request with an image.
        """
        kind = scenario.removeprefix(IMAGE_PREFIX)
        made = make_request(name, scenario) if kind == scenario else make_image_request(name, kind)
        return self.requests.setdefault(name, made)

    def image_request(self, name: str, scenario: str, clone_faults: Iterable[CreateResponse] = ()) -> ImageRequest:
        """Return a request with a voice sample; Argil has a voice of a namesake, and clones with these faults."""
        namesake = {"name": name, "audioUrl": "https://videos.example/namesake.mp3"}
        self.account.voices.add_clone(namesake, self.account.now(), creates=True, status=201)
        self.account.voices.clone_faults.extend(clone_faults)
        request = make_image_request(name, scenario, has_sample=True)
        self.requests[name] = request
        return request

    def correct(self, name: str) -> SimulatedRequest:
        """Return a request with another dataset video, or another image, for the reference of this name."""
        return self.requests[name].model_copy(update=self._other_recording(name))

    def _other_recording(self, name: str) -> dict[str, str]:
        field = next(iter(self.requests[name].recording_fields.values()))
        return {field: f"https://videos.example/{name}/other"}

    def sign(self, name: str, query: str) -> SimulatedRequest:
        """Return the request of this name, and keep it, with this query in its URLs."""
        self.requests[name] = sign(self.requests[name], query)
        return self.requests[name]

    def retrain(self, name: str, *, is_recorded_again: bool = False) -> Job:
        """Return a job of another person who retrains the provisioning of this name."""
        self.retrains[name] += 1
        return retrain(self.requests[name], **(self._other_recording(name) if is_recorded_again else {}))

    async def statuses(self) -> list[Status]:
        """Return the status of each provisioning."""
        return [provisioning.status for provisioning in await self.reader.list_latest(None, MAX_PROVISIONINGS)]

    async def start(self, work: Job, process: SimulatedProcess | None = None) -> SimulatedProcess:
        """Start work in the given process, or in a new one."""
        if process is None:
            process = SimulatedProcess(f"process {len(self.scheduler.processes)}", self)
            self.scheduler.spawn(process, self._build(process))
            await self.scheduler.run_until_idle()
            process.main_tasks.clear()
        self.scheduler.spawn(process, work())
        await self.scheduler.run_until_idle()
        return process

    async def finish(self, work: Job) -> SimulatedProcess:
        """Run work in a new process until it is finished or killed."""
        process = await self.start(work)
        await self.scheduler.run(process)
        self.raise_unexpected()
        return process

    async def run_schedules(self) -> bool:
        """Advance the time by TICK_SECONDS and run both schedules; return whether one of them was killed."""
        await self.scheduler.advance_time(TICK_SECONDS)
        processes = [await self.finish(work) for work in SCHEDULES]
        return any(process.is_dead for process in processes)

    def raise_unexpected(self) -> None:
        """Raise the exception of a process that ended neither with a state nor by being killed."""
        for process in self.scheduler.processes:
            for task in process.tasks:
                if task.done() and not task.cancelled() and task in process.main_tasks:
                    error = task.exception()
                    if error is not None and not (process.is_dead and isinstance(error, ProcessKilled)):
                        raise error

    async def close(self) -> None:
        """Kill every process and close the resources."""
        for process in self.scheduler.processes:
            process.is_dead = True
        await self.scheduler.run_until_idle()
        for process in self.scheduler.processes:
            for task in process.tasks:
                if not task.cancelled():
                    task.exception()  # retrieved, or asyncio logs it as never retrieved
        await self._open.aclose()
        self._database.engine.dispose()

    @property
    def reader(self) -> LedgerReader:
        """A reader of the ledger for the test itself."""
        return LedgerReader(self._database, ScheduledClock())

    async def _build(self, process: SimulatedProcess) -> None:
        built = await self._open.enter_async_context(context_module.build_context(self.settings, ScheduledClock()))
        process.shared = context_module._SharedContext()
        process.shared.context = built

    def _act_later(self, request: httpx.Request, seconds: float) -> None:
        async def process_delayed() -> None:
            await self.scheduler.yield_point("delayed request", seconds, within=timedelta(0))
            await self.transport.process(request)

        self.scheduler.spawn(self._network, process_delayed())
