"""The watch over a training, and what of it the ledger keeps."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest
from starlette.responses import Response

from clients.training_watch import WatchEnd
from models.errors import ArgilUnauthorized, AvatarsError, StaleVersion
from models.provisioning import Driver, Status
from simulator.server import ArgilSimulator
from tasks.await_training import await_training
from tasks.record_end import record_end
from tests.tasks.conftest import (
    GRACE_SECONDS,
    LEASE_SECONDS,
    TIMEOUT_SECONDS,
    TRAINING_SECONDS,
    Desk,
    EventfulClock,
    Gate,
)

pytestmark = pytest.mark.parametrize("timing", [{"late_get_seconds": GRACE_SECONDS / 2}])


@pytest.mark.parametrize(
    ("scenario", "end", "raw_status"),
    [
        ("", WatchEnd.SETTLED, "IDLE"),
        ("fail", WatchEnd.SETTLED, "TRAINING_FAILED"),
        ("refuse", WatchEnd.SETTLED, "REFUSED"),
        ("late-get", WatchEnd.SETTLED, "IDLE"),
        ("flaky-polls", WatchEnd.SETTLED, "IDLE"),
        ("unknown-status", WatchEnd.SETTLED, "IDLE"),
        ("unknown-status,never", WatchEnd.TIMED_OUT, "TRAINING"),
        ("never", WatchEnd.TIMED_OUT, "TRAINING"),
        ("vanish", WatchEnd.VANISHED, "TRAINING"),
    ],
)
async def test_each_training_is_watched_to_its_end_and_the_ledger_keeps_what_argil_said(
    desk: Desk, argil: ArgilSimulator, scenario: str, end: WatchEnd, raw_status: str
) -> None:
    submitted = await desk.submitted(scenario)
    seen, ended = await await_training.fn(submitted, desk.driver, None)
    assert ended is end
    assert seen.status is Status.TRAINING
    assert seen.raw_status == raw_status
    if raw_status != "IDLE":  # that is recorded together with the end
        assert await desk.now(submitted) == seen
    assert len(argil.world.posts) == 1
    if end is WatchEnd.SETTLED:
        assert seen.avatar == argil.world.avatars[0]


async def test_what_a_training_yields_is_kept(desk: Desk) -> None:
    seen, _ = await await_training.fn(await desk.submitted(), desk.driver, None)
    assert seen.avatar is not None
    assert (seen.avatar["width"], seen.avatar["height"]) == (1920, 1080)
    assert seen.avatar["gestures"]
    assert seen.avatar["thumbnailUrl"]


async def test_each_change_is_one_event_with_the_raw_status(desk: Desk) -> None:
    submitted = await desk.submitted()
    seen, _ = await await_training.fn(submitted, desk.driver, None)
    await record_end.fn(seen, Status.READY, desk.driver)
    told = [(event.why, event.raw_status) for event in (await desk.events(submitted))[3:]]
    assert told == [("Argil says TRAINING", "TRAINING"), ("Argil says IDLE: the avatar can be used", "IDLE")]


async def test_a_status_that_is_on_record_is_not_recorded_again_by_the_next_watch(
    desk: Desk, gate: Gate, clock: EventfulClock
) -> None:
    submitted = await desk.submitted()
    clock.pass_(TRAINING_SECONDS / 2)
    gate.answers["GET", f"/v1/avatars/{submitted.avatar_id}"] = [
        Response('{"id": "a", "status": "TRAINING"}'),
        Response(status_code=401),
    ]
    with pytest.raises(ArgilUnauthorized):
        await await_training.fn(submitted, desk.driver, None)
    before = await desk.events(submitted)
    assert before[-1].raw_status == "TRAINING"
    seen, _ = await await_training.fn(await desk.now(submitted), desk.driver, None)
    assert seen.raw_status == "IDLE"
    assert await desk.events(submitted) == before


async def test_an_end_that_is_on_record_is_settled_by_one_look(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock
) -> None:
    trained = await desk.trained("fail", "TRAINING_FAILED")
    clock.pass_(TRAINING_SECONDS)
    seen, end = await await_training.fn(trained, desk.driver, None)
    assert (end, seen.raw_status) == (WatchEnd.SETTLED, "TRAINING_FAILED")
    assert argil.world.count("GET /avatars/{id}") == 1


async def test_a_status_that_no_document_knows_is_warned_of_once_and_watched_on(
    desk: Desk, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    submitted = await desk.submitted()
    gate.answers["GET", f"/v1/avatars/{submitted.avatar_id}"] = [
        Response(json.dumps({"id": submitted.avatar_id, "status": status}))
        for status in ("IN_REVIEW", "TRAINING", "IN_REVIEW", "PAUSED")
    ]
    _, end = await await_training.fn(submitted, desk.driver, None)
    assert end is WatchEnd.SETTLED
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [status for text in warnings for status in ("IN_REVIEW", "PAUSED") if status in text] == [
        "IN_REVIEW",
        "PAUSED",
    ]
    raw = [event.raw_status for event in (await desk.events(submitted))[3:]]
    assert raw[:4] == ["IN_REVIEW", "TRAINING", "IN_REVIEW", "PAUSED"]


async def test_the_deadline_counts_from_the_stored_creation_so_that_a_restart_does_not_reset_it(
    desk: Desk, clock: EventfulClock
) -> None:
    submitted = await desk.submitted("never")
    assert submitted.training_since is not None
    clock.pass_(TIMEOUT_SECONDS - 15)
    _, end = await await_training.fn(submitted, desk.driver, None)
    assert end is WatchEnd.TIMED_OUT
    assert clock.now() == submitted.training_since + timedelta(seconds=TIMEOUT_SECONDS)


@pytest.mark.parametrize(("scenario", "end"), [("", WatchEnd.SETTLED), ("never", WatchEnd.TIMED_OUT)])
async def test_long_past_the_deadline_one_look_still_decides(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock, scenario: str, end: WatchEnd
) -> None:
    submitted = await desk.submitted(scenario)
    clock.pass_(10 * TIMEOUT_SECONDS)
    assert (await await_training.fn(submitted, desk.driver, None))[1] is end
    assert argil.world.count("GET /avatars/{id}") == 1
    assert clock.waits == []


@pytest.mark.parametrize(
    ("patience", "looked_for"),
    [(0.0, 0.0), (25.0, 25.0), (TIMEOUT_SECONDS - 1, TIMEOUT_SECONDS - 1)],
)
async def test_a_watcher_whose_patience_ends_first_leaves_it_in_training(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock, patience: float, looked_for: float
) -> None:
    submitted, began = await desk.submitted("never"), clock.now()
    seen, end = await await_training.fn(submitted, desk.driver, patience)
    assert end is WatchEnd.STILL_TRAINING
    assert seen.status is Status.TRAINING
    assert (clock.now() - began).total_seconds() == pytest.approx(looked_for, abs=0.001)
    assert argil.world.count("GET /avatars/{id}") >= 1


@pytest.mark.parametrize(
    ("scenario", "passed", "end"),
    [
        ("never", 0.0, WatchEnd.TIMED_OUT),
        ("never", 2 * TIMEOUT_SECONDS, WatchEnd.TIMED_OUT),
        ("", 0.0, WatchEnd.SETTLED),
    ],
)
async def test_patience_beyond_the_deadline_changes_nothing(
    desk: Desk, clock: EventfulClock, scenario: str, passed: float, end: WatchEnd
) -> None:
    submitted = await desk.submitted(scenario)
    clock.pass_(passed)
    assert (await await_training.fn(submitted, desk.driver, TIMEOUT_SECONDS))[1] is end


async def test_one_look_without_patience_sees_an_end(desk: Desk, clock: EventfulClock) -> None:
    submitted = await desk.submitted("fail")
    clock.pass_(TRAINING_SECONDS)
    seen, end = await await_training.fn(submitted, desk.driver, 0.0)
    assert (end, seen.raw_status) == (WatchEnd.SETTLED, "TRAINING_FAILED")


async def test_a_refused_key_stops_the_watch_and_leaves_the_training_as_it_is(desk: Desk, gate: Gate) -> None:
    submitted = await desk.submitted()
    gate.answers["GET", f"/v1/avatars/{submitted.avatar_id}"] = [Response(status_code=403)]
    with pytest.raises(ArgilUnauthorized):
        await await_training.fn(submitted, desk.driver, None)
    assert await desk.now(submitted) == submitted


async def test_who_was_overtaken_while_watching_records_nothing(
    desk: Desk, clock: EventfulClock, other: Driver
) -> None:
    submitted = await desk.submitted()

    async def overtake() -> None:
        clock.pass_(LEASE_SECONDS)
        await desk.active.leases.claim(submitted.id, other, desk.active.lease)

    clock.meanwhile.append(overtake)
    with pytest.raises(StaleVersion):
        await await_training.fn(submitted, desk.driver, None)
    assert (await desk.now(submitted)).raw_status == "NOT_TRAINED"


async def test_there_is_nothing_to_watch_without_an_avatar(desk: Desk) -> None:
    with pytest.raises(AvatarsError, match="without an avatar"):
        await await_training.fn(await desk.accepted(), desk.driver, None)
