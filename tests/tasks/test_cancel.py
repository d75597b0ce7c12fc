"""Cancelling: before the POST nothing is created, after it the avatar is kept in view, and resume goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from models.errors import LeaseHeld, NothingToCancel, StaleVersion
from models.provisioning import Driver, Provisioning, Status, SubmissionState
from simulator.server import ArgilSimulator
from store.leases import Leases
from tasks.await_training import await_training
from tasks.cancel import cancel
from tasks.find_provisioning import reopen_provisioning
from tasks.hold import Hold
from tasks.lease import leased, unless_taken_away
from tasks.submit_avatar import submit_avatar
from tests.tasks.conftest import TRAINING_SECONDS, Desk, EventfulClock, unattended


async def cancelled(desk: Desk, seen: Provisioning) -> Provisioning:
    return await cancel(desk.active.ledger, seen, Driver(actor="cancel", id="person"), "a person cancelled it")


async def test_before_the_post_nothing_is_created(desk: Desk, argil: ArgilSimulator) -> None:
    accepted = await desk.accepted()
    ended = await cancelled(desk, accepted)
    assert (ended.status, ended.avatar_id) == (Status.CANCELLED, None)
    assert "nothing was sent" in ended.reasons[0].message
    with pytest.raises(StaleVersion):
        await submit_avatar.fn(accepted, desk.driver)
    assert argil.world.posts == []


async def test_in_training_it_keeps_its_avatar_and_says_that_argil_goes_on(desk: Desk) -> None:
    submitted = await desk.submitted()
    ended = await cancelled(desk, submitted)
    assert (ended.status, ended.avatar_id) == (Status.CANCELLED, submitted.avatar_id)
    assert f"avatar {submitted.avatar_id} stays at Argil" in ended.reasons[0].message
    assert (await cancelled(desk, ended)) == ended


async def test_what_has_another_end_cannot_be_cancelled(desk: Desk) -> None:
    ready = await desk.active.ledger.record(await desk.submitted(), desk.driver, "x", to=Status.READY)
    with pytest.raises(NothingToCancel, match="is READY"):
        await cancelled(desk, ready)


async def test_what_argil_says_later_is_recorded_and_resume_sees_it_through(
    desk: Desk, clock: EventfulClock
) -> None:
    ended = await cancelled(desk, await desk.submitted())
    await desk.active.leases.release(ended.id, desk.driver)
    clock.pass_(TRAINING_SECONDS + 1)
    for _ in range(2):
        assert await unattended(desk.driver) == []
    now = await desk.now(ended)
    assert (now.status, now.raw_status) == (Status.CANCELLED, "IDLE")
    assert (await desk.whys(ended)).count("Argil says IDLE") == 1
    assert (await reopen_provisioning.fn(now, desk.driver)).status is Status.TRAINING


async def test_an_avatar_whose_answer_came_after_the_cancel_is_found(desk: Desk, argil: ArgilSimulator) -> None:
    """The person cancels while the POST is under way: its answer can be recorded by nobody."""
    accepted = await desk.accepted("cut-after-create")
    submitting = await submit_avatar.fn(accepted, desk.driver)
    assert submitting.status is Status.SUBMITTING
    ended = await cancelled(desk, submitting)
    assert ended.avatar_id is None
    await unattended(desk.driver)
    now = await desk.now(ended)
    assert (now.status, now.avatar_id) == (Status.CANCELLED, argil.world.avatars[0]["id"])
    assert await desk.states(ended) == [SubmissionState.TAKEN]


async def test_a_watch_ends_once_its_driver_may_not_write_any_more(desk: Desk, clock: EventfulClock) -> None:
    submitted = await desk.submitted("never")
    hold = Hold(submitted.id)
    desk.active.held[desk.driver.id] = {submitted.id: hold}

    async def lose() -> None:
        hold.lose()

    clock.meanwhile.append(lose)
    with pytest.raises(LeaseHeld, match=submitted.id):
        await await_training.fn(submitted, desk.driver, None)
    assert len(clock.waits) == 1
    with pytest.raises(LeaseHeld):
        await await_training.fn(submitted, desk.driver, None)


async def test_work_that_ends_first_tells_its_result(desk: Desk) -> None:
    async def work() -> str:
        return "done"

    desk.active.held[desk.driver.id] = {"x": Hold("x")}
    assert await unless_taken_away(desk.active, "x", desk.driver, work()) == "done"
    assert await unless_taken_away(desk.active, "nobody holds it", desk.driver, work()) == "done"


async def test_the_heart_of_a_cancelled_one_stops_and_tells_its_driver(
    desk: Desk, clock: EventfulClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed = asyncio.Event()
    renew_all = Leases.renew_all

    async def seen(self: Leases, *args: Any) -> frozenset[str]:
        try:
            return await renew_all(self, *args)
        finally:
            renewed.set()

    monkeypatch.setattr(Leases, "renew_all", seen)
    opened, _ = await desk.active.ledger.open(desk.request, "ada-1", desk.driver)
    async with leased(opened, desk.driver) as claimed:
        await cancelled(desk, claimed)
        hold = desk.active.held[desk.driver.id][claimed.id]
        with pytest.raises(LeaseHeld):
            await asyncio.wait_for(hold.unless_lost(asyncio.Event().wait()), 20)
    assert renewed.is_set()
    assert desk.active.held == {}
