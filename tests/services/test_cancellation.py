"""Cancellation: before the POST nothing is created; after it the avatar is still reconciled and can be resumed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import Response

from flows.engine.execution import InlineExecution
from flows.engine.state_machine import run_to_completion
from models.errors import LeaseLost, NotCancellable, StaleVersion
from models.provisioning import LeaseOwner, Provisioning, Status, SubmissionState
from services.cancellation import cancel_provisioning
from services.leases import LeaseHandle
from simulator.server import ArgilSimulator
from store.leases import LeaseRepository
from tasks.await_training import await_training
from tasks.record_blocker import record_blocker
from tasks.reopen_provisioning import reopen_provisioning
from tasks.submit_avatar import submit_avatar
from tests.provisioning_harness import (
    TRAINING_SECONDS,
    ProvisioningHarness,
    ScriptedClock,
    SimulatorGateway,
    list_orphaned,
)


async def cancel(harness: ProvisioningHarness, provisioning: Provisioning) -> Provisioning:
    return await cancel_provisioning(
        harness.context.ledger, provisioning, LeaseOwner(actor="cancel", id="user"), "a person cancel it"
    )


async def test_cancel_before_the_post_creates_nothing(harness: ProvisioningHarness, argil: ArgilSimulator) -> None:
    accepted = await harness.accepted()
    cancelled = await cancel(harness, accepted)
    assert (cancelled.status, cancelled.avatar_id) == (Status.CANCELLED, None)
    assert "nothing was sent" in cancelled.reasons[0].message
    with pytest.raises(StaleVersion):
        await submit_avatar.fn(accepted, harness.owner)
    assert argil.account.posts == []


async def test_cancel_in_training_keeps_the_avatar_id(harness: ProvisioningHarness) -> None:
    submitted = await harness.submitted()
    cancelled = await cancel(harness, submitted)
    assert (cancelled.status, cancelled.avatar_id) == (Status.CANCELLED, submitted.avatar_id)
    assert f"avatar {submitted.avatar_id} stays at Argil" in cancelled.reasons[0].message
    assert (await cancel(harness, cancelled)) == cancelled


async def test_terminal_provisioning_cannot_be_cancelled(harness: ProvisioningHarness) -> None:
    ready = await harness.context.ledger.transition(
        await harness.submitted(), harness.owner, "x", new_status=Status.READY
    )
    with pytest.raises(NotCancellable, match="it is READY"):
        await cancel(harness, ready)


async def test_later_status_is_recorded_and_resume_continues(
    harness: ProvisioningHarness, clock: ScriptedClock
) -> None:
    cancelled = await cancel(harness, await harness.submitted())
    await harness.context.leases.release(cancelled.id, harness.owner)
    clock.advance(TRAINING_SECONDS + 1)
    for _ in range(2):
        assert await list_orphaned(harness.owner) == []
    current = await harness.reload(cancelled)
    assert (current.status, current.raw_status) == (Status.CANCELLED, "IDLE")
    assert (await harness.event_messages(cancelled)).count("Argil reports IDLE") == 1
    assert (await reopen_provisioning.fn(current, harness.owner, by_person=True)).status is Status.TRAINING


async def test_avatar_created_during_the_cancel_is_recorded(
    harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    """If the provisioning is cancel during the POST, no lease owner can record the response."""
    accepted = await harness.accepted("cut-after-create")
    submitting = await submit_avatar.fn(accepted, harness.owner)
    assert submitting.status is Status.SUBMITTING
    cancelled = await cancel(harness, submitting)
    assert cancelled.avatar_id is None
    await list_orphaned(harness.owner)
    current = await harness.reload(cancelled)
    assert (current.status, current.avatar_id) == (Status.CANCELLED, argil.account.avatars[0]["id"])
    assert await harness.states(cancelled) == [SubmissionState.CREATED]


async def test_await_training_stops_when_the_lease_is_lost(
    harness: ProvisioningHarness, clock: ScriptedClock
) -> None:
    submitted = await harness.submitted("never")
    handle = LeaseHandle(submitted.id)
    harness.context.lease_manager._handles[harness.owner.id] = {submitted.id: handle}

    async def lose() -> None:
        handle.mark_lost()

    clock.during_sleep.append(lose)
    with pytest.raises(LeaseLost, match=submitted.id):
        await await_training.fn(submitted, harness.owner, None)
    assert len(clock.waits) == 1
    with pytest.raises(LeaseLost):
        await await_training.fn(submitted, harness.owner, None)


async def test_work_that_finishes_first_returns_its_result(harness: ProvisioningHarness) -> None:
    async def work() -> str:
        return "done"

    manager = harness.context.lease_manager
    manager._handles[harness.owner.id] = {"x": LeaseHandle("x")}
    assert await manager.run_while_leased("x", harness.owner, work()) == "done"
    assert await manager.run_while_leased("not leased", harness.owner, work()) == "done"


async def test_cancel_stops_the_heartbeat_and_the_work(
    harness: ProvisioningHarness, clock: ScriptedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed = asyncio.Event()
    renew_all = LeaseRepository.renew_all

    async def observed(self: LeaseRepository, *args: Any) -> frozenset[str]:
        try:
            return await renew_all(self, *args)
        finally:
            renewed.set()

    monkeypatch.setattr(LeaseRepository, "renew_all", observed)
    opened, _ = await harness.context.ledger.get_or_create(harness.request, "ada-1", harness.owner)
    manager = harness.context.lease_manager
    async with manager.hold(opened, harness.owner) as leased:
        await cancel(harness, leased)
        handle = manager._handles[harness.owner.id][leased.id]
        with pytest.raises(LeaseLost):
            await asyncio.wait_for(handle.run(asyncio.Event().wait()), 20)
    assert renewed.is_set()
    assert manager._handles == {}


class CancellingExecution(InlineExecution):
    """Cancels the provisioning before an operational error is recorded."""

    def __init__(self, harness: ProvisioningHarness, provisioning: Provisioning) -> None:
        self.harness = harness
        self.provisioning = provisioning

    def as_callable(self, task: Any) -> Callable[..., Any]:
        async def cancel_and_record(*args: Any) -> Provisioning:
            await cancel(self.harness, await self.harness.reload(self.provisioning))
            return await record_blocker.fn(*args)

        return cancel_and_record if task is record_blocker else super().as_callable(task)


async def test_run_reports_a_cancellation_during_an_error(
    harness: ProvisioningHarness, gateway: SimulatorGateway
) -> None:
    accepted = await harness.accepted()
    gateway.canned_responses[("POST", "/v1/avatars")] = [Response("{}", 401)]
    execution = CancellingExecution(harness, accepted)
    cancelled = await run_to_completion(accepted, harness.owner, execution=execution)
    assert cancelled.status is Status.CANCELLED
    assert [reason.code for reason in cancelled.reasons] == ["cancelled"]
