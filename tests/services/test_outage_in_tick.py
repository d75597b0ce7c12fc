"""Outages of Argil that begin in the middle of a tick, in real time with short waits.

With a fake clock, each heartbeat would advance the time by seconds, and no two requests would be simultaneous.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from flows.engine.pool import MAX_CONCURRENCY, run_many
from models.clock import SystemClock
from models.errors import ArgilUnreachable
from models.provisioning import Provisioning, Status, SubmissionState
from services.account import argil_outages as module
from services.pending import PendingProvisionings
from services.ticks import Tick
from simulator.server import ArgilSimulator
from store.leases import RELEASE_GRACE
from tasks.resolve_submission import POLLS_PER_GRACE_PERIOD, resolve_submission
from tests.provisioning_harness import LEASE_SECONDS, ProvisioningHarness, SimulatorGateway
from tests.services.account.test_argil_outages import FAILURES, INTERVAL_SECONDS, FailingArgil

MAX_SLEEP_SECONDS = 5.0
"""A longer sleep is that of a heartbeat, which the end of the work cancels."""


class ShortClock(SystemClock):
    """The system clock with short sleeps, which tests advance."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self._ahead)

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01) if seconds < MAX_SLEEP_SECONDS else seconds)

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


@pytest.fixture(autouse=True)
def no_artifacts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish nothing: Prefect's client would start a server, which takes longer than a tick."""

    async def publish_nothing(*_: object) -> None:
        pass

    monkeypatch.setattr("tasks.publish_artifact.put_artifact", publish_nothing)


@pytest.fixture
def clock() -> ShortClock:
    return ShortClock()


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    events: list[str] = []
    monkeypatch.setattr(module, "emit_argil_event", lambda event, _: events.append(event))
    return events


@pytest.fixture
def advance_orphaned(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[object]]:
    """The work of a tick of `reconcile-avatars` without a Prefect server: no provisioning has a run."""
    from flows import reconcile_avatars as flow

    async def resume_none(provisionings: list[Provisioning]) -> list[Provisioning]:
        return provisionings

    monkeypatch.setattr(flow, "resume_suspended_runs", resume_none)
    return flow.advance_orphaned


class LateOutage(FailingArgil):
    """Answers a number of requests before it fails."""

    def __init__(self, gateway: SimulatorGateway, respond: Callable[[], Response], answers: int) -> None:
        super().__init__(gateway, respond)
        self._answers = answers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._answers -= 1
        if self._answers >= 0:
            await self._working(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


async def unresolved(harness: ProvisioningHarness, count: int) -> list[Provisioning]:
    """Return provisionings in SUBMITTING without an owner, whose requests never reached Argil."""
    ledger = harness.context.ledger
    submitting = []
    for number in range(count):
        accepted = await harness.accepted(reference=f"unresolved-{number}")
        item, submission = await ledger.begin_submission(accepted, harness.owner, "a submission was recorded")
        message, unknown = "no response", SubmissionState.UNKNOWN
        submitting.append(await ledger.resolve_submission(item, harness.owner, message, submission, unknown))
        await harness.context.leases.release(item.id, harness.owner)
    return submitting


@pytest.mark.parametrize("failure", FAILURES)
async def test_outage_within_a_tick_stops_its_lookups(
    harness: ProvisioningHarness,
    gateway: SimulatorGateway,
    clock: ShortClock,
    argil: ArgilSimulator,
    emitted: list[str],
    advance_orphaned: Callable[..., Awaitable[object]],
    failure: str,
) -> None:
    trainings = [await harness.submitted(reference=f"ada-{number}") for number in range(4)]
    submitting = await unresolved(harness, 2 * MAX_CONCURRENCY + 5)
    clock.advance(LEASE_SECONDS + RELEASE_GRACE.total_seconds())
    failing = LateOutage(gateway, FAILURES[failure], answers=1)  # the list of the tick
    for number in range(3):
        tick = Tick(clock, INTERVAL_SECONDS)
        await advance_orphaned(harness.context, harness.owner, tick)
        requests = failing.take_requests()
        assert len(requests) <= (3 if number == 0 else 2), requests
        assert "Argil does not answer" in tick.note
        clock.advance(INTERVAL_SECONDS)
    assert emitted == ["argil.degraded"]
    assert {(await harness.reload(item)).status for item in submitting} == {Status.SUBMITTING}
    assert len(argil.account.posts) == len(trainings)


async def test_next_tick_begins_with_the_page_of_the_outage(
    harness: ProvisioningHarness,
    gateway: SimulatorGateway,
    clock: ShortClock,
    emitted: list[str],
    advance_orphaned: Callable[..., Awaitable[object]],
) -> None:
    submitting = await unresolved(harness, 3)
    clock.advance(RELEASE_GRACE.total_seconds())
    failing = LateOutage(gateway, FAILURES["500"], answers=1)
    tick = Tick(clock, INTERVAL_SECONDS)
    await advance_orphaned(harness.context, harness.owner, tick)
    failing.end()
    clock.advance(INTERVAL_SECONDS)
    tick = Tick(clock, INTERVAL_SECONDS, tick.position)
    await advance_orphaned(harness.context, harness.owner, tick)
    assert {(await harness.reload(item)).status for item in submitting} == {Status.TRAINING}


async def test_lookups_of_one_process_share_their_lists(
    harness: ProvisioningHarness, gateway: SimulatorGateway, argil: ArgilSimulator, clock: ShortClock
) -> None:
    submitting = await unresolved(harness, MAX_CONCURRENCY)
    leased = [
        await harness.context.leases.acquire(item.id, harness.owner, timedelta(days=1)) for item in submitting
    ]
    failing = LateOutage(gateway, FAILURES["500"], answers=0)
    failed = await asyncio.gather(
        *(resolve_submission.fn(item, harness.owner, 0.0) for item in leased), return_exceptions=True
    )
    assert {type(error) for error in failed} == {ArgilUnreachable}
    assert failing.take_requests() == ["GET /v1/avatars"]
    failing.end()
    clock.advance(INTERVAL_SECONDS)
    resolved = await asyncio.gather(*(harness.resolve_submission(item) for item in leased))
    assert {item.status for item in resolved} == {Status.ACCEPTED}
    assert argil.account.count("GET /avatars") <= 2 * POLLS_PER_GRACE_PERIOD


async def test_key_that_is_revoked_interrupts_no_submission(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ShortClock, argil: ArgilSimulator
) -> None:
    for number in range(2 * MAX_CONCURRENCY):
        accepted = await harness.accepted(reference=f"ada-{number}")
        await harness.context.leases.release(accepted.id, harness.owner)
    clock.advance(RELEASE_GRACE.total_seconds())
    tick = Tick(clock, INTERVAL_SECONDS)
    pending = PendingProvisionings(harness.context, harness.owner, tick)
    LateOutage(gateway, lambda: JSONResponse({"code": 401, "message": "revoked"}, status_code=401), answers=5)
    counts = await run_many(pending.acquire_next, harness.owner, timeout_seconds=0, on_error=pending.outage.doubt)
    assert (counts[Status.TRAINING], tick.is_interrupted) == (len(argil.account.posts), True)
    assert counts.total() <= len(argil.account.posts) + MAX_CONCURRENCY + 1


async def test_pending_tick_asks_again_after_an_error(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ShortClock, emitted: list[str]
) -> None:
    for number in range(4 * MAX_CONCURRENCY):
        accepted = await harness.accepted(reference=f"ada-{number}")
        await harness.context.leases.release(accepted.id, harness.owner)
    clock.advance(RELEASE_GRACE.total_seconds())
    tick = Tick(clock, INTERVAL_SECONDS)
    pending = PendingProvisionings(harness.context, harness.owner, tick)
    failing = LateOutage(gateway, FAILURES["500"], answers=2)  # the poll of the tick, and the first list
    await run_many(pending.acquire_next, harness.owner, timeout_seconds=0, on_error=pending.outage.doubt)
    requests = Counter(failing.take_requests())
    assert requests["POST /v1/avatars"] <= MAX_CONCURRENCY + 1
    assert requests.total() - requests["POST /v1/avatars"] <= 2 + 2
    assert emitted == ["argil.degraded"]
