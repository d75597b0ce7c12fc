"""Waiting for a training, and what the ledger records of it."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest
from starlette.responses import Response

from clients.training_monitor import MonitorResult
from models.errors import ArgilUnauthorized, AvatarsError, StaleVersion
from models.provisioning import LeaseOwner, Status
from simulator.server import ArgilSimulator
from tasks.await_training import await_training
from tasks.record_outcome import record_outcome
from tests.provisioning_harness import (
    GRACE_SECONDS,
    LEASE_SECONDS,
    TIMEOUT_SECONDS,
    TRAINING_SECONDS,
    ProvisioningHarness,
    ScriptedClock,
    SimulatorGateway,
)

pytestmark = pytest.mark.parametrize("timing", [{"get_lag_seconds": GRACE_SECONDS / 2}])


@pytest.mark.parametrize(
    ("scenario", "expected", "raw_status"),
    [
        ("", MonitorResult.TERMINAL, "IDLE"),
        ("fail", MonitorResult.TERMINAL, "TRAINING_FAILED"),
        ("refuse", MonitorResult.TERMINAL, "REFUSED"),
        ("late-get", MonitorResult.TERMINAL, "IDLE"),
        ("flaky-polls", MonitorResult.TERMINAL, "IDLE"),
        ("unknown-status", MonitorResult.TERMINAL, "IDLE"),
        ("unknown-status,never", MonitorResult.TIMED_OUT, "TRAINING"),
        ("never", MonitorResult.TIMED_OUT, "TRAINING"),
        ("vanish", MonitorResult.NOT_FOUND, "TRAINING"),
    ],
)
async def test_each_training_is_awaited_and_recorded(
    harness: ProvisioningHarness, argil: ArgilSimulator, scenario: str, expected: MonitorResult, raw_status: str
) -> None:
    submitted = await harness.submitted(scenario)
    provisioning, result = await await_training.fn(submitted, harness.owner, None)
    assert result is expected
    assert provisioning.status is Status.TRAINING
    assert provisioning.raw_status == raw_status
    if raw_status != "IDLE":  # recorded together with the terminal status
        assert await harness.reload(submitted) == provisioning
    assert len(argil.account.posts) == 1
    if expected is MonitorResult.TERMINAL:
        assert provisioning.avatar_snapshot == argil.account.avatars[0]


async def test_avatar_snapshot_is_returned(harness: ProvisioningHarness) -> None:
    provisioning, _ = await await_training.fn(await harness.submitted(), harness.owner, None)
    assert provisioning.avatar_snapshot is not None
    assert (provisioning.avatar_snapshot["width"], provisioning.avatar_snapshot["height"]) == (1920, 1080)
    assert provisioning.avatar_snapshot["gestures"]
    assert provisioning.avatar_snapshot["thumbnailUrl"]


async def test_each_change_is_one_event_with_the_raw_status(harness: ProvisioningHarness) -> None:
    submitted = await harness.submitted()
    provisioning, _ = await await_training.fn(submitted, harness.owner, None)
    await record_outcome.fn(provisioning, Status.READY, harness.owner)
    changes = [(event.message, event.raw_status) for event in (await harness.events(submitted))[3:]]
    assert changes == [
        ("Argil reports TRAINING", "TRAINING"),
        ("Argil reports IDLE: the avatar can be used", "IDLE"),
    ]


async def test_recorded_status_is_not_recorded_again(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock
) -> None:
    submitted = await harness.submitted()
    clock.advance(TRAINING_SECONDS / 2)
    gateway.canned_responses["GET", f"/v1/avatars/{submitted.avatar_id}"] = [
        Response(json.dumps({"id": submitted.avatar_id, "status": "TRAINING"})),
        Response(status_code=401),
    ]
    with pytest.raises(ArgilUnauthorized):
        await await_training.fn(submitted, harness.owner, None)
    before = await harness.events(submitted)
    assert before[-1].raw_status == "TRAINING"
    provisioning, _ = await await_training.fn(await harness.reload(submitted), harness.owner, None)
    assert provisioning.raw_status == "IDLE"
    assert await harness.events(submitted) == before


async def test_recorded_terminal_status_takes_one_poll(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock
) -> None:
    trained = await harness.trained("fail", "TRAINING_FAILED")
    clock.advance(TRAINING_SECONDS)
    provisioning, result = await await_training.fn(trained, harness.owner, None)
    assert (result, provisioning.raw_status) == (MonitorResult.TERMINAL, "TRAINING_FAILED")
    assert argil.account.count("GET /avatars/{id}") == 1


async def test_undocumented_status_is_logged_once(
    harness: ProvisioningHarness, gateway: SimulatorGateway, caplog: pytest.LogCaptureFixture
) -> None:
    submitted = await harness.submitted()
    gateway.canned_responses["GET", f"/v1/avatars/{submitted.avatar_id}"] = [
        Response(json.dumps({"id": submitted.avatar_id, "status": status}))
        for status in ("IN_REVIEW", "TRAINING", "IN_REVIEW", "PAUSED")
    ]
    _, result = await await_training.fn(submitted, harness.owner, None)
    assert result is MonitorResult.TERMINAL
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [status for message in warnings for status in ("IN_REVIEW", "PAUSED") if status in message] == [
        "IN_REVIEW",
        "PAUSED",
    ]
    raw_statuses = [event.raw_status for event in (await harness.events(submitted))[3:]]
    assert raw_statuses[:4] == ["IN_REVIEW", "TRAINING", "IN_REVIEW", "PAUSED"]


async def test_restart_does_not_extend_the_deadline(harness: ProvisioningHarness, clock: ScriptedClock) -> None:
    submitted = await harness.submitted("never")
    assert submitted.training_started_at is not None
    clock.advance(TIMEOUT_SECONDS - 15)
    _, result = await await_training.fn(submitted, harness.owner, None)
    assert result is MonitorResult.TIMED_OUT
    assert clock.now() == submitted.training_started_at + timedelta(seconds=TIMEOUT_SECONDS)


@pytest.mark.parametrize(
    ("scenario", "expected"), [("", MonitorResult.TERMINAL), ("never", MonitorResult.TIMED_OUT)]
)
async def test_after_the_deadline_one_poll_decides(
    harness: ProvisioningHarness,
    argil: ArgilSimulator,
    clock: ScriptedClock,
    scenario: str,
    expected: MonitorResult,
) -> None:
    submitted = await harness.submitted(scenario)
    clock.advance(10 * TIMEOUT_SECONDS)
    assert (await await_training.fn(submitted, harness.owner, None))[1] is expected
    assert argil.account.count("GET /avatars/{id}") == 1
    assert clock.waits == []


@pytest.mark.parametrize(
    ("timeout_seconds", "expected_seconds"),
    [(0.0, 0.0), (25.0, 25.0), (TIMEOUT_SECONDS - 1, TIMEOUT_SECONDS - 1)],
)
async def test_timeout_leaves_it_in_training(
    harness: ProvisioningHarness,
    argil: ArgilSimulator,
    clock: ScriptedClock,
    timeout_seconds: float,
    expected_seconds: float,
) -> None:
    submitted, started_at = await harness.submitted("never"), clock.now()
    provisioning, result = await await_training.fn(submitted, harness.owner, timeout_seconds)
    assert result is MonitorResult.STILL_TRAINING
    assert provisioning.status is Status.TRAINING
    assert (clock.now() - started_at).total_seconds() == pytest.approx(expected_seconds, abs=0.001)
    assert argil.account.count("GET /avatars/{id}") >= 1


@pytest.mark.parametrize(
    ("scenario", "elapsed", "expected"),
    [
        ("never", 0.0, MonitorResult.TIMED_OUT),
        ("never", 2 * TIMEOUT_SECONDS, MonitorResult.TIMED_OUT),
        ("", 0.0, MonitorResult.TERMINAL),
    ],
)
async def test_timeout_beyond_the_deadline_has_no_effect(
    harness: ProvisioningHarness, clock: ScriptedClock, scenario: str, elapsed: float, expected: MonitorResult
) -> None:
    submitted = await harness.submitted(scenario)
    clock.advance(elapsed)
    assert (await await_training.fn(submitted, harness.owner, TIMEOUT_SECONDS))[1] is expected


async def test_zero_timeout_polls_once(harness: ProvisioningHarness, clock: ScriptedClock) -> None:
    submitted = await harness.submitted("fail")
    clock.advance(TRAINING_SECONDS)
    provisioning, result = await await_training.fn(submitted, harness.owner, 0.0)
    assert (result, provisioning.raw_status) == (MonitorResult.TERMINAL, "TRAINING_FAILED")


async def test_rejected_api_key_leaves_the_training_unchanged(
    harness: ProvisioningHarness, gateway: SimulatorGateway
) -> None:
    submitted = await harness.submitted()
    gateway.canned_responses["GET", f"/v1/avatars/{submitted.avatar_id}"] = [Response(status_code=403)]
    with pytest.raises(ArgilUnauthorized):
        await await_training.fn(submitted, harness.owner, None)
    assert await harness.reload(submitted) == submitted


async def test_nothing_is_recorded_after_a_take_over(
    harness: ProvisioningHarness, clock: ScriptedClock, other_owner: LeaseOwner
) -> None:
    submitted = await harness.submitted()

    async def take_over() -> None:
        clock.advance(LEASE_SECONDS)
        await harness.context.leases.acquire(submitted.id, other_owner, harness.context.lease_duration)

    clock.during_sleep.append(take_over)
    with pytest.raises(StaleVersion):
        await await_training.fn(submitted, harness.owner, None)
    assert (await harness.reload(submitted)).raw_status == "NOT_TRAINED"


async def test_training_without_an_avatar_is_an_error(harness: ProvisioningHarness) -> None:
    with pytest.raises(AvatarsError, match="without an avatar"):
        await await_training.fn(await harness.accepted(), harness.owner, None)
