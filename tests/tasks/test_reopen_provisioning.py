"""Re-opening a timed-out or cancelled provisioning."""

from __future__ import annotations

import pytest

from models.provisioning import LeaseOwner, Provisioning, Status
from models.reason import Reason
from simulator.server import ArgilSimulator
from tasks.record_training_failure import record_training_failure
from tasks.reopen_provisioning import reopen_provisioning
from tasks.submit_avatar import submit_avatar
from tests.provisioning_harness import ProvisioningHarness

REASON = Reason(code="cancelled", message="a person cancelled it")


async def stopped(
    harness: ProvisioningHarness, provisioning: Provisioning, status: Status = Status.CANCELLED
) -> Provisioning:
    return await harness.context.ledger.transition(
        provisioning, harness.owner, "stopped", new_status=status, reasons=[REASON]
    )


async def reopen(harness: ProvisioningHarness, provisioning: Provisioning) -> Provisioning:
    """Re-open the provisioning at a person's request."""
    return await reopen_provisioning.fn(provisioning, harness.owner, by_person=True)


async def test_timed_out_training_keeps_its_deadline(harness: ProvisioningHarness) -> None:
    training = await harness.submitted("never")
    reopened = await reopen_provisioning.fn(await stopped(harness, training, Status.TIMED_OUT), harness.owner)
    assert (reopened.status, reopened.reasons) == (Status.TRAINING, [])
    assert (reopened.avatar_id, reopened.training_started_at) == (training.avatar_id, training.training_started_at)


async def test_cancelled_before_submission_reopens_as_accepted(harness: ProvisioningHarness) -> None:
    reopened = await reopen(harness, await stopped(harness, await harness.accepted()))
    assert (reopened.status, reopened.reasons) == (Status.ACCEPTED, [])


async def test_cancelled_in_training_reopens_as_training(
    harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    training = await harness.submitted("never")
    cancelled = await stopped(harness, training)
    assert cancelled.avatar_id == training.avatar_id
    reopened = await reopen(harness, cancelled)
    assert (reopened.status, reopened.avatar_id) == (Status.TRAINING, training.avatar_id)
    assert len(argil.account.posts) == 1


@pytest.mark.parametrize("scenario", ["cut-after-create", "cut-before-create"])
async def test_cancelled_with_unknown_outcome_reopens_as_submitting(
    harness: ProvisioningHarness, argil: ArgilSimulator, scenario: str
) -> None:
    reopened = await reopen(harness, await stopped(harness, await harness.submitted(scenario)))
    assert reopened.status is Status.SUBMITTING
    assert len(argil.account.posts) == 1


async def test_cancelled_with_pending_submission_is_submitting(harness: ProvisioningHarness) -> None:
    submitting, _ = await harness.context.ledger.begin_submission(
        await harness.accepted(), harness.owner, "recorded"
    )
    reopened = await reopen(harness, await stopped(harness, submitting))
    assert reopened.status is Status.SUBMITTING


async def test_cancelled_after_lost_submission_is_accepted(harness: ProvisioningHarness) -> None:
    lost = await harness.resolve_submission(await harness.submitted("cut-before-create"))
    assert (await reopen(harness, await stopped(harness, lost))).status is Status.ACCEPTED


@pytest.mark.parametrize("changes", [{"avatars_retrain_limit": 1}])
async def test_cancelled_before_retrain_gets_a_new_avatar(
    harness: ProvisioningHarness,
) -> None:
    failed = await harness.trained("fail", "TRAINING_FAILED")
    retrain = await record_training_failure.fn(failed.id, harness.owner)
    reopened = await reopen(harness, await stopped(harness, retrain))
    assert (reopened.status, reopened.avatar_id) == (Status.ACCEPTED, None)
    assert (await submit_avatar.fn(reopened, harness.owner)).avatar_id not in {None, failed.avatar_id}


async def test_other_statuses_are_returned_unchanged(harness: ProvisioningHarness) -> None:
    accepted = await harness.accepted()
    training = await harness.submitted("never", reference="ada-2")
    rejected = await stopped(harness, await harness.accepted(reference="ada-3"), Status.REJECTED)
    for provisioning in (accepted, training, rejected):
        events = await harness.events(provisioning)
        assert await reopen(harness, provisioning) == provisioning
        assert await harness.events(provisioning) == events


async def test_second_concurrent_reopen_attaches(harness: ProvisioningHarness, other_owner: LeaseOwner) -> None:
    timed_out = await stopped(harness, await harness.submitted("never"), Status.TIMED_OUT)
    reopened = await reopen_provisioning.fn(timed_out, harness.owner)
    assert await reopen_provisioning.fn(timed_out, other_owner) == reopened


@pytest.mark.parametrize("by_person", [False, True])
async def test_cancel_during_a_reopen_stays(
    harness: ProvisioningHarness, other_owner: LeaseOwner, by_person: bool
) -> None:
    timed_out = await stopped(harness, await harness.submitted("never"), Status.TIMED_OUT)
    cancelled = await stopped(harness, timed_out)
    assert await reopen_provisioning.fn(timed_out, other_owner, by_person=by_person) == cancelled
