"""Hundreds of provisionings at once: rejected ones that are requested again, and 404s for all that train."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.engine.batch import BatchRun
from models.batch import INVALID
from models.manifest.validation import ManifestRow
from models.provisioning import LeaseOwner, Provisioning, Status
from models.request import ProvisioningRequest
from services.context import app_context
from tests.chaos.fakes import EXPIRED, ExpiringMediaChecker
from tests.chaos.invariants import MAX_PROVISIONINGS, check_invariants
from tests.chaos.simulation import SIGNED, Job, SimulatedRequest, Simulation, make_request, sign
from tests.chaos.totals import LONG_RUN, TIMEOUT_SECONDS

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("deterministic"), pytest.mark.timeout(TIMEOUT_SECONDS)]

ROWS, TRAININGS = (500, 200) if LONG_RUN else (24, 8)
CONCURRENCY = 20
OUTAGE_MINUTES = 20
GONE_AFTER_SECONDS = 900.0
TRAINING_SECONDS = 1800.0
MAX_RUNS = 60
NOT_FOUND = {"code": 404, "message": "not found"}
LedgerFactory = Callable[[], Path]


def make_requests(count: int, query: str) -> list[ProvisioningRequest]:
    return [sign(make_request(f"avatar-{number}", ""), query) for number in range(count)]


def correct(request: ProvisioningRequest) -> ProvisioningRequest:
    return request.model_copy(update={"dataset_video": f"https://videos.example/corrected.mp4{SIGNED}"})


def batch(requests: Sequence[SimulatedRequest], results: list[str] | None = None, *, waits: bool = True) -> Job:
    """Provision each request, like `avatars batch`; store the status of each row in `results`."""

    async def work() -> None:
        rows = [
            ManifestRow(line, request.name, request.name, request) for line, request in enumerate(requests, start=1)
        ]
        owner = LeaseOwner(actor="provision-batch", id=str(uuid.uuid4()))
        async with app_context() as context:
            run = BatchRun(
                context,
                rows,
                owner,
                timeout_seconds=None if waits else 0.0,
                concurrency=CONCURRENCY,
                dry_run=False,
            )
            await run.run()
        if results is not None:
            results[:] = [row.status for row in run.progress.rows]

    return work


def run_history(ledger: Path, history: Callable[[Simulation], Awaitable[None]], **changes: Any) -> None:
    """Run a history of one simulation with other settings, and check the invariants at its end."""

    async def run() -> None:
        simulation = Simulation(ledger)
        simulation.settings = simulation.settings.model_copy(update=changes)
        try:
            await history(simulation)
            assert not await check_invariants(simulation.reader, simulation.account)
        finally:
            await simulation.close()

    asyncio.run(run())


async def read_all(simulation: Simulation) -> dict[str, Provisioning]:
    return {item.reference: item for item in await simulation.reader.list_latest(None, MAX_PROVISIONINGS)}


async def statuses(simulation: Simulation) -> Counter[Status]:
    return Counter(item.status for item in (await read_all(simulation)).values())


def test_rejected_rows_signed_again_are_all_ready(
    fresh_ledger_file: LedgerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row is also corrected in the sheet. Changed after its submission, it is a conflict."""
    monkeypatch.setattr("services.context.MediaChecker", ExpiringMediaChecker)

    async def history(simulation: Simulation) -> None:
        await simulation.finish(batch(make_requests(ROWS, EXPIRED)))
        rejected = await read_all(simulation)
        assert Counter(item.status for item in rejected.values()) == {Status.REJECTED: ROWS}
        assert simulation.account.received == []
        signed = make_requests(ROWS, SIGNED)
        signed[1] = correct(signed[1])
        await simulation.finish(batch(signed))
        ready = await read_all(simulation)
        assert Counter(item.status for item in ready.values()) == {Status.READY: ROWS}
        assert {name: item.id for name, item in ready.items()} == {name: item.id for name, item in rejected.items()}
        assert len(simulation.account.received) == ROWS
        signed[2] = correct(signed[2])
        results: list[str] = []
        await simulation.finish(batch(signed, results))
        assert Counter(results) == {Status.READY: ROWS - 1, INVALID: 1}
        assert await read_all(simulation) == ready
        assert len(simulation.account.received) == ROWS

    run_history(fresh_ledger_file(), history, avatars_media_check="strict")


def answer_as_gateway(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(404, json=NOT_FOUND)


def answer_as_other_workspace(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=[]) if request.url.path.endswith("/avatars") else answer_as_gateway(request)


async def start_trainings(simulation: Simulation, count: int) -> None:
    """Start trainings: one half of them is polled by a process, the other half waits without one."""
    simulation.account.timing = dataclasses.replace(simulation.account.timing, training_seconds=TRAINING_SECONDS)
    requests = make_requests(count, SIGNED)
    await simulation.finish(batch(requests[: count // 2], waits=False))
    await simulation.start(batch(requests[count // 2 :]))
    await run_until(simulation, Status.TRAINING, count)


async def run_until(simulation: Simulation, status: Status, count: int) -> None:
    """Run the schedules until so many provisionings have the status."""
    for _ in range(MAX_RUNS):
        await simulation.run_schedules()
        if (await statuses(simulation))[status] == count:
            return
    raise AssertionError(f"{await statuses(simulation)} after {MAX_RUNS} scheduled runs")


TRAINING_SETTINGS = {
    "avatars_gone_after_seconds": GONE_AFTER_SECONDS,
    "avatars_training_timeout_seconds": 3 * TRAINING_SECONDS,
    "avatars_poll_max_seconds": 60.0,
}


@pytest.mark.parametrize("answer", [answer_as_gateway, answer_as_other_workspace])
def test_404_for_all_ends_no_training(
    fresh_ledger_file: LedgerFactory, answer: Callable[[httpx.Request], httpx.Response]
) -> None:
    async def history(simulation: Simulation) -> None:
        await start_trainings(simulation, TRAININGS)
        simulation.transport.intercept = answer
        for _ in range(OUTAGE_MINUTES):
            await simulation.run_schedules()
            assert await statuses(simulation) == {Status.TRAINING: TRAININGS}
        simulation.transport.intercept = lambda _: None
        await run_until(simulation, Status.READY, TRAININGS)
        assert len(simulation.account.received) == TRAININGS
        for item in (await read_all(simulation)).values():
            events = await simulation.reader.list_events(item.id)
            assert not {event.to_status for event in events} & {Status.VANISHED, Status.TIMED_OUT}

    run_history(fresh_ledger_file(), history, **TRAINING_SETTINGS)


@pytest.mark.parametrize("number", [0, 3], ids=["without a process", "polled"])
def test_one_gone_avatar_vanishes_and_is_ready_if_listed_again(
    fresh_ledger_file: LedgerFactory, number: int
) -> None:
    async def history(simulation: Simulation) -> None:
        await start_trainings(simulation, 4)
        gone = (await read_all(simulation))[f"avatar-{number}"].avatar_id
        gone_at = simulation.scheduler.time

        def hide(request: httpx.Request) -> httpx.Response | None:
            if request.url.path.endswith(f"/avatars/{gone}"):
                return httpx.Response(404, json=NOT_FOUND)
            if request.method == "GET" and request.url.path.endswith("/avatars"):
                listed = [avatar for avatar in simulation.account.list_avatars() if avatar["id"] != gone]
                return httpx.Response(200, json=listed)
            return None

        simulation.transport.intercept = hide
        await run_until(simulation, Status.VANISHED, 1)
        assert (simulation.scheduler.time - gone_at).total_seconds() >= GONE_AFTER_SECONDS
        simulation.transport.intercept = lambda _: None
        await run_until(simulation, Status.READY, 4)

    run_history(fresh_ledger_file(), history, **TRAINING_SETTINGS)
