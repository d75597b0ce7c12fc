"""Reconciliation of the account with the ledger: each duplicate is reported once, adopted avatars never."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from starlette.responses import JSONResponse, Response

from models.provisioning import LeaseOwner, Provisioning, Status, SubmissionState
from models.request_fields import SUBMISSION_ID_EXTRA
from models.settings import Settings
from services.account import duplicates as module
from services.cancellation import cancel_provisioning
from services.submissions import build_create_request
from simulator.server import ArgilSimulator
from store.ledger_reader import LedgerReader
from store.observations import Observation
from tasks.record_training_failure import record_training_failure
from tests.provisioning_harness import (
    LEASE_SECONDS,
    TRAINING_SECONDS,
    ProvisioningHarness,
    ScriptedClock,
    SimulatorGateway,
    list_orphaned,
)


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    avatar_ids: list[str] = []
    monkeypatch.setattr(module, "emit_duplicate_event", lambda _, avatar_id: avatar_ids.append(avatar_id))
    return avatar_ids


async def test_late_avatar_of_a_lost_submission_is_reported_once(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock, reported: list[str]
) -> None:
    """The simulator hides the avatar beyond the grace period, so a second one cannot be prevented."""
    accepted = await harness.accepted("cut-before-create")
    submitting = await harness.resolve_submission(await harness.submitted_from(accepted))
    assert submitting.status is Status.ACCEPTED
    [lost] = await harness.submissions(submitting)
    assert lost.state is SubmissionState.LOST
    training = await harness.submitted_from(submitting)
    assert training.status is Status.TRAINING
    late = await harness.context.argil.create_avatar(
        build_create_request(harness.request, lost.id, harness.request.recordings)
    )
    for _ in range(2):
        await list_orphaned(harness.owner)
    assert reported == [late.id]
    assert sum("duplicate at Argil" in message for message in await harness.event_messages(training)) == 1
    assert (await harness.reload(training)).version == training.version


async def test_avatars_on_record_are_not_read_from_the_ledger_again(
    harness: ProvisioningHarness, clock: ScriptedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger with 100,000 trainings would be read twice per pass. A cancelled one is: its status is recorded."""
    first, second = [await harness.submitted(reference=f"ada-{number}") for number in range(2)]
    await cancel_provisioning(harness.context.ledger, second, harness.owner, "a person cancelled it")
    [of_first], [of_second] = [await harness.submissions(item) for item in (first, second)]
    find = LedgerReader.find_by_submission_ids
    read: list[str] = []

    async def recorded_find(self: LedgerReader, submission_ids: Sequence[str]) -> list[Provisioning]:
        read.extend(submission_ids)
        return await find(self, submission_ids)

    monkeypatch.setattr(LedgerReader, "find_by_submission_ids", recorded_find)
    clock.advance(TRAINING_SECONDS)
    await list_orphaned(harness.owner)
    assert read == [of_second.id]
    assert of_first.id != of_second.id
    assert (await harness.reload(second)).raw_status == "IDLE"


@pytest.mark.parametrize("step", [7200.0, -7200.0])
async def test_live_owner_keeps_its_provisioning_after_a_clock_step(
    harness: ProvisioningHarness, clock: ScriptedClock, other_owner: LeaseOwner, step: float
) -> None:
    """Each lease seems to have expired until its owner renews it."""
    training = await harness.submitted()

    async def renew() -> None:
        await harness.context.leases.renew(training.id, harness.owner, harness.context.lease_duration)

    clock.step(step)
    clock.during_sleep.append(renew)
    assert await list_orphaned(other_owner) == []


@pytest.mark.parametrize("step", [7200.0, -7200.0])
async def test_crashed_owner_is_found_after_a_clock_step(
    harness: ProvisioningHarness, clock: ScriptedClock, other_owner: LeaseOwner, step: float
) -> None:
    training = await harness.submitted()
    clock.step(step)
    assert [item.id for item in await list_orphaned(other_owner)] == [training.id]
    assert clock.waits == [15.0]


@pytest.mark.parametrize(("status", "polls"), [(500, 1), (429, 1), (404, 1 + 4)])
async def test_failed_list_is_followed_by_one_poll_unless_it_succeeds(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock, status: int, polls: int
) -> None:
    """A 404 of one avatar shows that Argil answers: then each avatar is polled by its id."""
    trainings = [await harness.submitted(reference=f"ada-{number}") for number in range(4)]
    clock.advance(LEASE_SECONDS)
    error = JSONResponse({"code": status, "message": "simulated"}, status_code=status)
    gateway.canned_responses["GET", "/v1/avatars"] = [Response(status_code=500)]
    for training in trainings:
        gateway.canned_responses["GET", f"/v1/avatars/{training.avatar_id}"] = [error] * 2
    requests: list[str] = []
    gateway.on_request = lambda method, path: requests.append(f"{method} {path}")
    await list_orphaned(harness.owner)
    assert requests.count("GET /v1/avatars") == 1
    assert len(requests) - 1 == polls


async def test_pass_and_list_are_observed_only_if_they_succeed(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock
) -> None:
    observations = harness.context.observations
    gateway.canned_responses["GET", "/v1/avatars"] = [Response(status_code=500)]
    await list_orphaned(harness.owner)
    assert await observations.read_all() == {Observation.RECONCILED: clock.now()}
    await list_orphaned(harness.owner)
    assert (await observations.read_all()).keys() == {Observation.RECONCILED, Observation.ARGIL_LISTED}


async def test_late_avatar_of_a_waiting_request_is_adopted(
    harness: ProvisioningHarness, argil: ArgilSimulator, reported: list[str]
) -> None:
    waiting = await harness.resolve_submission(await harness.submitted("cut-before-create"))
    [lost] = await harness.submissions(waiting)
    late = await harness.context.argil.create_avatar(
        build_create_request(harness.request, lost.id, harness.request.recordings)
    )
    await list_orphaned(harness.owner)
    current = await harness.reload(waiting)
    assert (current.status, current.avatar_id) == (Status.TRAINING, late.id)
    assert await harness.states(current) == [SubmissionState.CREATED]
    assert reported == []


async def test_adopted_and_foreign_avatars_are_not_reported(
    harness: ProvisioningHarness, argil: ArgilSimulator, reported: list[str]
) -> None:
    training = await harness.submitted()
    request = build_create_request(
        harness.request, "00000000-0000-0000-0000-000000000000", harness.request.recordings
    )
    foreign = await harness.context.argil.create_avatar(request)
    assert foreign.extras[SUBMISSION_ID_EXTRA]
    before = await harness.event_messages(training)
    await list_orphaned(harness.owner)
    assert reported == []
    assert await harness.event_messages(training) == before


@pytest.mark.parametrize("changes", [{"avatars_retrain_limit": 1}])
async def test_failed_avatar_before_a_retrain_is_not_a_duplicate(
    harness: ProvisioningHarness, argil: ArgilSimulator, reported: list[str]
) -> None:
    assert isinstance(harness.context.settings, Settings)
    failed = await harness.trained("fail", "TRAINING_FAILED")
    retrained = await harness.submitted_from(await record_training_failure.fn(failed.id, harness.owner))
    assert len(argil.account.avatars) == 2
    await list_orphaned(harness.owner)
    assert retrained.status is Status.TRAINING
    assert reported == []


@pytest.mark.parametrize("changes", [{"avatars_retrain_limit": 1}])
async def test_cancelled_one_follows_only_its_current_avatar(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock, reported: list[str]
) -> None:
    failed = await harness.trained("fail", "TRAINING_FAILED")
    clock.advance(TRAINING_SECONDS)
    retrained = await harness.submitted_from(await record_training_failure.fn(failed.id, harness.owner))
    await harness.context.ledger.transition(retrained, harness.owner, "stopped", new_status=Status.CANCELLED)
    await list_orphaned(harness.owner)
    after_one_pass = await harness.reload(retrained)
    await list_orphaned(harness.owner)
    assert await harness.reload(retrained) == after_one_pass
    assert after_one_pass.raw_status != "TRAINING_FAILED"
