"""Pauses and budgets before a submission: nothing is checked or sent, and which requests go on afterwards."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any
from unittest.mock import AsyncMock

import pytest
from starlette.responses import JSONResponse, Response

from flows.engine.pool import run_many
from models.errors import (
    ArgilPaymentRequired,
    ArgilRateLimited,
    ArgilUnauthorized,
    BatchBudgetUsed,
    DayBudgetUsed,
    MediaUnreachable,
    PaymentPaused,
    RatePaused,
)
from models.limits import MAX_PAUSE
from models.media.facts import MediaFacts
from models.media.rules import MediaRole
from models.provisioning import LeaseOwner, Status, SubmissionState
from services.pending import PendingProvisionings
from services.submissions import build_create_request
from services.ticks import Tick
from simulator.server import ArgilSimulator
from tasks.check_limits import check_limits
from tasks.record_blocker import record_blocker
from tasks.submit_avatar import submit_avatar
from tests.provisioning_harness import VALID_FACTS, FakeMedia, ProvisioningHarness, ScriptedClock, SimulatorGateway

POST = ("POST", "/v1/avatars")
PAUSE_SECONDS = MAX_PAUSE.total_seconds()


def too_many(seconds: int) -> Response:
    return JSONResponse({"code": 429, "message": "slow down"}, 429, {"retry-after": str(seconds)})


async def refuse_payment(harness: ProvisioningHarness, gateway: SimulatorGateway) -> None:
    gateway.canned_responses[POST] = [Response(status_code=402)]
    accepted = await harness.accepted(reference="unpaid")
    with pytest.raises(ArgilPaymentRequired):
        await submit_avatar.fn(accepted, harness.owner)
    await harness.context.leases.release(accepted.id, harness.owner)


async def test_pause_records_and_sends_nothing(
    harness: ProvisioningHarness, argil: ArgilSimulator, gateway: SimulatorGateway
) -> None:
    await refuse_payment(harness, gateway)
    accepted = await harness.accepted()
    for task in (check_limits, submit_avatar):
        with pytest.raises(PaymentPaused):
            await task.fn(accepted, harness.owner)
    assert await harness.submissions(accepted) == []
    assert len(argil.account.posts) == 0
    assert gateway.canned_responses[POST] == []


async def test_success_of_the_probe_ends_the_pause(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock
) -> None:
    await refuse_payment(harness, gateway)
    probe, other = await harness.accepted(), await harness.accepted(reference="other")
    clock.advance(PAUSE_SECONDS)
    await check_limits.fn(probe, harness.owner)
    with pytest.raises(PaymentPaused):
        await check_limits.fn(other, harness.owner)
    await harness.submitted_from(probe)
    await check_limits.fn(other, harness.owner)
    assert (await harness.submitted_from(other)).status is Status.TRAINING


async def test_avatar_of_a_probe_without_a_response_ends_the_pause(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock
) -> None:
    await refuse_payment(harness, gateway)
    clock.advance(PAUSE_SECONDS)
    probe = await harness.submitted("cut-after-create")
    assert (await harness.resolve_submission(probe)).status is Status.TRAINING
    await harness.submitted(reference="other")


@pytest.mark.parametrize("changes", [{"avatars_max_creates_per_day": 1}])
async def test_used_up_budget_sends_nothing_until_the_next_day(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock
) -> None:
    await harness.submitted()
    accepted = await harness.accepted(reference="other")
    for task in (check_limits, submit_avatar):
        with pytest.raises(DayBudgetUsed):
            await task.fn(accepted, harness.owner)
    assert len(argil.account.posts) == 1
    clock.advance(86_400)
    await check_limits.fn(accepted, harness.owner)


@pytest.mark.parametrize("changes", [{"avatars_max_creates_per_day": 1}])
async def test_request_that_argil_rejects_leaves_the_budget(harness: ProvisioningHarness) -> None:
    failed = await harness.submitted("invalid")
    assert await harness.states(failed) == [SubmissionState.NOT_CREATED]
    assert (await harness.submitted(reference="other")).status is Status.TRAINING


# Requests that wait for 429


async def test_short_rate_pause_is_waited_for(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock
) -> None:
    await harness.context.limits.pause_requests(harness.context.guard.api_key_sha256, 60)
    accepted = await harness.accepted()
    await check_limits.fn(accepted, harness.owner)
    assert clock.waits == [60]
    assert (await harness.submitted_from(accepted)).status is Status.TRAINING


async def test_long_rate_pause_is_an_operational_error(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock
) -> None:
    await harness.context.limits.pause_requests(harness.context.guard.api_key_sha256, 600)
    accepted = await harness.accepted()
    for task in (check_limits, submit_avatar):
        with pytest.raises(RatePaused):
            await task.fn(accepted, harness.owner)
    assert argil.account.posts == []


async def test_429_pauses_the_requests_of_all_processes(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock
) -> None:
    context = harness.context
    gateway.canned_responses[POST] = [too_many(600)]
    with pytest.raises(ArgilRateLimited):
        await submit_avatar.fn(await harness.accepted(), harness.owner)
    assert await context.limits.requests_paused_for(context.guard.api_key_sha256) == 600
    await context.argil.list_avatars()
    assert clock.waits == [600]


async def test_pause_of_another_process_delays_every_request(
    harness: ProvisioningHarness, clock: ScriptedClock
) -> None:
    context = harness.context
    await context.argil.list_avatars()
    await context.limits.pause_requests(context.guard.api_key_sha256, 60)
    clock.advance(2)
    await context.argil.list_avatars()
    assert clock.waits == [58]


# provision-pending


async def take(harness: ProvisioningHarness, clock: ScriptedClock, owner: LeaseOwner) -> Any:
    return await PendingProvisionings(harness.context, owner, Tick(clock, 60)).acquire_next()


async def run_tick(harness: ProvisioningHarness, clock: ScriptedClock) -> Counter[str]:
    pending = PendingProvisionings(harness.context, harness.owner, Tick(clock, 60))
    return await run_many(pending.acquire_next, harness.owner, timeout_seconds=0)


@pytest.fixture
async def queued(harness: ProvisioningHarness, clock: ScriptedClock) -> list[str]:
    """The ids of requests that wait without a lease."""
    ids = []
    for number in range(3):
        accepted = await harness.accepted(reference=f"queued-{number}")
        await harness.context.leases.release(accepted.id, harness.owner)
        ids.append(accepted.id)
    clock.advance(60)
    return ids


async def test_pending_are_left_alone_while_a_pause_stands(
    harness: ProvisioningHarness,
    queued: list[str],
    gateway: SimulatorGateway,
    clock: ScriptedClock,
    other_owner: LeaseOwner,
) -> None:
    await refuse_payment(harness, gateway)
    clock.advance(60)
    assert await take(harness, clock, harness.owner) is None
    clock.advance(PAUSE_SECONDS)
    assert (await take(harness, clock, harness.owner)).id in queued
    assert await take(harness, clock, harness.owner) is None
    assert await take(harness, clock, other_owner) is None


async def test_probe_without_a_pending_provisioning_is_returned(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock
) -> None:
    await refuse_payment(harness, gateway)
    blocked = await harness.accepted(reference="unpaid")  # its lease is held
    clock.advance(PAUSE_SECONDS)
    assert await take(harness, clock, harness.owner) is None
    await check_limits.fn(blocked, harness.owner)


@pytest.mark.parametrize("changes", [{"avatars_media_check": "strict"}])
@pytest.mark.parametrize(
    "result", [MediaUnreachable("no answer"), VALID_FACTS.model_copy(update={"duration_seconds": 1.0})]
)
async def test_probe_that_was_not_submitted_is_returned(
    harness: ProvisioningHarness,
    queued: list[str],
    media: FakeMedia,
    gateway: SimulatorGateway,
    clock: ScriptedClock,
    other_owner: LeaseOwner,
    result: MediaFacts | MediaUnreachable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tasks.publish_artifact.put_artifact", AsyncMock())
    await refuse_payment(harness, gateway)
    clock.advance(PAUSE_SECONDS)
    media.results[MediaRole.DATASET] = result
    await run_tick(harness, clock)
    await check_limits.fn(await harness.accepted(), other_owner)


async def test_probe_is_not_the_oldest_if_another_error_stopped_it(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock
) -> None:
    oldest = await harness.accepted(reference="oldest")
    stopped = await record_blocker.fn(oldest.id, BatchBudgetUsed("used up"), harness.owner)
    await harness.context.leases.release(stopped.id, harness.owner)
    clock.advance(60)
    await refuse_payment(harness, gateway)
    clock.advance(PAUSE_SECONDS)
    assert (await take(harness, clock, harness.owner)).reference == "unpaid"


async def test_probe_is_returned_if_argil_rejects_the_key(
    harness: ProvisioningHarness,
    queued: list[str],
    gateway: SimulatorGateway,
    clock: ScriptedClock,
    other_owner: LeaseOwner,
) -> None:
    await refuse_payment(harness, gateway)
    clock.advance(PAUSE_SECONDS)
    path = f"/v1/avatars/{uuid.UUID(int=0)}"
    gateway.canned_responses["GET", path] = [JSONResponse({"code": 401, "message": "no key"}, 401)]
    with pytest.raises(ArgilUnauthorized):
        await take(harness, clock, harness.owner)
    await check_limits.fn(await harness.accepted(), other_owner)


async def test_pending_are_left_alone_during_a_rate_pause(
    harness: ProvisioningHarness, queued: list[str], clock: ScriptedClock
) -> None:
    await harness.context.limits.pause_requests(harness.context.guard.api_key_sha256, 5)
    assert await take(harness, clock, harness.owner) is None
    clock.advance(5)
    assert (await take(harness, clock, harness.owner)).id in queued


@pytest.mark.parametrize("changes", [{"avatars_max_creates_per_day": 0}])
async def test_pending_are_left_alone_without_a_budget(
    harness: ProvisioningHarness, queued: list[str], clock: ScriptedClock
) -> None:
    assert await take(harness, clock, harness.owner) is None


async def test_pending_are_left_alone_while_avatars_are_unknown(
    harness: ProvisioningHarness, queued: list[str], clock: ScriptedClock
) -> None:
    request = build_create_request(harness.request, str(uuid.uuid4()), harness.request.recordings)
    await harness.context.argil.create_avatar(request)
    await harness.context.argil.list_account()
    assert await take(harness, clock, harness.owner) is None
    assert [(await harness.context.ledger.get(key)).reasons for key in queued] == [[], [], []]
    await harness.context.unknown_avatars.ignore_all("ada@example")
    assert (await take(harness, clock, harness.owner)).id in queued
