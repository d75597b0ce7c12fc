"""Recording the operational error that stopped a provisioning."""

from __future__ import annotations

from datetime import timedelta

from models.errors import ArgilUnauthorized
from models.provisioning import LeaseOwner, Status
from services.cancellation import cancel_provisioning
from tasks.record_blocker import record_blocker
from tests.provisioning_harness import ProvisioningHarness, ScriptedClock

ERROR = ArgilUnauthorized("Argil rejects the API key (401)", hint="check ARGIL_API_KEY")


async def test_error_is_the_reason_and_the_status_stays(harness: ProvisioningHarness) -> None:
    accepted = await harness.accepted()
    blocked = await record_blocker.fn(accepted.id, ERROR, harness.owner)
    assert blocked.status is Status.ACCEPTED
    assert [reason.message for reason in blocked.reasons] == [ERROR.message]
    assert await harness.reload(accepted) == blocked


async def test_error_that_is_recorded_already_adds_no_event(
    harness: ProvisioningHarness, clock: ScriptedClock
) -> None:
    accepted = await harness.accepted()
    first = await record_blocker.fn(accepted.id, ERROR, harness.owner)
    events = await harness.events(accepted)
    clock.advance(60)
    again = await record_blocker.fn(accepted.id, ERROR, harness.owner)
    assert again.reasons == first.reasons
    # Otherwise `provision-pending` would take it again in the same run.
    assert again.updated_at - first.updated_at == timedelta(seconds=60)
    assert await harness.events(accepted) == events


async def test_reason_of_a_cancellation_is_not_overwritten(harness: ProvisioningHarness) -> None:
    person = LeaseOwner(actor="cancel", id="person")
    accepted = await harness.accepted()
    cancelled = await cancel_provisioning(harness.context.ledger, accepted, person, "cancelled by a person")
    events = await harness.events(accepted)
    returned = await record_blocker.fn(accepted.id, ERROR, harness.owner)
    assert (returned.status, returned.reasons) == (Status.CANCELLED, cancelled.reasons)
    assert (await harness.reload(accepted)).reasons == cancelled.reasons
    assert await harness.events(accepted) == events
