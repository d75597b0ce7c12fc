"""Outages of Argil: few requests, one report at the start and one at the end, and trainings that end afterwards."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from starlette.responses import JSONResponse, Response

from clients.training_status import MAX_CONSECUTIVE_FAILURES
from flows.engine.pool import acquire_each, run_many
from models.errors import TickRunning
from models.provisioning import LeaseOwner, Status
from models.reason import Reason
from services.account import argil_outages as module
from services.leases import LeaseManager
from services.pending import LATE_ERRORS, RETRY_BLOCKED_AFTER, PendingProvisionings
from services.reconciliation import find_orphaned
from services.ticks import Tick, exclusive_tick
from simulator.server import ArgilSimulator
from store.leases import RELEASE_GRACE
from store.observations import Observation
from tests.provisioning_harness import (
    LEASE_SECONDS,
    TRAINING_SECONDS,
    ProvisioningHarness,
    ScriptedClock,
    SimulatorGateway,
)

INTERVAL_SECONDS = 60.0
IN_TRAINING = 200
FAILURES: dict[str, Callable[[], Response]] = {
    "500": lambda: JSONResponse({"code": 500, "message": "simulated"}, status_code=500),
    "429": lambda: Response(status_code=429, headers={"retry-after": "2"}),
    "429 without a wait": lambda: Response(status_code=429),
    "gateway": lambda: Response("<html>down</html>", status_code=502, media_type="text/html"),
}


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    events: list[str] = []
    monkeypatch.setattr(module, "emit_argil_event", lambda event, _: events.append(event))
    return events


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr(module, "log_to_run", lambda text, *_, **__: texts.append(text))
    return texts


class FailingArgil:
    """Lets every request to the simulator fail in one way, and counts the requests of a tick."""

    def __init__(self, gateway: SimulatorGateway, respond: Callable[[], Response]) -> None:
        self._gateway = gateway
        self._working = gateway.app
        self._respond = respond
        self.requests: list[str] = []
        gateway.on_request = lambda method, path: self.requests.append(f"{method} {path}")
        gateway.app = self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._respond()(scope, receive, send)

    def end(self) -> None:
        self._gateway.app = self._working

    def take_requests(self) -> list[str]:
        requests, self.requests = self.requests, []
        return requests


async def reconcile(harness: ProvisioningHarness) -> tuple[list[str], Tick]:
    """Run one tick; return the ids of the provisionings that need work."""
    tick = Tick(harness.context.clock, 0.8 * INTERVAL_SECONDS)
    return [item.id async for page in find_orphaned(harness.owner, tick) for item in page], tick


@pytest.mark.parametrize("failure", FAILURES)
async def test_outage_is_reported_once_with_few_requests(
    harness: ProvisioningHarness,
    gateway: SimulatorGateway,
    clock: ScriptedClock,
    emitted: list[str],
    warned: list[str],
    failure: str,
) -> None:
    trainings = [await harness.submitted(reference=f"ada-{number}") for number in range(4)]
    clock.advance(TRAINING_SECONDS)
    argil = FailingArgil(gateway, FAILURES[failure])
    for number in range(10):
        clock.advance(INTERVAL_SECONDS)
        due, tick = await reconcile(harness)
        assert (due, tick.has_news) == ([], number == 0)
        assert "Argil does not answer" in tick.note
        assert len(argil.take_requests()) <= 2
    assert (emitted, len(warned)) == (["argil.degraded"], 1)
    argil.end()
    for number in range(2):
        due, tick = await reconcile(harness)
        assert set(due) == {training.id for training in trainings}
        assert (tick.note, tick.has_news) == ("", number == 0)
    assert (emitted, len(warned)) == (["argil.degraded", "argil.recovered"], 2)
    assert len(argil.take_requests()) == 2  # one list per tick: each avatar is in it


async def test_failing_list_alone_is_not_an_outage(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock, emitted: list[str]
) -> None:
    await harness.submitted()
    clock.advance(LEASE_SECONDS + TRAINING_SECONDS)
    gateway.canned_responses["GET", "/v1/avatars"] = [Response(status_code=500)]
    due, tick = await reconcile(harness)
    assert (len(due), tick.note, emitted) == (1, "", [])


async def test_training_that_always_fails_is_not_an_outage(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock, emitted: list[str]
) -> None:
    """The list fails, too. The oldest training is the one that never ends."""
    defective = await harness.submitted(reference="ada-1")
    clock.advance(1)
    training = await harness.submitted(reference="ada-2")
    clock.advance(LEASE_SECONDS + TRAINING_SECONDS)
    gateway.canned_responses["GET", "/v1/avatars"] = [Response(status_code=500)] * 50
    gateway.canned_responses["GET", f"/v1/avatars/{defective.avatar_id}"] = [Response(status_code=500)] * 100
    found = [(await reconcile(harness))[0] for _ in range(30)]  # one in two polls the other training
    assert [training.id] in found


async def test_pending_waits_while_argil_fails(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock, emitted: list[str]
) -> None:
    accepted = [await harness.accepted(reference=f"ada-{number}") for number in range(3)]
    for item in accepted:
        await harness.context.leases.release(item.id, harness.owner)
    clock.advance(RELEASE_GRACE.total_seconds())
    argil = FailingArgil(gateway, FAILURES["500"])
    tick = Tick(clock, INTERVAL_SECONDS)
    pending = PendingProvisionings(harness.context, harness.owner, tick)
    assert [await pending.acquire_next() for _ in range(2)] == [None, None]
    assert len(argil.take_requests()) == 2
    assert emitted == ["argil.degraded"]
    assert {(await harness.reload(item)).lease_owner for item in accepted} == {None}
    argil.end()
    clock.advance(RELEASE_GRACE.total_seconds())
    pending = PendingProvisionings(harness.context, harness.owner, Tick(clock, INTERVAL_SECONDS))
    assert [await pending.acquire_next() is not None for _ in range(4)] == [True, True, True, False]
    assert len(argil.take_requests()) == 1


@pytest.mark.parametrize("late_by", [-INTERVAL_SECONDS, 1.0, 2 * LATE_ERRORS.total_seconds()])
async def test_request_that_an_outage_stopped_is_tried_again_after_it(
    harness: ProvisioningHarness,
    gateway: SimulatorGateway,
    clock: ScriptedClock,
    emitted: list[str],
    late_by: float,
) -> None:
    """A request in flight may fail after the end. An error of later is none of the outage, and waits as usual."""
    accepted = await harness.accepted()
    argil = FailingArgil(gateway, FAILURES["500"])
    await reconcile(harness)
    clock.advance(max(0.0, -late_by))
    argil.end()

    async def block() -> None:
        reason = Reason(code="argil.unavailable", message="HTTP 500", hint="wait")
        await harness.context.ledger.transition(accepted, harness.owner, reason.message, reasons=[reason])
        await harness.context.leases.release(accepted.id, harness.owner)

    if late_by < 0:
        await block()
        clock.advance(1)
    await reconcile(harness)
    assert emitted == ["argil.degraded", "argil.recovered"]
    if late_by > 0:
        clock.advance(late_by)
        await block()
    clock.advance(RELEASE_GRACE.total_seconds())
    pending = PendingProvisionings(harness.context, harness.owner, Tick(clock, INTERVAL_SECONDS))
    assert (await pending.acquire_next() is not None) == (late_by < LATE_ERRORS.total_seconds())
    clock.advance(RETRY_BLOCKED_AFTER.total_seconds())
    await harness.context.leases.release(accepted.id, harness.owner)
    clock.advance(RELEASE_GRACE.total_seconds())
    pending = PendingProvisionings(harness.context, harness.owner, Tick(clock, INTERVAL_SECONDS))
    assert await pending.acquire_next() is not None


async def test_failing_poll_alone_stops_no_submission(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock, emitted: list[str]
) -> None:
    """`reconcile-avatars` reads the list, so it would report the end of an outage each minute."""
    accepted = await harness.accepted()
    await harness.context.leases.release(accepted.id, harness.owner)
    clock.advance(RELEASE_GRACE.total_seconds())
    gateway.canned_responses["GET", f"/v1/avatars/{UUID(int=0)}"] = [Response(status_code=500)]
    pending = PendingProvisionings(harness.context, harness.owner, Tick(clock, INTERVAL_SECONDS))
    assert await pending.acquire_next() is not None
    assert emitted == []


async def test_pending_tick_stops_at_the_end_of_its_budget(
    harness: ProvisioningHarness, clock: ScriptedClock, argil: ArgilSimulator
) -> None:
    for number in range(2):
        accepted = await harness.accepted(reference=f"ada-{number}")
        await harness.context.leases.release(accepted.id, harness.owner)
    clock.advance(RELEASE_GRACE.total_seconds())
    tick = Tick(clock, INTERVAL_SECONDS)
    tick.start_budget()
    pending = PendingProvisionings(harness.context, harness.owner, tick)
    assert await pending.acquire_next() is not None
    clock.advance(INTERVAL_SECONDS)
    assert await pending.acquire_next() is None


async def test_next_tick_continues_after_the_last_page(
    harness: ProvisioningHarness, clock: ScriptedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.reconciliation.PAGE_SIZE", 2)
    trainings = []
    for number in range(5):
        trainings.append(await harness.submitted(reference=f"ada-{number}"))
        clock.advance(1)
    clock.advance(LEASE_SECONDS + TRAINING_SECONDS)
    found: list[list[str]] = []
    notes: list[str] = []
    position: str | None = None
    for _ in range(3):
        tick = Tick(clock, 0.0, position)  # over after the first page
        found.append([item.id async for page in find_orphaned(harness.owner, tick) for item in page])
        position = tick.position
        notes.append(tick.note)
    assert found == [[item.id for item in trainings[start : start + 2]] for start in (0, 2, 4)]
    assert notes == [*["the rest is left to the next run"] * 2, ""]
    assert position is None


async def test_next_tick_begins_after_a_page_that_failed(
    harness: ProvisioningHarness, clock: ScriptedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.reconciliation.PAGE_SIZE", 1)
    defective = await harness.submitted(reference="ada-1")
    clock.advance(1)
    training = await harness.submitted(reference="ada-2")
    clock.advance(LEASE_SECONDS + TRAINING_SECONDS)
    tick = Tick(clock, INTERVAL_SECONDS)
    async for page in find_orphaned(harness.owner, tick):
        if page == [defective]:
            break  # as an exception does
    tick = Tick(clock, INTERVAL_SECONDS, tick.position)
    assert [item.id async for page in find_orphaned(harness.owner, tick) for item in page] == [training.id]
    assert tick.position is None


async def test_page_cut_by_the_budget_is_continued(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock
) -> None:
    """Without the list each avatar is polled; the polls of one page may take longer than a tick."""
    trainings = []
    for number in range(3):
        trainings.append(await harness.submitted(reference=f"ada-{number}"))
        clock.advance(1)
    clock.advance(LEASE_SECONDS + TRAINING_SECONDS)
    gateway.canned_responses["GET", "/v1/avatars"] = [Response(status_code=500)] * 3
    found: list[list[str]] = []
    position: str | None = None
    for _ in trainings:
        tick = Tick(clock, 0.0, position)  # over after the first poll
        found.append([item.id async for page in find_orphaned(harness.owner, tick) for item in page])
        position = tick.position
    assert found == [[item.id] for item in trainings]
    assert position is None


async def test_avatars_that_always_fail_do_not_hide_the_others(
    harness: ProvisioningHarness,
    gateway: SimulatorGateway,
    clock: ScriptedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("random.choice", lambda items: items[0])  # the poll after the failed list succeeds
    trainings = []
    for number in range(MAX_CONSECUTIVE_FAILURES + 2):
        trainings.append(await harness.submitted(reference=f"ada-{number}"))
        clock.advance(1)
    clock.advance(LEASE_SECONDS + TRAINING_SECONDS)
    first, *defective, last = trainings
    for item in defective:
        gateway.canned_responses["GET", f"/v1/avatars/{item.avatar_id}"] = [Response(status_code=500)] * 9
    gateway.canned_responses["GET", "/v1/avatars"] = [Response(status_code=500)] * 2
    tick = Tick(clock, INTERVAL_SECONDS)
    assert [item.id async for page in find_orphaned(harness.owner, tick) for item in page] == [first.id]
    assert tick.note == "the rest is left to the next run"
    tick = Tick(clock, INTERVAL_SECONDS, tick.position)
    assert [item.id async for page in find_orphaned(harness.owner, tick) for item in page] == [last.id]
    assert tick.position is None


async def test_second_tick_ends_at_once_and_names_the_first(
    harness: ProvisioningHarness, other_owner: LeaseOwner
) -> None:
    owner = LeaseOwner(actor="reconcile-avatars", id="first", flow_run_id="run-1")
    async with exclusive_tick(harness.context, "reconcile-avatars", owner, INTERVAL_SECONDS) as tick:
        tick.position = "TRAINING p-1"
        with pytest.raises(TickRunning, match="flow run run-1"):
            async with exclusive_tick(harness.context, "reconcile-avatars", other_owner, INTERVAL_SECONDS):
                pytest.fail("two ticks at once")
    async with exclusive_tick(harness.context, "reconcile-avatars", other_owner, INTERVAL_SECONDS) as tick:
        assert tick.position == "TRAINING p-1"


async def test_tick_without_its_lease_is_over(harness: ProvisioningHarness, owner: LeaseOwner) -> None:
    context = harness.context
    manager = LeaseManager(context.leases, context.ledger, context.clock, timedelta(seconds=0.03))
    short = dataclasses.replace(context, lease_manager=manager)
    async with exclusive_tick(short, "reconcile-avatars", owner, INTERVAL_SECONDS) as tick, asyncio.timeout(60):
        assert not tick.is_over
        await context.tick_leases.release("reconcile-avatars", owner, None)
        while not tick.is_over:  # noqa: ASYNC110  # only the heartbeat knows when
            await asyncio.sleep(0)


async def test_outage_duplicates_nothing_and_all_end_within_two_ticks(
    harness: ProvisioningHarness,
    gateway: SimulatorGateway,
    clock: ScriptedClock,
    argil: ArgilSimulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In virtual time: 200 trainings end during an outage. Without a Prefect server, nothing is published."""

    async def publish_nothing(*_: object) -> None:
        pass

    monkeypatch.setattr("tasks.publish_artifact.put_artifact", publish_nothing)

    for number in range(IN_TRAINING):
        await harness.submitted(reference=f"ada-{number}")
    clock.advance(LEASE_SECONDS)
    failing = FailingArgil(gateway, FAILURES["500"])
    for _ in range(3):
        clock.advance(INTERVAL_SECONDS)
        assert (await reconcile(harness))[0] == []
        assert len(failing.take_requests()) <= 2
    failing.end()
    for _ in range(2):
        clock.advance(INTERVAL_SECONDS)
        async for page in find_orphaned(harness.owner, Tick(clock, INTERVAL_SECONDS)):
            # The fake clock advances with each heartbeat, so the leases are not held while they wait.
            await run_many(acquire_each(page, harness.owner), harness.owner, timeout_seconds=0)
    assert await harness.context.ledger.count_by_status() == {Status.READY: IN_TRAINING}
    assert len(argil.account.avatars) == IN_TRAINING
    polls = [request for request in failing.take_requests() if request != "GET /v1/avatars"]
    assert polls == []  # the list showed each of them
    assert Observation.ARGIL_DEGRADED not in await harness.context.observations.read_all()
