"""Recording a failed training under the retrain policy."""

from __future__ import annotations

import pytest

from models.errors import UnknownProvisioning
from models.outcomes import OUTCOMES
from models.provisioning import LeaseOwner, Status, SubmissionState
from services.context import AppContext
from simulator.server import ArgilSimulator
from tasks.record_training_failure import record_training_failure
from tasks.submit_avatar import submit_avatar
from tests.provisioning_harness import ProvisioningHarness

FAILED, REFUSED = "TRAINING_FAILED", "REFUSED"


async def test_failed_training_is_terminal_by_default(harness: ProvisioningHarness) -> None:
    failed = await record_training_failure.fn((await harness.trained("fail", FAILED)).id, harness.owner)
    assert failed.status is Status.TRAINING_FAILED
    assert failed.retrain_count == 0
    [reason] = failed.reasons
    assert reason.code == "avatar.training-failed"
    assert (reason.message, reason.hint) == (
        OUTCOMES[Status.TRAINING_FAILED].description,
        OUTCOMES[Status.TRAINING_FAILED].next_step_for(failed.id),
    )
    assert failed.avatar_id is not None
    assert await harness.reload(failed) == failed


@pytest.mark.parametrize("changes", [{"avatars_retrain_limit": 2}])
async def test_retrain_limit_allows_that_many_retrains(harness: ProvisioningHarness, argil: ArgilSimulator) -> None:
    provisioning = await harness.trained("fail", FAILED)
    for retrain in (1, 2):
        retried = await record_training_failure.fn(provisioning.id, harness.owner)
        assert (retried.status, retried.retrain_count) == (Status.ACCEPTED, retrain)
        assert (retried.avatar_id, retried.training_started_at) == (None, None)
        assert f"retrain {retrain} of 2" in (await harness.event_messages(retried))[-1]
        submitted = await submit_avatar.fn(retried, harness.owner)
        provisioning = await harness.context.ledger.transition(
            submitted, harness.owner, "Argil reports", raw_status=FAILED
        )
    failed = await record_training_failure.fn(provisioning.id, harness.owner)
    assert (failed.status, failed.retrain_count) == (Status.TRAINING_FAILED, 2)
    assert len({avatar["id"] for avatar in argil.account.avatars}) == 3
    assert failed.avatar_id == argil.account.avatars[-1]["id"]
    assert await harness.states(failed) == [SubmissionState.CREATED] * 3


@pytest.mark.parametrize("changes", [{"avatars_retrain_limit": limit} for limit in (0, 1)])
async def test_recording_a_failure_twice_has_no_effect(harness: ProvisioningHarness) -> None:
    provisioning = await harness.trained("fail", FAILED)
    once = await record_training_failure.fn(provisioning.id, harness.owner)
    events = await harness.events(provisioning)
    twice = await record_training_failure.fn(provisioning.id, harness.owner)
    assert twice == once
    assert await harness.events(provisioning) == events


@pytest.mark.parametrize("changes", [{"avatars_retrain_limit": 1}])
async def test_old_failure_does_not_cause_another_retrain(harness: ProvisioningHarness) -> None:
    provisioning = await harness.trained("fail", FAILED)
    retried = await record_training_failure.fn(provisioning.id, harness.owner)
    submitted = await submit_avatar.fn(retried, harness.owner)
    assert await record_training_failure.fn(provisioning.id, harness.owner) == submitted


@pytest.mark.parametrize("raw_status", ["TRAINING", "IDLE", REFUSED, "NEW_ONE"])
async def test_training_that_has_not_failed_is_unchanged(harness: ProvisioningHarness, raw_status: str) -> None:
    provisioning = await harness.trained("never", raw_status)
    assert await record_training_failure.fn(provisioning.id, harness.owner) == provisioning
    assert len(await harness.events(provisioning)) == 4


async def test_unknown_id_raises_unknown_provisioning(context: AppContext, owner: LeaseOwner) -> None:
    with pytest.raises(UnknownProvisioning, match="unknown-id"):
        await record_training_failure.fn("unknown-id", owner)
