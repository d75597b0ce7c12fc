"""The ledger on both engines."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from models.errors import (
    ForbiddenTransition,
    LeaseHeld,
    ReferenceConflict,
    StaleVersion,
    UnknownProvisioning,
)
from models.provisioning import Driver, Provisioning, Status, SubmissionState
from models.reason import Reason
from models.request import ProvisioningRequest
from store.database import Database
from store.leases import Leases
from store.provisionings import Ledger
from tests.fakes import FakeClock

LEASE = timedelta(seconds=30)


@pytest.fixture
def ledger(database: Database, clock: FakeClock) -> Ledger:
    return Ledger(database, clock)


@pytest.fixture
def leases(database: Database, clock: FakeClock) -> Leases:
    return Leases(database, clock)


@pytest.fixture
async def accepted(ledger: Ledger, request_of_ada: ProvisioningRequest, driver: Driver) -> Provisioning:
    return (await ledger.open(request_of_ada, "ada-1", driver))[0]


def another_driver() -> Driver:
    return Driver(actor="another", id=str(uuid4()))


async def test_a_new_request_is_accepted_and_told_of(
    ledger: Ledger, accepted: Provisioning, request_of_ada: ProvisioningRequest, clock: FakeClock
) -> None:
    assert accepted.status is Status.ACCEPTED
    assert accepted.created_at == clock.now()
    assert accepted.request.dataset_video == request_of_ada.dataset_video
    assert await ledger.get(accepted.id) == await ledger.get("ada-1") == accepted
    [event] = await ledger.events(accepted.id)
    assert (event.from_status, event.to_status, event.actor) == (None, Status.ACCEPTED, "test")


async def test_the_same_reference_and_request_attach(
    ledger: Ledger, accepted: Provisioning, request_of_ada: ProvisioningRequest, driver: Driver
) -> None:
    again, is_new = await ledger.open(request_of_ada, "ada-1", driver)
    assert not is_new
    assert again == accepted
    assert len(await ledger.events(accepted.id)) == 1


async def test_a_new_signature_is_the_same_request_and_replaces_the_old_one_while_nothing_is_sent(
    ledger: Ledger, accepted: Provisioning, request_of_ada: ProvisioningRequest, driver: Driver
) -> None:
    signed_anew = request_of_ada.model_copy(update={"dataset_video": "https://videos.example/ada/dataset.mp4?s=2"})
    again, is_new = await ledger.open(signed_anew, "ada-1", driver)
    assert not is_new
    assert again.id == accepted.id
    assert again.request.dataset_video.endswith("?s=2")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Grace"},
        {"dataset_video": "https://videos.example/other.mp4"},
        {"consent_video": "https://videos.example/other.mp4"},
        {"extras": {"team": "blue"}},
    ],
)
async def test_the_same_reference_with_another_request_is_a_conflict_and_changes_nothing(
    ledger: Ledger,
    accepted: Provisioning,
    request_of_ada: ProvisioningRequest,
    driver: Driver,
    change: dict[str, object],
) -> None:
    with pytest.raises(ReferenceConflict, match="ada-1"):
        await ledger.open(request_of_ada.model_copy(update=change), "ada-1", driver)
    assert await ledger.get("ada-1") == accepted
    assert len(await ledger.events(accepted.id)) == 1


async def test_many_opening_one_reference_at_once_record_it_once(
    ledger: Ledger, request_of_ada: ProvisioningRequest, driver: Driver
) -> None:
    opened = await asyncio.gather(*(ledger.open(request_of_ada, "race", driver) for _ in range(20)))
    assert len({provisioning.id for provisioning, _ in opened}) == 1
    assert sum(is_new for _, is_new in opened) == 1


async def test_an_unknown_key_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(UnknownProvisioning, match="nobody"):
        await ledger.get("nobody")


async def test_a_transition_is_recorded_with_its_event(
    ledger: Ledger, accepted: Provisioning, driver: Driver
) -> None:
    reason = Reason(code="dataset.too-short", message="40 s, at least 60 s", hint="record more")
    rejected = await ledger.record(accepted, driver, "rules broken", to=Status.REJECTED, reasons=[reason])
    assert rejected.status is Status.REJECTED
    assert rejected.reasons == [reason]
    assert await ledger.get(accepted.id) == rejected
    event = (await ledger.events(accepted.id))[-1]
    assert (event.from_status, event.to_status, event.why) == (Status.ACCEPTED, Status.REJECTED, "rules broken")


async def test_a_transition_that_makes_no_sense_is_refused(
    ledger: Ledger, accepted: Provisioning, driver: Driver
) -> None:
    with pytest.raises(ForbiddenTransition, match="ACCEPTED to READY"):
        await ledger.record(accepted, driver, "no", to=Status.READY)
    assert await ledger.get(accepted.id) == accepted


async def test_only_one_of_many_writers_that_read_the_same_version_wins(
    ledger: Ledger, accepted: Provisioning, driver: Driver
) -> None:
    results = await asyncio.gather(
        *(ledger.begin_submission(accepted, driver, f"writer {n}") for n in range(10)), return_exceptions=True
    )
    assert sum(isinstance(result, StaleVersion) for result in results) == 9
    assert len(await ledger.submissions(accepted.id)) == 1
    assert len(await ledger.events(accepted.id)) == 2


async def test_a_submission_is_there_before_its_answer_and_settles_with_the_transition(
    ledger: Ledger, accepted: Provisioning, driver: Driver, clock: FakeClock
) -> None:
    submitting, submission = await ledger.begin_submission(accepted, driver, "recorded")
    assert submitting.status is Status.SUBMITTING
    assert [one.state for one in await ledger.submissions(accepted.id)] == [SubmissionState.PENDING]
    clock.pass_(2)
    training = await ledger.settle_submission(
        submitting,
        driver,
        "created",
        submission,
        SubmissionState.TAKEN,
        to=Status.TRAINING,
        avatar_id="a-1",
        training_since=submission.created_at,
    )
    assert (training.status, training.avatar_id) == (Status.TRAINING, "a-1")
    assert training.training_since == submission.created_at
    [settled] = await ledger.submissions(accepted.id)
    assert (settled.state, settled.avatar_id, settled.state_at) == (SubmissionState.TAKEN, "a-1", clock.now())


async def test_a_stale_driver_settles_nothing(ledger: Ledger, accepted: Provisioning, driver: Driver) -> None:
    submitting, submission = await ledger.begin_submission(accepted, driver, "recorded")
    await ledger.record(submitting, another_driver(), "overtaken")
    with pytest.raises(StaleVersion):
        await ledger.settle_submission(
            submitting, driver, "late", submission, SubmissionState.TAKEN, to=Status.TRAINING, avatar_id="a-1"
        )
    assert [one.state for one in await ledger.submissions(accepted.id)] == [SubmissionState.PENDING]


async def test_a_lease_keeps_others_out_until_it_ends(
    ledger: Ledger, leases: Leases, accepted: Provisioning, driver: Driver, clock: FakeClock
) -> None:
    mine = await leases.claim(accepted.id, driver, LEASE)
    other = another_driver()
    with pytest.raises(LeaseHeld):
        await leases.claim(accepted.id, other, LEASE)
    clock.pass_(20)
    await leases.renew(accepted.id, driver, LEASE)
    clock.pass_(20)
    with pytest.raises(LeaseHeld):
        await leases.claim(accepted.id, other, LEASE)
    clock.pass_(10)
    await leases.claim(accepted.id, other, LEASE)
    with pytest.raises(StaleVersion):
        await ledger.record(mine, driver, "I still believe that it is mine", to=Status.REJECTED)
    with pytest.raises(LeaseHeld):
        await leases.renew(accepted.id, driver, LEASE)


async def test_many_leases_are_renewed_at_once_and_those_that_were_lost_are_told(
    ledger: Ledger,
    leases: Leases,
    request_of_ada: ProvisioningRequest,
    driver: Driver,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("store.leases.PAGE", 2)
    opened = [(await ledger.open(request_of_ada, f"ada-{n}", driver))[0] for n in range(5)]
    for one in opened[:4]:
        await leases.claim(one.id, driver, LEASE)
    await leases.claim(opened[4].id, another_driver(), LEASE)
    clock.pass_(20)
    lost = await leases.renew_all([one.id for one in opened], driver, LEASE)
    assert lost == {opened[4].id}
    clock.pass_(20)
    with pytest.raises(LeaseHeld):
        await leases.claim(opened[3].id, another_driver(), LEASE)


async def test_a_lease_given_back_is_free_at_once(leases: Leases, accepted: Provisioning, driver: Driver) -> None:
    await leases.claim(accepted.id, driver, LEASE)
    await leases.release(accepted.id, driver)
    await leases.claim(accepted.id, another_driver(), LEASE)


async def test_one_of_many_claims_wins(leases: Leases, accepted: Provisioning) -> None:
    claims = (leases.claim(accepted.id, another_driver(), LEASE) for _ in range(10))
    results = await asyncio.gather(*claims, return_exceptions=True)
    assert sum(isinstance(result, LeaseHeld) for result in results) == 9


async def test_the_newest_come_first_and_can_be_of_one_status(
    ledger: Ledger, request_of_ada: ProvisioningRequest, driver: Driver, clock: FakeClock
) -> None:
    for number in range(3):
        opened, _ = await ledger.open(request_of_ada, f"ref-{number}", driver)
        if number == 1:
            await ledger.record(opened, driver, "no", to=Status.REJECTED)
        clock.pass_(1)
    assert [one.reference for one in await ledger.newest(None, 2)] == ["ref-2", "ref-1"]
    assert [one.reference for one in await ledger.newest(Status.REJECTED, 9)] == ["ref-1"]


async def test_submissions_are_found_for_many_at_once(
    ledger: Ledger, accepted: Provisioning, request_of_ada: ProvisioningRequest, driver: Driver
) -> None:
    other, _ = await ledger.open(request_of_ada, "ada-2", driver)
    _, submission = await ledger.begin_submission(accepted, driver, "recorded")
    assert await ledger.submissions_of([accepted.id, other.id]) == {accepted.id: [submission], other.id: []}
