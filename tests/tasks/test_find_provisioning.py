"""Finding a provisioning, and re-opening it where it may go on."""

from __future__ import annotations

import pytest

from models.errors import StaleVersion, UnknownProvisioning
from models.provisioning import Provisioning, Status
from models.reason import Reason
from simulator.server import ArgilSimulator
from tasks.find_provisioning import find_provisioning, reopen_provisioning
from tasks.record_training_failure import record_training_failure
from tasks.submit_avatar import submit_avatar
from tests.tasks.conftest import Desk

WHY = Reason(code="cancelled", message="Eve stopped it")


async def stopped(desk: Desk, seen: Provisioning, status: Status = Status.CANCELLED) -> Provisioning:
    return await desk.active.ledger.record(seen, desk.driver, "stopped", to=status, reasons=[WHY])


async def test_it_is_found_by_its_id_and_by_its_reference(desk: Desk) -> None:
    accepted = await desk.accepted(reference="ada-7")
    assert await find_provisioning.fn(accepted.id) == await find_provisioning.fn("ada-7") == accepted


async def test_what_nobody_recorded_is_not_found(desk: Desk) -> None:
    await desk.accepted()
    with pytest.raises(UnknownProvisioning, match="nobody") as caught:
        await find_provisioning.fn("nobody")
    assert "avatars list" in caught.value.hint


async def test_a_late_training_is_watched_again_against_its_old_deadline(desk: Desk) -> None:
    training = await desk.submitted("never")
    reopened = await reopen_provisioning.fn(await stopped(desk, training, Status.TIMED_OUT), desk.driver)
    assert (reopened.status, reopened.reasons) == (Status.TRAINING, [])
    assert (reopened.avatar_id, reopened.training_since) == (training.avatar_id, training.training_since)


async def test_one_cancelled_before_its_create_is_accepted_again(desk: Desk) -> None:
    reopened = await reopen_provisioning.fn(await stopped(desk, await desk.accepted()), desk.driver)
    assert (reopened.status, reopened.reasons) == (Status.ACCEPTED, [])


async def test_one_cancelled_in_training_is_in_training_again(desk: Desk, argil: ArgilSimulator) -> None:
    training = await desk.submitted("never")
    cancelled = await stopped(desk, training)
    assert cancelled.avatar_id == training.avatar_id
    reopened = await reopen_provisioning.fn(cancelled, desk.driver)
    assert (reopened.status, reopened.avatar_id) == (Status.TRAINING, training.avatar_id)
    assert len(argil.world.posts) == 1


@pytest.mark.parametrize("scenario", ["cut-after-create", "cut-before-create"])
async def test_one_cancelled_with_an_unknown_create_is_looked_for_before_anything_is_sent(
    desk: Desk, argil: ArgilSimulator, scenario: str
) -> None:
    reopened = await reopen_provisioning.fn(await stopped(desk, await desk.submitted(scenario)), desk.driver)
    assert reopened.status is Status.SUBMITTING
    assert len(argil.world.posts) == 1


async def test_one_cancelled_just_after_its_intent_is_looked_for_too(desk: Desk) -> None:
    submitting, _ = await desk.active.ledger.begin_submission(await desk.accepted(), desk.driver, "recorded")
    reopened = await reopen_provisioning.fn(await stopped(desk, submitting), desk.driver)
    assert reopened.status is Status.SUBMITTING


async def test_one_cancelled_after_its_create_was_given_up_is_accepted_again(desk: Desk) -> None:
    lost = await desk.found(await desk.submitted("cut-before-create"))
    assert (await reopen_provisioning.fn(await stopped(desk, lost), desk.driver)).status is Status.ACCEPTED


@pytest.mark.parametrize("changes", [{"avatars_retrain_limit": 1}])
async def test_one_cancelled_before_its_retrain_is_not_sent_back_to_the_failed_avatar(desk: Desk) -> None:
    failed = await desk.trained("fail", "TRAINING_FAILED")
    anew = await record_training_failure.fn(failed.id, desk.driver)
    reopened = await reopen_provisioning.fn(await stopped(desk, anew), desk.driver)
    assert (reopened.status, reopened.avatar_id) == (Status.ACCEPTED, None)
    assert (await submit_avatar.fn(reopened, desk.driver)).avatar_id not in {None, failed.avatar_id}


async def test_what_is_under_way_or_ended_for_good_comes_back_as_it_is(desk: Desk) -> None:
    accepted = await desk.accepted()
    training = await desk.submitted("never", reference="ada-2")
    rejected = await stopped(desk, await desk.accepted(reference="ada-3"), Status.REJECTED)
    for found in (accepted, training, rejected):
        events = await desk.events(found)
        assert await reopen_provisioning.fn(found, desk.driver) == found
        assert await desk.events(found) == events


async def test_of_two_who_reopen_it_at_once_one_loses(desk: Desk) -> None:
    cancelled = await stopped(desk, await desk.accepted())
    await reopen_provisioning.fn(cancelled, desk.driver)
    with pytest.raises(StaleVersion):
        await reopen_provisioning.fn(cancelled, desk.driver)
