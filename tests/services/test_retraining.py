"""Retrain: by a person, once per run, and never while an earlier avatar did not fail."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from starlette.responses import Response

from flows.engine.execution import InlineExecution
from flows.engine.state_machine import run_to_completion
from models.errors import (
    ArgilUnreachable,
    InvalidRequest,
    NotReopenable,
    ProvisioningErased,
    ReferenceConflict,
    StaleVersion,
    SubmissionBudgetUsed,
    SubmissionLimitReached,
)
from models.media.rules import MediaRole
from models.provisioning import LeaseOwner, Provisioning, Status, Submission, SubmissionState
from services.cancellation import cancel_provisioning
from services.reopening import open_request, resume, retry
from services.submissions import build_create_request
from simulator.server import ArgilSimulator
from store.erasure import erase
from tasks.adopt_late_avatar import adopt_late_avatar
from tasks.retrain_provisioning import retrain_provisioning
from tests.provisioning_harness import (
    TRAINING_SECONDS,
    ProvisioningHarness,
    ScriptedClock,
    SimulatorGateway,
    list_orphaned,
)

REASON = "Grace: recorded again with more light"
NEW_VIDEO = "https://videos.example/ada/dataset-2.mp4?X-Amz-Signature=canary-signature"


def make_owner(flow_run_id: str | None = None) -> LeaseOwner:
    return LeaseOwner(actor="retrain", id=str(uuid4()), flow_run_id=flow_run_id)


async def failed(
    harness: ProvisioningHarness,
    clock: ScriptedClock,
    status: Status = Status.TRAINING_FAILED,
    scenario: str = "fail",
) -> Provisioning:
    training = await harness.submitted(scenario)
    clock.advance(TRAINING_SECONDS)
    return await harness.context.ledger.transition(training, harness.owner, "ended", new_status=status)


async def retrain(provisioning: Provisioning, owner: LeaseOwner | None = None, **recordings: str) -> Provisioning:
    return await retrain_provisioning.fn(provisioning, owner or make_owner(), REASON, **recordings)


async def submit(harness: ProvisioningHarness, provisioning: Provisioning) -> Provisioning:
    leased = await harness.context.leases.acquire(provisioning.id, harness.owner, harness.context.lease_duration)
    return await harness.submitted_from(leased)


async def test_failed_training_is_reopened_with_its_reason(
    harness: ProvisioningHarness, clock: ScriptedClock, argil: ArgilSimulator
) -> None:
    before = await failed(harness, clock)
    reopened = await retrain(before, make_owner("run-2"))
    assert (reopened.status, reopened.avatar_id, reopened.flow_run_id) == (Status.ACCEPTED, None, "run-2")
    event = (await harness.events(before))[-1]
    assert (event.actor, event.flow_run_id) == ("retrain", "run-2")
    assert event.message.endswith(REASON)
    again = await submit(harness, reopened)
    assert again.avatar_id not in {None, before.avatar_id}
    assert len(argil.account.avatars) == 2


async def test_other_recordings_change_the_request_of_the_reference(
    harness: ProvisioningHarness, clock: ScriptedClock
) -> None:
    before = await failed(harness, clock)
    reopened = await retrain(before, dataset_video=NEW_VIDEO)
    assert reopened.request.recordings[MediaRole.DATASET] == NEW_VIDEO
    assert reopened.request_fingerprint == reopened.request.fingerprint != before.request_fingerprint
    await submit(harness, reopened)
    fingerprints = [item.request_fingerprint for item in await harness.submissions(before)]
    assert fingerprints == [before.request_fingerprint, reopened.request_fingerprint]
    assert "canary" not in "".join(await harness.event_messages(before))


async def test_run_retrains_once(harness: ProvisioningHarness, clock: ScriptedClock, argil: ArgilSimulator) -> None:
    reopened = await retrain(await failed(harness, clock), make_owner("run-2"))
    assert await retrain(reopened, make_owner("run-2")) == reopened
    training = await submit(harness, reopened)
    clock.advance(TRAINING_SECONDS)
    failed_again = await harness.context.ledger.transition(
        training, harness.owner, "failed", new_status=Status.TRAINING_FAILED
    )
    assert await retrain(failed_again, make_owner("run-2")) == failed_again


async def test_second_person_does_not_retrain_the_same_failure(
    harness: ProvisioningHarness, clock: ScriptedClock
) -> None:
    before = await failed(harness, clock)
    await retrain(before)
    with pytest.raises(NotReopenable, match="is ACCEPTED"):
        await retrain(before)


@pytest.mark.parametrize("recordings", [{}, {"dataset_video": NEW_VIDEO}], ids=["same", "other"])
async def test_run_that_found_it_in_flight_does_not_retrain_later(
    harness: ProvisioningHarness, clock: ScriptedClock, recordings: dict[str, str]
) -> None:
    training = await submit(harness, await retrain(await failed(harness, clock)))
    with pytest.raises(NotReopenable, match="is TRAINING"):
        await retrain(training, make_owner("run-3"), **recordings)
    clock.advance(TRAINING_SECONDS)
    failed_again = await harness.context.ledger.transition(
        training, harness.owner, "failed", new_status=Status.TRAINING_FAILED
    )
    assert await retrain(failed_again, make_owner("run-3"), **recordings) == failed_again
    assert (await retrain(failed_again, make_owner("run-4"), **recordings)).status is Status.ACCEPTED


@pytest.mark.parametrize("status", [Status.VANISHED, Status.TRAINING_FAILED])
@pytest.mark.parametrize("recordings", [{}, {"dataset_video": NEW_VIDEO}], ids=["same", "other"])
async def test_usable_earlier_avatar_is_used_instead(
    harness: ProvisioningHarness,
    clock: ScriptedClock,
    argil: ArgilSimulator,
    status: Status,
    recordings: dict[str, str],
) -> None:
    before = await failed(harness, clock, status, scenario="")
    reopened = await retrain(before, None, **recordings)
    assert (reopened.status, reopened.avatar_id) == (Status.TRAINING, before.avatar_id)
    assert reopened.request == before.request
    assert len(argil.account.posts) == 1


async def test_other_recordings_that_were_rejected_are_replaced(
    harness: ProvisioningHarness, clock: ScriptedClock
) -> None:
    reopened = await retrain(await failed(harness, clock), dataset_video=NEW_VIDEO)
    rejected = await harness.context.ledger.transition(
        reopened, make_owner(), "too short", new_status=Status.REJECTED
    )
    third = NEW_VIDEO.replace("-2", "-3")
    again = await retrain(rejected, dataset_video=third)
    assert (again.status, again.request.recordings[MediaRole.DATASET]) == (Status.ACCEPTED, third)


async def test_avatar_that_returns_after_a_retrain_is_a_duplicate(
    harness: ProvisioningHarness, clock: ScriptedClock, gateway: SimulatorGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.account.duplicates.emit_duplicate_event", lambda *_: None)
    gone = await failed(harness, clock, Status.VANISHED, scenario="")
    gateway.canned_responses["GET", "/v1/avatars"] = [Response("[]", media_type="application/json")]
    gateway.canned_responses["GET", f"/v1/avatars/{gone.avatar_id}"] = [
        Response('{"code": 404, "message": "no"}', status_code=404, media_type="application/json")
    ]
    retrained = await submit(harness, await retrain(gone))
    for _ in range(2):
        await list_orphaned(harness.owner)
    [duplicate] = await harness.context.ledger.list_duplicates(gone.id)
    assert duplicate.avatar_id == gone.avatar_id != retrained.avatar_id


async def test_unlisted_avatar_is_read_by_its_id(
    harness: ProvisioningHarness, clock: ScriptedClock, gateway: SimulatorGateway
) -> None:
    before = await failed(harness, clock, Status.VANISHED, scenario="")
    gateway.canned_responses["GET", "/v1/avatars"] = [Response("[]", media_type="application/json")]
    assert (await retrain(before)).status is Status.TRAINING


async def test_unreadable_account_submits_nothing(
    harness: ProvisioningHarness, clock: ScriptedClock, gateway: SimulatorGateway
) -> None:
    before = await failed(harness, clock)
    gateway.canned_responses["GET", "/v1/avatars"] = [Response(status_code=502)]
    with pytest.raises(ArgilUnreachable, match="nothing was submitted"):
        await retrain(before)
    assert await harness.reload(before) == before


async def failed_submission(harness: ProvisioningHarness) -> tuple[Provisioning, Submission]:
    """Return a provisioning in SUBMISSION_FAILED and its submission, which Argil has not carried out yet."""
    submitting = await harness.submitted("cut-before-create")
    [unknown] = await harness.submissions(submitting)
    failed = await harness.context.ledger.resolve_submission(
        submitting,
        harness.owner,
        "rejected",
        unknown,
        SubmissionState.NOT_CREATED,
        new_status=Status.SUBMISSION_FAILED,
    )
    return failed, unknown


async def test_late_avatar_of_a_failed_submission_is_found(
    harness: ProvisioningHarness, clock: ScriptedClock, argil: ArgilSimulator
) -> None:
    before, unknown = await failed_submission(harness)
    late = await harness.context.argil.create_avatar(
        build_create_request(harness.request, unknown.id, harness.request.recordings)
    )
    reopened = await retrain(before)
    assert (reopened.status, reopened.avatar_id) == (Status.TRAINING, late.id)
    [submission] = await harness.submissions(before)
    assert (submission.state, submission.avatar_id) == (SubmissionState.CREATED, late.id)


async def test_late_avatar_of_other_recordings_is_a_duplicate(
    harness: ProvisioningHarness, clock: ScriptedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.account.duplicates.emit_duplicate_event", lambda *_: None)
    before, unknown = await failed_submission(harness)
    reopened = await retrain(before, dataset_video=NEW_VIDEO)
    late = await harness.context.argil.create_avatar(
        build_create_request(harness.request, unknown.id, harness.request.recordings)
    )
    cancelled = await harness.context.ledger.transition(
        reopened, harness.owner, "cancelled", new_status=Status.CANCELLED
    )
    await list_orphaned(harness.owner)
    assert (await harness.reload(cancelled)).avatar_id is None
    [duplicate] = await harness.context.ledger.list_duplicates(before.id)
    assert duplicate.avatar_id == late.id


@pytest.mark.parametrize("changes", [{"avatars_submission_limit": 1}])
async def test_limit_refuses_a_retrain_and_changes_nothing(
    harness: ProvisioningHarness, clock: ScriptedClock
) -> None:
    before = await failed(harness, clock)
    with pytest.raises(SubmissionLimitReached, match="AVATARS_SUBMISSION_LIMIT=1"):
        await retrain(before)
    assert await harness.reload(before) == before


@pytest.mark.parametrize("changes", [{"avatars_submission_limit": 1}])
async def test_limit_stops_the_submission_after_a_lost_one(
    harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    lost = await harness.resolve_submission(await harness.submitted("cut-before-create"))
    with pytest.raises(SubmissionBudgetUsed) as caught:
        await harness.submitted_from(lost)
    assert caught.value.code == "budget.submissions"
    assert (await harness.reload(lost)).status is Status.ACCEPTED
    assert len(argil.account.posts) == 1


@pytest.mark.parametrize("changes", [{"avatars_submission_limit": 1}])
async def test_submission_that_created_nothing_does_not_count(harness: ProvisioningHarness) -> None:
    submitting, submission = await harness.context.ledger.begin_submission(
        await harness.accepted(), harness.owner, "recorded"
    )
    accepted = await harness.context.ledger.resolve_submission(
        submitting, harness.owner, "no", submission, SubmissionState.NOT_CREATED, new_status=Status.ACCEPTED
    )
    assert (await harness.submitted_from(accepted)).status is Status.TRAINING


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [({"reason": " "}, "reason"), ({"dataset_video": "http://videos.example/a.mp4"}, "https")],
)
async def test_invalid_input_changes_nothing(
    harness: ProvisioningHarness, clock: ScriptedClock, arguments: dict[str, Any], expected: str
) -> None:
    before = await failed(harness, clock)
    with pytest.raises(InvalidRequest, match=expected):
        await retrain_provisioning.fn(before, make_owner(), **{"reason": REASON, **arguments})
    assert await harness.reload(before) == before


async def test_erased_one_is_not_retrained(harness: ProvisioningHarness, clock: ScriptedClock) -> None:
    before = await failed(harness, clock)
    await erase(harness.context.ledger.database, clock, before, harness.owner, "erased")
    with pytest.raises(ProvisioningErased):
        await retrain(await harness.reload(before))


async def lost_and_failed(harness: ProvisioningHarness) -> tuple[Provisioning, Submission]:
    """Return a provisioning in TRAINING_FAILED after a lost submission, which Argil has not carried out yet."""
    lost = await harness.resolve_submission(await harness.submitted("cut-before-create,fail"))
    training = await harness.submitted_from(lost)
    failed = await harness.context.ledger.transition(
        training, harness.owner, "failed", new_status=Status.TRAINING_FAILED
    )
    return failed, (await harness.submissions(failed))[0]


@pytest.mark.parametrize("reconciles", [False, True])
async def test_failed_late_avatar_does_not_undo_a_retrain(
    harness: ProvisioningHarness,
    clock: ScriptedClock,
    monkeypatch: pytest.MonkeyPatch,
    reconciles: bool,
) -> None:
    monkeypatch.setattr("services.account.duplicates.emit_duplicate_event", lambda *_: None)
    before, lost = await lost_and_failed(harness)
    request = harness.request.model_copy(update={"extras": {"simulator": "fail"}})
    late = await harness.context.argil.create_avatar(build_create_request(request, lost.id, request.recordings))
    clock.advance(TRAINING_SECONDS)
    reopened = await retrain(before)
    assert reopened.status is Status.ACCEPTED
    if reconciles:
        await list_orphaned(harness.owner)
    assert await adopt_late_avatar.fn(await harness.reload(reopened), harness.owner) == reopened
    [duplicate] = await harness.context.ledger.list_duplicates(before.id)
    assert duplicate.avatar_id == late.id


@pytest.mark.parametrize("reconciles", [False, True])
async def test_avatar_that_returns_while_a_retrain_waits_is_used(
    harness: ProvisioningHarness, clock: ScriptedClock, gateway: SimulatorGateway, reconciles: bool
) -> None:
    gone = await failed(harness, clock, Status.VANISHED, scenario="")
    gateway.canned_responses["GET", "/v1/avatars"] = [Response("[]", media_type="application/json")]
    gateway.canned_responses["GET", f"/v1/avatars/{gone.avatar_id}"] = [
        Response('{"code": 404, "message": "no"}', status_code=404, media_type="application/json")
    ]
    waiting = await retrain(gone)
    assert waiting.status is Status.ACCEPTED
    if reconciles:
        await list_orphaned(harness.owner)
    else:
        await adopt_late_avatar.fn(waiting, harness.owner)
    continued = await harness.reload(gone)
    assert (continued.status, continued.avatar_id) == (Status.TRAINING, gone.avatar_id)


async def test_unreadable_known_avatar_submits_nothing_later(
    harness: ProvisioningHarness, clock: ScriptedClock, gateway: SimulatorGateway
) -> None:
    waiting = await retrain(await failed(harness, clock))
    [submission] = await harness.submissions(waiting)
    gateway.canned_responses["GET", f"/v1/avatars/{submission.avatar_id}"] = [Response(status_code=502)]
    with pytest.raises(ArgilUnreachable, match="nothing was submitted") as caught:
        await adopt_late_avatar.fn(waiting, harness.owner)
    assert f"avatars resume {waiting.id}" in caught.value.hint


async def test_waiting_retrain_gets_other_recordings(harness: ProvisioningHarness, clock: ScriptedClock) -> None:
    waiting = await retrain(await failed(harness, clock), dataset_video=NEW_VIDEO)
    third = NEW_VIDEO.replace("-2", "-3")
    changed = await retrain(waiting, dataset_video=third)
    assert (changed.status, changed.request.recordings[MediaRole.DATASET]) == (Status.ACCEPTED, third)
    with pytest.raises(StaleVersion):
        await harness.context.ledger.begin_submission(waiting, harness.owner, "with the earlier recordings")
    assert (await submit(harness, changed)).submission_count == 2
    assert "other recordings" in (await harness.event_messages(waiting))[-3]


async def test_signatures_of_a_retrain_may_be_renewed(harness: ProvisioningHarness, clock: ScriptedClock) -> None:
    before = await failed(harness, clock)
    signed_again = f"{before.request.recordings[MediaRole.DATASET]}?X-Amz-Signature=2"
    waiting = await retrain(before, dataset_video=signed_again)
    assert waiting.request.recordings[MediaRole.DATASET] == signed_again
    assert "the same recordings" in (await harness.event_messages(before))[-1]


@pytest.mark.parametrize("was_submitted", [True, False])
async def test_cancelled_retrain_keeps_its_request(
    harness: ProvisioningHarness, clock: ScriptedClock, was_submitted: bool
) -> None:
    """Resumed, it takes another request only if Argil never accepted one."""
    ended = await failed(harness, clock) if was_submitted else (await failed_submission(harness))[0]
    waiting = await retrain(ended)
    ledger, quarantine = harness.context.ledger, harness.context.quarantine
    cancelled = await cancel_provisioning(ledger, waiting, harness.owner, "stopped")
    other = waiting.request.model_copy(update={"dataset_video": NEW_VIDEO})
    with pytest.raises(ReferenceConflict) as caught:
        await open_request(ledger, quarantine, other, waiting.reference, make_owner(), ())
    assert "cancelled" in caught.value.hint
    with pytest.raises(NotReopenable, match="is CANCELLED") as refused:
        await retrain(cancelled, dataset_video=NEW_VIDEO)
    assert f"avatars resume {waiting.id}" in refused.value.hint
    attached, _ = await open_request(ledger, quarantine, waiting.request, waiting.reference, make_owner(), ())
    assert attached == cancelled
    resumed = await resume(ledger, cancelled, make_owner(), by_person=True)
    assert (resumed.status, resumed.avatar_id) == (Status.ACCEPTED, None)
    if was_submitted:
        with pytest.raises(ReferenceConflict):
            await open_request(ledger, quarantine, other, waiting.reference, make_owner(), ())
        changed = await retrain(resumed, dataset_video=NEW_VIDEO)
    else:
        changed, _ = await open_request(ledger, quarantine, other, waiting.reference, make_owner(), ())
    assert (changed.status, changed.request.recordings[MediaRole.DATASET]) == (Status.ACCEPTED, NEW_VIDEO)


@pytest.mark.parametrize("changes", [{"avatars_media_check": "strict"}])
async def test_retrain_of_a_recording_in_quarantine_sends_nothing(
    harness: ProvisioningHarness, clock: ScriptedClock, argil: ArgilSimulator
) -> None:
    before = await failed(harness, clock)
    await harness.context.quarantine.add(before)
    retrained = await retrain(before)
    stopped = await run_to_completion(retrained, harness.owner, 0.0, InlineExecution())
    assert stopped.status is Status.REJECTED
    assert {reason.code for reason in stopped.reasons} == {"dataset.quarantined", "consent.quarantined"}
    assert len(argil.account.posts) == 1
    await harness.context.quarantine.release(before, "reviewed", harness.owner)
    retried = await retry(harness.context.ledger, harness.context.quarantine, stopped, make_owner(), ())
    await run_to_completion(retried, harness.owner, 0.0, InlineExecution())
    assert len(argil.account.posts) == 2


async def test_request_that_was_never_sent_is_not_retrained(harness: ProvisioningHarness) -> None:
    with pytest.raises(NotReopenable, match="is ACCEPTED"):
        await retrain(await harness.accepted(), dataset_video=NEW_VIDEO)


async def test_retrain_with_an_address_outside_of_the_sources_changes_nothing(
    harness: ProvisioningHarness, clock: ScriptedClock
) -> None:
    provisioning = await failed(harness, clock)
    with pytest.raises(InvalidRequest, match="dataset_video: must be an https URL, because AVATARS_SOURCES"):
        await retrain_provisioning.fn(
            provisioning, make_owner("run-1"), REASON, dataset_video="s3://other/people/ada.mp4"
        )
    assert await harness.reload(provisioning) == provisioning
