"""Hundreds of provisionings at the budget of a day and at a 402, in virtual time."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import httpx
import pytest

from flows.engine.pool import MAX_CONCURRENCY
from flows.provision_pending import provision_pending
from models.limits import MAX_PAUSE
from models.provisioning import LeaseOwner, Status
from models.request import ProvisioningRequest
from services.context import app_context
from tests.chaos import deterministic_scheduler
from tests.chaos.deterministic_scheduler import SimulatedProcess
from tests.chaos.simulation import SCHEDULES, SIGNED, Job, Simulation
from tests.chaos.test_many_at_once import LedgerFactory, batch, make_requests, read_all, run_history, statuses
from tests.chaos.totals import LONG_RUN, TIMEOUT_SECONDS

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("deterministic"), pytest.mark.timeout(TIMEOUT_SECONDS)]

ROWS, PAID_ROWS = (2000, 1000) if LONG_RUN else (200, 60)
LIMITED_ROWS, LIMIT_PER_DAY = (412, 100) if LONG_RUN else (42, 10)
MAX_STEPS = 2_000_000 if LONG_RUN else 200_000
WORKERS = 2
MAX_DAYS = 5
UNPAID_MINUTES, TICK_MINUTES = 45, 5
PAYMENT_REQUIRED = {"code": 402, "message": "no credit"}


@pytest.fixture(autouse=True)
def many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deterministic_scheduler, "MAX_STEPS", MAX_STEPS)


def enqueue(requests: Sequence[ProvisioningRequest]) -> Job:
    """Record the requests, like `avatars enqueue`."""

    async def work() -> None:
        owner = LeaseOwner(actor="enqueue", id=str(uuid.uuid4()))
        async with app_context() as context:
            for request in requests:
                await context.ledger.get_or_create(request, request.reference or "", owner)

    return work


class UnpaidAccount:
    """Answers 402 to creates after the first ones, until it is paid; the other requests reach the simulator."""

    def __init__(self, simulation: Simulation, paid: int) -> None:
        self._simulation = simulation
        self._left = paid
        self.is_paid = False
        self.refused_at: list[datetime] = []

    def answer(self, request: httpx.Request) -> httpx.Response | None:
        if request.method != "POST" or self.is_paid:
            return None
        self._left -= 1
        if self._left >= 0:
            return None
        self.refused_at.append(self._simulation.scheduler.time)
        return httpx.Response(402, json=PAYMENT_REQUIRED)


class Service:
    """A process that reconciles, and workers that run `provision-pending`, at each tick."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._reconciler: SimulatedProcess | None = None
        self._workers: list[SimulatedProcess | None] = [None] * WORKERS

    async def run_workers(self) -> None:
        """Run `provision-pending` on all workers at once."""
        workers = [await self._simulation.start(provision_pending.fn, worker) for worker in self._workers]
        await self._simulation.scheduler.run(*workers)
        self._simulation.raise_unexpected()
        self._workers = [*workers]

    async def tick(self) -> None:
        """Advance the time to the next tick, reconcile, and run the workers."""
        await self._simulation.scheduler.advance_time(TICK_MINUTES * 60)
        self._reconciler = await self._simulation.start(SCHEDULES[0], self._reconciler)
        await self._simulation.scheduler.run(self._reconciler)
        await self.run_workers()


def test_402_sends_one_probe_per_15_minutes_until_it_is_paid(fresh_ledger_file: LedgerFactory) -> None:
    async def history(simulation: Simulation) -> None:
        account, service = UnpaidAccount(simulation, PAID_ROWS), Service(simulation)
        simulation.transport.intercept = account.answer
        await simulation.finish(enqueue(make_requests(ROWS, SIGNED)))
        await simulation.scheduler.advance_time(60)
        await service.run_workers()
        assert 1 <= len(account.refused_at) <= WORKERS * MAX_CONCURRENCY
        first, before = account.refused_at[-1], len(account.refused_at)
        unpaid_until = simulation.scheduler.time + timedelta(minutes=UNPAID_MINUTES)
        while simulation.scheduler.time < unpaid_until:
            await service.tick()
        probes = account.refused_at[before:]
        assert len(probes) in {UNPAID_MINUTES // 15 - 1, UNPAID_MINUTES // 15}, probes
        for earlier, later in zip([first, *probes], probes, strict=False):
            assert later - earlier >= MAX_PAUSE - timedelta(minutes=1)
        waiting = (await statuses(simulation))[Status.ACCEPTED]
        assert waiting == ROWS - PAID_ROWS
        account.is_paid = True
        for _ in range(20):
            await service.tick()
            if await statuses(simulation) == {Status.READY: ROWS}:
                break
        assert await statuses(simulation) == {Status.READY: ROWS}
        assert len(simulation.account.received) == ROWS
        assert len(account.refused_at) == before + len(probes)

    run_history(fresh_ledger_file(), history)


def test_rows_beyond_the_budget_go_on_the_next_day(fresh_ledger_file: LedgerFactory) -> None:
    async def history(simulation: Simulation) -> None:
        results: list[str] = []
        await simulation.finish(batch(make_requests(LIMITED_ROWS, SIGNED), results))
        assert Counter(results) == {Status.READY: LIMIT_PER_DAY, Status.ACCEPTED: LIMITED_ROWS - LIMIT_PER_DAY}
        waiting = [item for item in (await read_all(simulation)).values() if item.status is Status.ACCEPTED]
        assert {reason.code for item in waiting for reason in item.reasons} == {"budget.day"}
        events = [len(await simulation.reader.list_events(item.id)) for item in waiting]
        for _ in range(15):
            await simulation.run_schedules()
        assert len(simulation.account.received) == LIMIT_PER_DAY
        assert events == [len(await simulation.reader.list_events(item.id)) for item in waiting]
        created = LIMIT_PER_DAY
        for _ in range(MAX_DAYS):
            await simulation.scheduler.advance_time(86_400)
            for _ in range(3):
                await simulation.run_schedules()
            created = min(created + LIMIT_PER_DAY, LIMITED_ROWS)
            assert len(simulation.account.received) == created
        assert await statuses(simulation) == {Status.READY: LIMITED_ROWS}

    run_history(fresh_ledger_file(), history, avatars_max_creates_per_day=LIMIT_PER_DAY)
