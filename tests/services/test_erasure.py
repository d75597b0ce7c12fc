"""When personal data can be erased, and that an erased provisioning is not processed any further."""

from __future__ import annotations

import pytest

from models.errors import NotTerminal, ProvisioningErased
from models.provisioning import LeaseOwner, Provisioning, Status
from services.cancellation import cancel_provisioning
from services.erasure import erase_provisioning
from services.reconciliation import reconcile_account
from tasks.reopen_provisioning import reopen_provisioning
from tests.provisioning_harness import ProvisioningHarness, ScriptedClock, list_orphaned


async def erase(harness: ProvisioningHarness, provisioning: Provisioning) -> list[str]:
    return (
        await erase_provisioning(harness.context.ledger, harness.context.clock, provisioning.id, harness.owner)
    ).avatar_ids


async def test_erase_in_flight_is_refused(harness: ProvisioningHarness) -> None:
    accepted = await harness.accepted()
    with pytest.raises(NotTerminal, match="ACCEPTED") as caught:
        await erase(harness, accepted)
    assert f"avatars cancel {accepted.id}" in caught.value.hint
    training = await harness.submitted_from(accepted)
    assert training.status is Status.TRAINING
    with pytest.raises(NotTerminal, match="TRAINING"):
        await erase(harness, training)
    assert (await harness.reload(training)).erased_at is None


async def test_unresolved_submission_must_be_resolved_first(harness: ProvisioningHarness) -> None:
    provisioning = await harness.submitted("cut-after-create")
    assert provisioning.status is Status.SUBMITTING
    cancelled = await cancel_provisioning(
        harness.context.ledger, provisioning, harness.owner, "a person cancelled it"
    )
    with pytest.raises(NotTerminal, match="outcome of a submission is unknown") as caught:
        await erase(harness, cancelled)
    assert f"avatars resume {provisioning.id}" in caught.value.hint
    await reconcile_account(harness.context, await harness.context.argil.list_avatars_lazy(), harness.owner)
    assert len(await erase(harness, cancelled)) == 1


async def test_erased_provisioning_is_not_processed_any_further(
    harness: ProvisioningHarness, clock: ScriptedClock, other_owner: LeaseOwner
) -> None:
    training = await harness.submitted()
    cancelled = await cancel_provisioning(harness.context.ledger, training, harness.owner, "a person cancelled it")
    assert await erase(harness, cancelled) == [training.avatar_id]
    current = await harness.reload(cancelled)
    with pytest.raises(ProvisioningErased):
        await reopen_provisioning.fn(current, other_owner, by_person=True)
    clock.advance(1000)
    # The training has finished at Argil, which still has the name: it must not return to the ledger.
    assert await list_orphaned(other_owner) == []
    assert await harness.reload(cancelled) == current


@pytest.mark.parametrize("status", [Status.TIMED_OUT, Status.VANISHED, Status.CANCELLED])
async def test_erased_one_stays_with_an_error_for_a_person(
    harness: ProvisioningHarness, other_owner: LeaseOwner, status: Status
) -> None:
    stopped = await harness.context.ledger.transition(
        await harness.submitted("never"), harness.owner, "stopped", new_status=status
    )
    await erase(harness, stopped)
    erased = await harness.reload(stopped)
    assert await reopen_provisioning.fn(erased, other_owner) == erased
    with pytest.raises(ProvisioningErased):
        await reopen_provisioning.fn(erased, other_owner, by_person=True)
    assert await harness.reload(erased) == erased


async def test_erasing_twice_has_no_effect(harness: ProvisioningHarness) -> None:
    provisioning = await harness.accepted()
    cancelled = await cancel_provisioning(
        harness.context.ledger, provisioning, harness.owner, "a person cancelled it"
    )
    assert await erase(harness, cancelled) == []
    assert await erase(harness, cancelled) == []
