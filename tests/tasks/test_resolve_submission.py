"""A submission without a response is adopted if Argil has its avatar, and presumed lost otherwise."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from starlette.responses import Response

from models.errors import ArgilUnauthorized, ArgilUnreachable, StaleVersion, SubmissionUnresolved
from models.provisioning import LeaseOwner, Provisioning, Status, SubmissionState
from services.submissions import build_create_request
from simulator.server import ArgilSimulator
from tasks.record_training_failure import record_training_failure
from tasks.resolve_submission import LOOKUP_TIMEOUT_SECONDS, MAX_INCONCLUSIVE_GRACE_PERIODS
from tasks.submit_avatar import submit_avatar
from tests.provisioning_harness import (
    GRACE_SECONDS,
    LEASE_SECONDS,
    ProvisioningHarness,
    ScriptedClock,
    SimulatorGateway,
)

LIST = ("GET", "/v1/avatars")
STEPS = (7200.0, -7200.0)
"""Steps of the wall clock, in seconds."""
LOST, CREATED, UNKNOWN = SubmissionState.LOST, SubmissionState.CREATED, SubmissionState.UNKNOWN


def step_of(clock: ScriptedClock, seconds: float) -> Callable[[], Awaitable[None]]:
    """Return what sets the wall clock forward or back, for `ScriptedClock.during_sleep`."""

    async def step() -> None:
        clock.step(seconds)

    return step


async def crashed(harness: ProvisioningHarness, *, sent: bool) -> Provisioning:
    """Return a provisioning whose owner crashed after it recorded the submission, before or after the POST."""
    submitting, submission = await harness.context.ledger.begin_submission(
        await harness.accepted(), harness.owner, "a submission was recorded"
    )
    if sent:
        await harness.context.argil.create_avatar(
            build_create_request(submitting.request, submission.id, submitting.request.recordings)
        )
    return submitting


async def with_another_submission(harness: ProvisioningHarness, provisioning: Provisioning) -> Provisioning:
    """Return the provisioning with another submission that was recorded and never sent."""
    return (
        await harness.context.ledger.begin_submission(provisioning, harness.owner, "a submission was recorded")
    )[0]


@pytest.mark.parametrize("scenario", ["cut-after-create", "error-after-create", "garbled"])
async def test_avatar_without_a_response_is_adopted(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock, scenario: str
) -> None:
    unknown = await harness.submitted(scenario)
    assert unknown.status is Status.SUBMITTING
    clock.advance(5)
    adopted = await harness.resolve_submission(unknown)
    [avatar] = argil.account.avatars
    [submission] = await harness.submissions(adopted)
    assert adopted.status is Status.TRAINING
    assert (adopted.avatar_id, adopted.avatar_snapshot) == (avatar["id"], avatar)
    assert adopted.training_started_at == submission.created_at
    assert (submission.state, submission.avatar_id) == (CREATED, avatar["id"])
    assert len(argil.account.posts) == 1
    assert clock.waits == []
    assert any(
        "adopted" in message and avatar["id"] in message for message in await harness.event_messages(adopted)
    )


@pytest.mark.parametrize("timing", [{"list_lag_seconds": 0.7 * GRACE_SECONDS}])
async def test_list_lag_within_the_grace_period_is_awaited(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock
) -> None:
    started_at = clock.now()
    adopted = await harness.resolve_submission(await harness.submitted("cut-after-create,list-lag"))
    assert adopted.status is Status.TRAINING
    assert len(argil.account.avatars) == 1
    assert 0.7 * GRACE_SECONDS <= (clock.now() - started_at).total_seconds() < GRACE_SECONDS


async def test_lost_submission_is_sent_again_after_the_grace_period(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock
) -> None:
    started_at = clock.now()
    lost = await harness.resolve_submission(await harness.submitted("cut-before-create"))
    assert lost.status is Status.ACCEPTED
    assert lost.reasons == []
    assert await harness.states(lost) == [LOST]
    assert GRACE_SECONDS <= (clock.now() - started_at).total_seconds() <= 1.5 * GRACE_SECONDS
    training = await submit_avatar.fn(lost, harness.owner)
    assert training.status is Status.TRAINING
    assert await harness.states(training) == [LOST, CREATED]
    assert len({submission.id for submission in await harness.submissions(training)}) == 2
    assert len(argil.account.avatars) == 1


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ({"avatars_lookup_grace_seconds": 1.0}, [0.2] * 5),
        ({"avatars_lookup_grace_seconds": 20.0}, [2.0] * 10),
        ({"avatars_lookup_grace_seconds": 60.0}, [5.0] * 12),
    ],
)
async def test_polls_are_spread_over_the_grace_period(
    harness: ProvisioningHarness, clock: ScriptedClock, waits: list[float]
) -> None:
    await harness.resolve_submission(await harness.submitted("cut-before-create"))
    assert clock.waits == waits


@pytest.mark.parametrize("changes", [{"avatars_lookup_grace_seconds": 0.0}])
async def test_without_a_grace_period_one_poll_decides(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock
) -> None:
    assert (
        await harness.resolve_submission(await harness.submitted("cut-before-create"))
    ).status is Status.ACCEPTED
    assert argil.account.count("GET /avatars") == 1
    assert clock.waits == []


@pytest.mark.parametrize("sent", [False, True])
async def test_submission_of_a_crashed_owner_is_looked_up_first(
    harness: ProvisioningHarness, argil: ArgilSimulator, *, sent: bool
) -> None:
    provisioning = await harness.resolve_submission(await crashed(harness, sent=sent))
    assert provisioning.status is (Status.TRAINING if sent else Status.ACCEPTED)
    assert await harness.states(provisioning) == [CREATED if sent else LOST]
    assert len(argil.account.posts) == int(sent)
    assert any("the lease owner crashed" in message for message in await harness.event_messages(provisioning))


@pytest.mark.parametrize("elapsed", [0, 3600, -7200])
async def test_absence_after_a_crash_needs_the_transit_time_too(
    harness: ProvisioningHarness, clock: ScriptedClock, elapsed: float
) -> None:
    """The wall clock cannot tell how long ago the owner sent its request."""
    orphaned = await crashed(harness, sent=False)
    clock.step(elapsed)
    await harness.resolve_submission(orphaned)
    assert GRACE_SECONDS + LEASE_SECONDS <= sum(clock.waits) <= GRACE_SECONDS + 1.2 * LEASE_SECONDS


@pytest.mark.parametrize("interruptions", [1, 3])
async def test_lookup_after_an_interrupted_one_waits_for_the_whole_time(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock, interruptions: int
) -> None:
    """Nothing in the ledger says how long the request has been in transit: it may arrive at the very end."""
    orphaned = await crashed(harness, sent=False)
    [submission] = await harness.submissions(orphaned)

    async def interrupt() -> None:
        raise asyncio.CancelledError

    async def arrive_late() -> None:
        if sum(clock.waits) < LEASE_SECONDS:
            clock.during_sleep.append(arrive_late)
        else:
            request = orphaned.request
            await harness.context.argil.create_avatar(
                build_create_request(request, submission.id, request.recordings)
            )

    for _ in range(interruptions):
        clock.during_sleep.append(interrupt)
        with pytest.raises(asyncio.CancelledError):
            await harness.resolve_submission(orphaned)
    clock.sleeps.clear()
    clock.during_sleep.append(arrive_late)
    adopted = await harness.resolve_submission(orphaned)
    assert adopted.status is Status.TRAINING
    assert await harness.states(adopted) == [CREATED]
    assert len(argil.account.posts) == len(argil.account.avatars) == 1


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("timing", [{"list_lag_seconds": 0.7 * GRACE_SECONDS}])
async def test_clock_step_does_not_end_the_grace_period(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock, step: float
) -> None:
    unknown = await harness.submitted("cut-after-create,list-lag")
    clock.during_sleep.append(step_of(clock, step))
    adopted = await harness.resolve_submission(unknown)
    assert adopted.status is Status.TRAINING
    assert len(argil.account.avatars) == 1
    assert sum(clock.waits) < GRACE_SECONDS


@pytest.mark.parametrize("step", STEPS)
async def test_clock_step_does_not_extend_the_grace_period(
    harness: ProvisioningHarness, clock: ScriptedClock, step: float
) -> None:
    unknown = await harness.submitted("cut-before-create")
    clock.step(step)  # before another process looks it up
    assert (await harness.resolve_submission(unknown)).status is Status.ACCEPTED
    assert GRACE_SECONDS <= sum(clock.waits) <= 1.5 * GRACE_SECONDS


@pytest.mark.parametrize("step", STEPS)
async def test_clock_step_does_not_extend_an_inconclusive_lookup(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock, step: float
) -> None:
    unknown = await harness.submitted("cut-before-create")
    gateway.canned_responses[LIST] = [Response("[null]", media_type="application/json") for _ in range(100)]
    clock.step(step)
    with pytest.raises(SubmissionUnresolved):
        await harness.resolve_submission(unknown)
    assert sum(clock.waits) <= (MAX_INCONCLUSIVE_GRACE_PERIODS + 0.5) * GRACE_SECONDS


async def test_unknown_outcome_and_resolution_are_events(harness: ProvisioningHarness) -> None:
    orphaned = await crashed(harness, sent=False)
    lost = await harness.resolve_submission(orphaned)
    [submission] = await harness.submissions(lost)
    unknown, resolved = (await harness.events(lost))[-2:]
    assert (unknown.from_status, unknown.to_status) == (Status.SUBMITTING, Status.SUBMITTING)
    assert (resolved.from_status, resolved.to_status) == (Status.SUBMITTING, Status.ACCEPTED)
    assert unknown.submission_id == resolved.submission_id == submission.id
    assert "presumed lost" in resolved.message


@pytest.mark.parametrize("timing", [{"list_lag_seconds": GRACE_SECONDS + 20}])
async def test_first_avatar_is_adopted_and_the_duplicate_reported(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The list lags longer than the grace period: the first submission is presumed lost, a second one is sent."""
    lost = await harness.resolve_submission(await harness.submitted("cut-after-create,garbled,list-lag"))
    assert await harness.states(lost) == [LOST]
    unknown = await submit_avatar.fn(lost, harness.owner)
    assert await harness.states(unknown) == [LOST, UNKNOWN]
    clock.advance(3600)
    adopted = await harness.resolve_submission(unknown)
    first, second = argil.account.avatars
    assert adopted.avatar_id == first["id"]
    assert (await harness.states(adopted))[0] is CREATED
    messages = [message for message in await harness.event_messages(adopted) if "duplicate" in message]
    assert len(messages) == 1
    assert second["id"] in messages[0]
    assert [record.levelno for record in caplog.records if "duplicate" in record.getMessage()] == [logging.ERROR]


@pytest.mark.parametrize("timing", [{"list_lag_seconds": GRACE_SECONDS + 20}])
async def test_avatar_of_a_lost_submission_is_adopted_later(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock
) -> None:
    lost = await harness.resolve_submission(await harness.submitted("cut-after-create,list-lag"))
    orphaned = await with_another_submission(harness, lost)
    clock.advance(3600)
    adopted = await harness.resolve_submission(orphaned)
    [avatar] = argil.account.avatars
    assert adopted.avatar_id == avatar["id"]
    assert (await harness.states(adopted))[0] is CREATED


@pytest.mark.parametrize("changes", [{"avatars_retrain_limit": 1}])
async def test_failed_avatar_before_a_retrain_is_not_adopted(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock
) -> None:
    failed = await harness.trained("fail", "TRAINING_FAILED")
    clock.advance(100)
    retrain = await record_training_failure.fn(failed.id, harness.owner)
    assert retrain.status is Status.ACCEPTED
    lost = await harness.resolve_submission(await with_another_submission(harness, retrain))
    assert (lost.status, lost.avatar_id) == (Status.ACCEPTED, None)
    assert await harness.states(lost) == [CREATED, LOST]
    assert [avatar["status"] for avatar in argil.account.avatars] == ["TRAINING_FAILED"]


async def test_avatars_of_other_provisionings_are_not_adopted(
    harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    other = await harness.submitted(reference="another")
    lost = await harness.resolve_submission(await harness.submitted("cut-before-create", name="Grace"))
    assert lost.status is Status.ACCEPTED
    assert [avatar["id"] for avatar in argil.account.avatars] == [other.avatar_id]


# Argil does not respond


@pytest.mark.parametrize("status", [404, 429, 500, 502])
async def test_failed_polls_resolve_nothing(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock, status: int
) -> None:
    """Argil fails for longer than the grace period; then the list contains the avatar."""
    unknown = await harness.submitted("cut-after-create")
    gateway.canned_responses[LIST] = [Response(status_code=status) for _ in range(15)]
    adopted = await harness.resolve_submission(unknown)
    assert adopted.status is Status.TRAINING
    assert sum(clock.waits) > GRACE_SECONDS


async def test_grace_period_starts_at_the_first_successful_list(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock
) -> None:
    """While Argil fails, it may not have listed the avatar either."""
    unknown = await harness.submitted("cut-before-create")
    gateway.canned_responses[LIST] = [Response(status_code=500) for _ in range(15)]
    assert (await harness.resolve_submission(unknown)).status is Status.ACCEPTED
    assert clock.waits == [0.2] * 20


async def test_retry_after_delays_the_next_poll(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock
) -> None:
    unknown = await harness.submitted("cut-after-create")
    gateway.canned_responses[LIST] = [
        Response(status_code=429, headers={"retry-after": "40"}),
        Response(status_code=503, headers={"retry-after": "0"}),
    ]
    assert (await harness.resolve_submission(unknown)).status is Status.TRAINING
    assert clock.waits == [40.0, 0.2]


@pytest.mark.parametrize(
    "changes", [{"argil_api_url": "http://127.0.0.1:9/v1", "avatars_lookup_grace_seconds": 100.0}]
)
@pytest.mark.parametrize("step", [0.0, *STEPS])
async def test_lookup_timeout_is_an_operational_error(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock, step: float
) -> None:
    orphaned = await crashed(harness, sent=False)
    started_at = clock.monotonic()
    clock.during_sleep.append(step_of(clock, step))
    with pytest.raises(ArgilUnreachable) as caught:
        await harness.resolve_submission(orphaned)
    assert LOOKUP_TIMEOUT_SECONDS < clock.monotonic() - started_at < 1.1 * LOOKUP_TIMEOUT_SECONDS
    assert "avatars resume" in caught.value.hint
    assert (await harness.reload(orphaned)).status is Status.SUBMITTING
    assert await harness.states(orphaned) == [SubmissionState.PENDING]
    assert argil.account.posts == []


@pytest.mark.parametrize("changes", [{"avatars_lookup_grace_seconds": 3600.0}])
async def test_each_response_restarts_the_lookup_timeout(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock
) -> None:
    """Argil fails for twice the timeout, with one response in between that does not contain the avatar yet."""
    unknown = await harness.submitted("cut-after-create")
    failures = [Response(status_code=503, headers={"retry-after": "100"})] * int(LOOKUP_TIMEOUT_SECONDS // 100)
    gateway.canned_responses[LIST] = [*failures, Response("[]"), *failures]
    adopted = await harness.resolve_submission(unknown)
    assert adopted.status is Status.TRAINING
    assert sum(clock.waits) > 2 * LOOKUP_TIMEOUT_SECONDS


async def test_rejected_api_key_stops_the_lookup(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock
) -> None:
    unknown = await harness.submitted("cut-after-create")
    gateway.canned_responses[LIST] = [Response(status_code=401)]
    with pytest.raises(ArgilUnauthorized):
        await harness.resolve_submission(unknown)
    assert await harness.reload(unknown) == unknown
    assert clock.waits == []


@pytest.mark.parametrize("changes", [{"avatars_lookup_grace_seconds": 0.0}])
async def test_every_third_lost_submission_is_an_operational_error(
    harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    provisioning = await harness.resolve_submission(await crashed(harness, sent=False))
    provisioning = await harness.resolve_submission(await with_another_submission(harness, provisioning))
    third = await with_another_submission(harness, provisioning)
    with pytest.raises(ArgilUnreachable, match="3 submissions") as caught:
        await harness.resolve_submission(third)
    current = await harness.reload(third)
    assert current.status is Status.ACCEPTED
    assert await harness.states(current) == [LOST, LOST, LOST]
    assert [reason.message for reason in current.reasons] == [caught.value.message]
    fourth = await harness.resolve_submission(await with_another_submission(harness, current))
    assert fourth.status is Status.ACCEPTED
    assert fourth.reasons == []
    assert argil.account.posts == []


async def test_nothing_is_resolved_after_a_take_over(
    harness: ProvisioningHarness, clock: ScriptedClock, other_owner: LeaseOwner
) -> None:
    unknown = await harness.submitted("cut-before-create")

    async def take_over() -> None:
        clock.advance(LEASE_SECONDS)
        await harness.context.leases.acquire(unknown.id, other_owner, harness.context.lease_duration)

    clock.during_sleep.append(take_over)
    with pytest.raises(StaleVersion):
        await harness.resolve_submission(unknown)
    assert await harness.states(unknown) == [UNKNOWN]
