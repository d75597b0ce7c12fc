"""The branches: the retrain policy, the refusal with its quarantine, and the ends that need no branch."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from models.errors import DatabaseError, ForbiddenTransition, UnknownProvisioning
from models.outcomes import OUTCOMES
from models.provisioning import Driver, Provisioning, Status, SubmissionState
from simulator.server import ArgilSimulator
from store.database import Database
from store.quarantine import Quarantine, Recording, recordings
from tasks.record_end import record_end
from tasks.record_refusal import record_refusal
from tasks.record_training_failure import record_training_failure
from tasks.runtime import Runtime, sharing
from tasks.submit_avatar import submit_avatar
from tests.tasks.conftest import Desk

FAILED, REFUSED = "TRAINING_FAILED", "REFUSED"


async def holders(desk: Desk, provisioning: Provisioning) -> list[str | None]:
    return [await desk.active.quarantine.holds(one) for one in recordings(provisioning).values()]


# Failed trainings


async def test_a_failed_training_is_the_end_by_default(desk: Desk) -> None:
    failed = await record_training_failure.fn((await desk.trained("fail", FAILED)).id, desk.driver)
    assert failed.status is Status.TRAINING_FAILED
    assert failed.retrains == 0
    [reason] = failed.reasons
    assert reason.code == "avatar.training-failed"
    assert (reason.message, reason.hint) == (
        OUTCOMES[Status.TRAINING_FAILED].meaning,
        OUTCOMES[Status.TRAINING_FAILED].next_step,
    )
    assert failed.avatar_id is not None
    assert await desk.now(failed) == failed


@pytest.mark.parametrize("changes", [{"avatars_retrain_limit": 2}])
async def test_the_policy_allows_as_many_retrains_as_it_says_each_with_an_avatar_of_its_own(
    desk: Desk, argil: ArgilSimulator
) -> None:
    seen = await desk.trained("fail", FAILED)
    for retrain in (1, 2):
        anew = await record_training_failure.fn(seen.id, desk.driver)
        assert (anew.status, anew.retrains) == (Status.ACCEPTED, retrain)
        assert (anew.avatar_id, anew.training_since) == (None, None)
        assert f"retrain {retrain} of 2" in (await desk.whys(anew))[-1]
        submitted = await submit_avatar.fn(anew, desk.driver)
        seen = await desk.active.ledger.record(submitted, desk.driver, "Argil says", raw_status=FAILED)
    failed = await record_training_failure.fn(seen.id, desk.driver)
    assert (failed.status, failed.retrains) == (Status.TRAINING_FAILED, 2)
    assert len({avatar["id"] for avatar in argil.world.avatars}) == 3
    assert failed.avatar_id == argil.world.avatars[-1]["id"]
    assert await desk.states(failed) == [SubmissionState.TAKEN] * 3


@pytest.mark.parametrize("changes", [{"avatars_retrain_limit": limit} for limit in (0, 1)])
async def test_recording_a_failure_twice_does_nothing_twice(desk: Desk) -> None:
    seen = await desk.trained("fail", FAILED)
    once = await record_training_failure.fn(seen.id, desk.driver)
    events = await desk.events(seen)
    twice = await record_training_failure.fn(seen.id, desk.driver)
    assert twice == once
    assert await desk.events(seen) == events


@pytest.mark.parametrize("changes", [{"avatars_retrain_limit": 1}])
async def test_what_is_retrained_already_is_not_retrained_by_its_old_failure(desk: Desk) -> None:
    seen = await desk.trained("fail", FAILED)
    anew = await record_training_failure.fn(seen.id, desk.driver)
    submitted = await submit_avatar.fn(anew, desk.driver)
    assert await record_training_failure.fn(seen.id, desk.driver) == submitted


@pytest.mark.parametrize("said", ["TRAINING", "IDLE", REFUSED, "NEW_ONE"])
async def test_a_training_that_argil_did_not_call_failed_is_left_alone(desk: Desk, said: str) -> None:
    seen = await desk.trained("never", said)
    assert await record_training_failure.fn(seen.id, desk.driver) == seen
    assert len(await desk.events(seen)) == 4


# Refusals


async def test_a_refusal_is_the_end_and_quarantines_both_recordings(desk: Desk, argil: ArgilSimulator) -> None:
    seen = await desk.trained("refuse", REFUSED)
    assert await holders(desk, seen) == [None, None]
    refused = await record_refusal.fn(seen.id, desk.driver)
    assert refused.status is Status.REFUSED
    assert [reason.code for reason in refused.reasons] == ["avatar.refused"]
    assert await holders(desk, refused) == [refused.id, refused.id]
    assert len(argil.world.posts) == 1


async def test_the_quarantine_knows_the_etag_and_size_that_the_check_found(desk: Desk) -> None:
    seen = await desk.trained("refuse", REFUSED)
    facts: dict[str, Any] = {"dataset": {"etag": '"d"', "size_bytes": 7}, "consent": None}
    seen = await desk.active.ledger.record(seen, desk.driver, "checked", media=facts)
    await record_refusal.fn(seen.id, desk.driver)
    assert await desk.active.quarantine.holds(Recording("https://elsewhere.example/d.mp4", '"d"', 7)) == seen.id


async def test_recording_a_refusal_twice_does_nothing_twice(desk: Desk) -> None:
    seen = await desk.trained("refuse", REFUSED)
    once = await record_refusal.fn(seen.id, desk.driver)
    events = await desk.events(seen)
    assert await record_refusal.fn(seen.id, desk.driver) == once
    assert await desk.events(seen) == events
    assert len(await desk.active.quarantine.release(seen.id, "reviewed")) == 2


async def test_a_released_recording_is_not_kept_out_again_by_its_old_refusal(desk: Desk) -> None:
    seen = await desk.trained("refuse", REFUSED)
    await record_refusal.fn(seen.id, desk.driver)
    await desk.active.quarantine.release(seen.id, "reviewed")
    await record_refusal.fn(seen.id, desk.driver)
    assert await holders(desk, seen) == [None, None]


async def test_no_refusal_is_recorded_without_its_quarantine(desk: Desk, active: Runtime) -> None:
    """The quarantine comes first: where it fails, the next run does both."""

    class Failing(Quarantine):
        async def put(self, provisioning: Provisioning) -> None:
            raise DatabaseError(f"no space left for {provisioning.id}")

    seen = await desk.trained("refuse", REFUSED)
    broken = Failing(Database("sqlite+aiosqlite://"), active.clock)
    async with sharing(dataclasses.replace(active, quarantine=broken)):
        with pytest.raises(DatabaseError):
            await record_refusal.fn(seen.id, desk.driver)
    assert await desk.now(seen) == seen
    async with sharing(active):
        assert (await record_refusal.fn(seen.id, desk.driver)).status is Status.REFUSED
    assert await holders(desk, seen) == [seen.id, seen.id]


@pytest.mark.parametrize("said", ["TRAINING", "IDLE", FAILED, "NEW_ONE"])
async def test_an_avatar_that_argil_did_not_refuse_is_left_alone(desk: Desk, said: str) -> None:
    seen = await desk.trained("never", said)
    assert await record_refusal.fn(seen.id, desk.driver) == seen
    assert await holders(desk, seen) == [None, None]


@pytest.mark.parametrize("record", [record_refusal, record_training_failure])
async def test_an_unknown_provisioning_is_told(active: Runtime, driver: Driver, record: Any) -> None:
    with pytest.raises(UnknownProvisioning, match="nobody"):
        await record.fn("nobody", driver)


# Ends without a branch


@pytest.mark.parametrize("status", [Status.TIMED_OUT, Status.VANISHED])
async def test_an_end_that_is_no_success_says_why_and_what_to_do(desk: Desk, status: Status) -> None:
    ended = await record_end.fn(await desk.submitted("never"), status, desk.driver)
    assert ended.status is status
    [reason] = ended.reasons
    assert (reason.message, reason.hint) == (OUTCOMES[status].meaning, OUTCOMES[status].next_step_of(ended.id))
    assert ended.avatar_id is not None


async def test_a_success_has_no_reasons(desk: Desk) -> None:
    ready = await record_end.fn(await desk.trained("", "IDLE"), Status.READY, desk.driver)
    assert (ready.status, ready.reasons) == (Status.READY, [])


async def test_an_end_is_recorded_once(desk: Desk) -> None:
    ready = await record_end.fn(await desk.trained("", "IDLE"), Status.READY, desk.driver)
    with pytest.raises(ForbiddenTransition):
        await record_end.fn(ready, Status.TIMED_OUT, desk.driver)
    assert (await desk.now(ready)).status is Status.READY
