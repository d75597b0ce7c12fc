"""What became of a create that got no answer: adopted where Argil has its avatar, given up where it has none."""

from __future__ import annotations

import logging

import pytest
from starlette.responses import Response

from models.errors import ArgilUnauthorized, ArgilUnreachable, StaleVersion
from models.provisioning import Driver, Provisioning, Status, SubmissionState
from simulator.server import ArgilSimulator
from tasks.find_submission import PATIENCE
from tasks.record_training_failure import record_training_failure
from tasks.submit_avatar import create_request, submit_avatar
from tests.tasks.conftest import GRACE_SECONDS, LEASE_SECONDS, Desk, EventfulClock, Gate

LIST = ("GET", "/v1/avatars")
LOST, TAKEN, UNKNOWN = SubmissionState.LOST, SubmissionState.TAKEN, SubmissionState.UNKNOWN


async def crashed(desk: Desk, *, sent: bool) -> Provisioning:
    """Return one whose driver died after its intent was recorded: before the POST, or just after it."""
    submitting, submission = await desk.active.ledger.begin_submission(
        await desk.accepted(), desk.driver, "a create was recorded"
    )
    if sent:
        await desk.active.argil.create(create_request(submitting.request, submission.id))
    return submitting


async def again(desk: Desk, provisioning: Provisioning) -> Provisioning:
    """Return it with another create that was recorded and never sent."""
    return (await desk.active.ledger.begin_submission(provisioning, desk.driver, "a create was recorded"))[0]


@pytest.mark.parametrize("scenario", ["cut-after-create", "error-after-create", "garbled"])
async def test_an_avatar_that_was_made_without_an_answer_is_adopted_and_is_the_only_one(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock, scenario: str
) -> None:
    unknown = await desk.submitted(scenario)
    assert unknown.status is Status.SUBMITTING
    clock.pass_(5)
    adopted = await desk.found(unknown)
    [avatar] = argil.world.avatars
    [submission] = await desk.submissions(adopted)
    assert adopted.status is Status.TRAINING
    assert (adopted.avatar_id, adopted.avatar) == (avatar["id"], avatar)
    assert adopted.training_since == submission.created_at
    assert (submission.state, submission.avatar_id) == (TAKEN, avatar["id"])
    assert len(argil.world.posts) == 1
    assert clock.waits == []
    assert any("adopted" in why and avatar["id"] in why for why in await desk.whys(adopted))


@pytest.mark.parametrize("timing", [{"list_lag_seconds": 0.7 * GRACE_SECONDS}])
async def test_a_list_that_lags_within_the_grace_period_is_waited_for(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock
) -> None:
    began = clock.now()
    adopted = await desk.found(await desk.submitted("cut-after-create,list-lag"))
    assert adopted.status is Status.TRAINING
    assert len(argil.world.avatars) == 1
    assert 0.7 * GRACE_SECONDS <= (clock.now() - began).total_seconds() < GRACE_SECONDS


async def test_a_create_that_never_arrived_is_given_up_after_the_grace_period_and_sent_anew(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock
) -> None:
    began = clock.now()
    lost = await desk.found(await desk.submitted("cut-before-create"))
    assert lost.status is Status.ACCEPTED
    assert lost.reasons == []
    assert await desk.states(lost) == [LOST]
    assert GRACE_SECONDS <= (clock.now() - began).total_seconds() <= 1.5 * GRACE_SECONDS
    training = await submit_avatar.fn(lost, desk.driver)
    assert training.status is Status.TRAINING
    assert await desk.states(training) == [LOST, TAKEN]
    assert len({submission.id for submission in await desk.submissions(training)}) == 2
    assert len(argil.world.avatars) == 1


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ({"avatars_lookup_grace_seconds": 1.0}, [0.2] * 5),
        ({"avatars_lookup_grace_seconds": 20.0}, [2.0] * 10),
        ({"avatars_lookup_grace_seconds": 60.0}, [5.0] * 12),
    ],
)
async def test_the_looks_are_spread_over_the_grace_period(
    desk: Desk, clock: EventfulClock, waits: list[float]
) -> None:
    await desk.found(await desk.submitted("cut-before-create"))
    assert clock.waits == waits


@pytest.mark.parametrize("changes", [{"avatars_lookup_grace_seconds": 0.0}])
async def test_without_any_grace_period_one_look_decides(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock
) -> None:
    assert (await desk.found(await desk.submitted("cut-before-create"))).status is Status.ACCEPTED
    assert argil.world.count("GET /avatars") == 1
    assert clock.waits == []


@pytest.mark.parametrize("sent", [False, True])
async def test_what_a_dead_driver_left_is_looked_for_before_anything_is_sent(
    desk: Desk, argil: ArgilSimulator, *, sent: bool
) -> None:
    found = await desk.found(await crashed(desk, sent=sent))
    assert found.status is (Status.TRAINING if sent else Status.ACCEPTED)
    assert await desk.states(found) == [TAKEN if sent else LOST]
    assert len(argil.world.posts) == int(sent)
    assert any("the driver died" in why for why in await desk.whys(found))


async def test_the_grace_period_of_a_dead_drivers_create_begins_when_it_is_taken_up(
    desk: Desk, clock: EventfulClock
) -> None:
    left = await crashed(desk, sent=False)
    clock.pass_(3600)
    taken_up = clock.now()
    await desk.found(left)
    assert (clock.now() - taken_up).total_seconds() >= GRACE_SECONDS


async def test_each_unknown_and_how_it_was_resolved_are_events(desk: Desk) -> None:
    left = await crashed(desk, sent=False)
    lost = await desk.found(left)
    [submission] = await desk.submissions(lost)
    unknown, resolved = (await desk.events(lost))[-2:]
    assert (unknown.from_status, unknown.to_status) == (Status.SUBMITTING, Status.SUBMITTING)
    assert (resolved.from_status, resolved.to_status) == (Status.SUBMITTING, Status.ACCEPTED)
    assert unknown.submission_id == resolved.submission_id == submission.id
    assert "taken for lost" in resolved.why


@pytest.mark.parametrize("timing", [{"list_lag_seconds": GRACE_SECONDS + 20}])
async def test_of_two_avatars_the_first_is_kept_and_the_duplicate_is_told(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The list lags longer than the grace period: the first create is taken for lost, and a second is sent."""
    lost = await desk.found(await desk.submitted("cut-after-create,garbled,list-lag"))
    assert await desk.states(lost) == [LOST]
    unknown = await submit_avatar.fn(lost, desk.driver)
    assert await desk.states(unknown) == [LOST, UNKNOWN]
    clock.pass_(3600)
    adopted = await desk.found(unknown)
    first, second = argil.world.avatars
    assert adopted.avatar_id == first["id"]
    assert (await desk.states(adopted))[0] is TAKEN
    told = [why for why in await desk.whys(adopted) if "duplicate" in why]
    assert len(told) == 1
    assert second["id"] in told[0]
    assert [record.levelno for record in caplog.records if "duplicate" in record.getMessage()] == [logging.ERROR]


@pytest.mark.parametrize("timing", [{"list_lag_seconds": GRACE_SECONDS + 20}])
async def test_a_create_given_up_too_early_is_still_adopted_instead_of_a_later_one(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock
) -> None:
    lost = await desk.found(await desk.submitted("cut-after-create,list-lag"))
    left = await again(desk, lost)
    clock.pass_(3600)
    adopted = await desk.found(left)
    [avatar] = argil.world.avatars
    assert adopted.avatar_id == avatar["id"]
    assert (await desk.states(adopted))[0] is TAKEN


@pytest.mark.parametrize("changes", [{"avatars_retrain_limit": 1}])
async def test_the_failed_avatar_of_an_earlier_training_is_not_adopted(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock
) -> None:
    failed = await desk.trained("fail", "TRAINING_FAILED")
    clock.pass_(100)
    retrain = await record_training_failure.fn(failed.id, desk.driver)
    assert retrain.status is Status.ACCEPTED
    lost = await desk.found(await again(desk, retrain))
    assert (lost.status, lost.avatar_id) == (Status.ACCEPTED, None)
    assert await desk.states(lost) == [TAKEN, LOST]
    assert [avatar["status"] for avatar in argil.world.avatars] == ["TRAINING_FAILED"]


async def test_avatars_of_others_are_none_of_ours(desk: Desk, argil: ArgilSimulator) -> None:
    stranger = await desk.submitted(reference="somebody-else")
    lost = await desk.found(await desk.submitted("cut-before-create", name="Grace"))
    assert lost.status is Status.ACCEPTED
    assert [avatar["id"] for avatar in argil.world.avatars] == [stranger.avatar_id]


# Where Argil does not answer


@pytest.mark.parametrize("status", [404, 429, 500, 502])
async def test_looks_without_an_answer_decide_nothing(
    desk: Desk, gate: Gate, clock: EventfulClock, status: int
) -> None:
    """Argil is down for longer than the grace period; then the list shows the avatar."""
    unknown = await desk.submitted("cut-after-create")
    gate.answers[LIST] = [Response(status_code=status) for _ in range(15)]
    adopted = await desk.found(unknown)
    assert adopted.status is Status.TRAINING
    assert sum(clock.waits) > GRACE_SECONDS


async def test_after_the_last_failing_look_one_good_look_decides(desk: Desk, gate: Gate) -> None:
    unknown = await desk.submitted("cut-before-create")
    gate.answers[LIST] = [Response(status_code=500) for _ in range(15)]
    assert (await desk.found(unknown)).status is Status.ACCEPTED


async def test_argils_wish_between_two_looks_is_respected(desk: Desk, gate: Gate, clock: EventfulClock) -> None:
    unknown = await desk.submitted("cut-after-create")
    gate.answers[LIST] = [
        Response(status_code=429, headers={"retry-after": "40"}),
        Response(status_code=503, headers={"retry-after": "0"}),
    ]
    assert (await desk.found(unknown)).status is Status.TRAINING
    assert clock.waits == [40.0, 0.2]


@pytest.mark.parametrize(
    "changes", [{"argil_api_url": "http://127.0.0.1:9/v1", "avatars_lookup_grace_seconds": 100.0}]
)
async def test_patience_ends_with_the_operator_and_nothing_is_sent_or_given_up(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock
) -> None:
    left = await crashed(desk, sent=False)
    began = clock.now()
    with pytest.raises(ArgilUnreachable) as caught:
        await desk.found(left)
    assert PATIENCE < clock.now() - began < 1.1 * PATIENCE
    assert "avatars resume" in caught.value.hint
    assert (await desk.now(left)).status is Status.SUBMITTING
    assert await desk.states(left) == [UNKNOWN]
    assert argil.world.posts == []


@pytest.mark.parametrize("changes", [{"avatars_lookup_grace_seconds": 3600.0}])
async def test_each_answer_restores_the_patience(desk: Desk, gate: Gate, clock: EventfulClock) -> None:
    """Twice as long without an answer as patience lasts, with one answer in between that does not show it yet."""
    unknown = await desk.submitted("cut-after-create")
    down = [Response(status_code=503, headers={"retry-after": "100"})] * int(PATIENCE.total_seconds() // 100)
    gate.answers[LIST] = [*down, Response("[]"), *down]
    adopted = await desk.found(unknown)
    assert adopted.status is Status.TRAINING
    assert sum(clock.waits) > 2 * PATIENCE.total_seconds()


async def test_a_refused_key_stops_the_looking(desk: Desk, gate: Gate, clock: EventfulClock) -> None:
    unknown = await desk.submitted("cut-after-create")
    gate.answers[LIST] = [Response(status_code=401)]
    with pytest.raises(ArgilUnauthorized):
        await desk.found(unknown)
    assert await desk.now(unknown) == unknown
    assert clock.waits == []


@pytest.mark.parametrize("changes", [{"avatars_lookup_grace_seconds": 0.0}])
async def test_every_third_create_lost_in_a_row_asks_the_operator(desk: Desk, argil: ArgilSimulator) -> None:
    found = await desk.found(await crashed(desk, sent=False))
    found = await desk.found(await again(desk, found))
    third = await again(desk, found)
    with pytest.raises(ArgilUnreachable, match="3 creates") as caught:
        await desk.found(third)
    now = await desk.now(third)
    assert now.status is Status.ACCEPTED
    assert await desk.states(now) == [LOST, LOST, LOST]
    assert [reason.message for reason in now.reasons] == [caught.value.message]
    fourth = await desk.found(await again(desk, now))
    assert fourth.status is Status.ACCEPTED
    assert fourth.reasons == []
    assert argil.world.posts == []


async def test_who_was_overtaken_while_looking_settles_nothing(
    desk: Desk, clock: EventfulClock, other: Driver
) -> None:
    unknown = await desk.submitted("cut-before-create")

    async def overtake() -> None:
        clock.pass_(LEASE_SECONDS)
        await desk.active.leases.claim(unknown.id, other, desk.active.lease)

    clock.meanwhile.append(overtake)
    with pytest.raises(StaleVersion):
        await desk.found(unknown)
    assert await desk.states(unknown) == [UNKNOWN]
