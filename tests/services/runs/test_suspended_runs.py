"""Reconciliation with a real Prefect server: which runs are resumed, and which provisionings it advances itself.

One pass decides about all runs of a test, because a run of the flow takes seconds on a busy machine.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import Flow, flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound
from prefect.states import (
    AwaitingRetry,
    Cancelled,
    Completed,
    Crashed,
    Failed,
    Late,
    Pending,
    Running,
    Scheduled,
    Suspended,
)

from flows.provision_avatar import provision_avatar
from flows.reconcile_avatars import reconcile_avatars
from models.clock import SystemClock
from models.lease_duration import LEASE_DURATION
from models.provisioning import LeaseOwner, Provisioning, Status
from models.run_ownership import LATE_AFTER
from services.runs.ended_runs import end_lost_runs
from services.runs.idle_runs import delete_surplus
from simulator.server import ArgilSimulator
from tests.damaged_runs import damage, delete_run
from tests.provisioning_harness import TIMEOUT_SECONDS, TRAINING_SECONDS, ProvisioningHarness, ScriptedClock

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.usefixtures("prefect_api_url")]


@flow(name="provision-avatar")
def provisioning_flow() -> None:
    pass


@flow(name="provision-batch")
def batch_flow() -> None:
    pass


@dataclass
class ProvisioningRun:
    """A run of a deployment, and the provisioning that it submitted."""

    client: PrefectClient
    harness: ProvisioningHarness
    pool: str
    deployment_id: UUID
    run_id: UUID
    provisioning: Provisioning

    @classmethod
    async def start(
        cls,
        client: PrefectClient,
        harness: ProvisioningHarness,
        scenario: str = "",
        *,
        is_queue_paused: bool = False,
        flow: Flow[[], None] = provisioning_flow,
    ) -> ProvisioningRun:
        name = f"pool-{uuid.uuid4().hex}"
        await client.create_work_pool(WorkPoolCreate(name=name, type="process"))
        await client.create_work_queue("queue", work_pool_name=name, is_paused=is_queue_paused)
        flow_id = await client.create_flow(flow)
        deployment_id = await client.create_deployment(flow_id, name, work_pool_name=name, work_queue_name="queue")
        parameters = {"provisioning_id": name}
        run_id = (await client.create_flow_run_from_deployment(deployment_id, parameters=parameters)).id
        await client.set_flow_run_state(run_id, Running(), force=True)
        owner = LeaseOwner(actor="provision-avatar", id=name, flow_run_id=str(run_id))
        provisioning = await ProvisioningHarness(harness.context, owner, harness.request).submitted(
            scenario, reference=name
        )
        await harness.context.leases.release(provisioning.id, owner)
        return cls(client, harness, name, deployment_id, run_id, provisioning)

    async def set_state(self, state: State) -> None:
        await self.client.set_flow_run_state(self.run_id, state, force=True)

    async def suspend(self) -> None:
        await self.harness.context.suspended_runs.add(str(self.run_id), self.provisioning.id)
        await self.set_state(Suspended(pause_key=self.pool))

    async def finish(self) -> None:
        """Record the outcome, as the process of the run does."""
        owner = LeaseOwner(actor="provision-avatar", id=self.pool, flow_run_id=str(self.run_id))
        context = self.harness.context
        leased = await context.leases.acquire(self.provisioning.id, owner, LEASE_DURATION)
        await context.ledger.transition(leased, owner, "Argil reports IDLE", new_status=Status.READY)

    async def delete(self) -> None:
        await self.client.delete_flow_run(self.run_id)

    async def delete_deployment(self) -> None:
        await self.client.delete_deployment(self.deployment_id)

    async def pause_deployment(self) -> None:
        await self.client.pause_deployment(self.deployment_id)

    async def pause_pool(self) -> None:
        await self.client.update_work_pool(self.pool, WorkPoolUpdate(is_paused=True))

    async def result(self) -> tuple[Status, str]:
        """Return the status of the provisioning and the name of the run's state; "" if the run is deleted."""
        status = (await self.harness.reload(self.provisioning)).status
        try:
            state = (await self.client.read_flow_run(self.run_id)).state
        except ObjectNotFound:
            return status, ""
        return status, state.name or "" if state else ""

    async def message(self) -> str:
        state = (await self.client.read_flow_run(self.run_id)).state
        return (state.message if state else None) or ""


StartRun = Callable[..., Coroutine[Any, Any, ProvisioningRun]]


@pytest.fixture
async def start_run(harness: ProvisioningHarness) -> AsyncIterator[StartRun]:
    async with get_client() as client:
        yield functools.partial(ProvisioningRun.start, client, harness)


async def reconcile() -> None:
    state: State = await reconcile_avatars(return_state=True)
    assert state.is_completed(), state.message


MAX_SLEEPS = 100
"""More than one pass of the reconciliation takes."""
WAITING_NAMES = ("Scheduled", "Late", "AwaitingRetry")
"""The server marks scheduled runs as Late."""
OBSTACLES = ("its deployment was deleted", "is paused", "its work pool", "its work queue 'queue' is paused")


async def obstructed_runs(start_run: StartRun) -> list[ProvisioningRun]:
    """Return one run for each of OBSTACLES."""
    runs = [*[await start_run() for _ in range(3)], await start_run(is_queue_paused=True)]
    await runs[0].delete_deployment()
    await runs[1].pause_deployment()
    await runs[2].pause_pool()
    return runs


async def test_unstartable_suspended_run_ends_by_outcome(
    start_run: StartRun, clock: ScriptedClock, argil: ArgilSimulator
) -> None:
    obstructed = await obstructed_runs(start_run)
    normal, deleted = await start_run(), await start_run()
    for run in (*obstructed, normal, deleted):
        await run.suspend()
    await deleted.delete()
    clock.advance(TRAINING_SECONDS)
    await reconcile()
    assert [await run.result() for run in obstructed] == [(Status.READY, "Ready")] * len(OBSTACLES)
    assert [run.provisioning.id in await run.message() for run in obstructed] == [True] * len(OBSTACLES)
    assert await normal.result() == (Status.TRAINING, "Resuming")
    assert await deleted.result() == (Status.READY, "")
    listed = [await run.harness.context.suspended_runs.exists(str(run.run_id)) for run in (*obstructed, deleted)]
    assert listed == [False] * (len(OBSTACLES) + 1)

    await normal.pause_pool()
    await reconcile()
    assert await normal.result() == (Status.READY, "Ready")
    assert len(argil.account.posts) == len(OBSTACLES) + 2


async def test_run_that_cannot_start_gives_up_its_provisioning(start_run: StartRun, clock: ScriptedClock) -> None:
    runs = await obstructed_runs(start_run)
    batch = await start_run(flow=batch_flow)
    await batch.pause_pool()
    for run in (*runs, batch):
        await run.set_state(AwaitingRetry())
    clock.advance(TRAINING_SECONDS)
    await reconcile()
    assert [await run.result() for run in runs] == [(Status.READY, "Crashed")] * len(OBSTACLES)
    assert [obstacle in await run.message() for run, obstacle in zip(runs, OBSTACLES, strict=True)] == [True] * 4
    # A batch still has rows to record: it continues as soon as its pool does.
    assert await batch.result() in {(Status.READY, name) for name in WAITING_NAMES}


async def test_scheduled_run_owns_until_it_is_long_late(start_run: StartRun, clock: ScriptedClock) -> None:
    now, states = SystemClock().now(), (Scheduled, Late, AwaitingRetry)
    waiting, late = [[await start_run() for _ in states] for _ in range(2)]
    for runs, late_by in ((waiting, LATE_AFTER / 2), (late, LATE_AFTER * 2)):
        for run, state in zip(runs, states, strict=True):
            await run.set_state(state(scheduled_time=now - late_by))
    clock.advance(TRAINING_SECONDS)
    await reconcile()
    assert {await run.result() for run in waiting} <= {(Status.TRAINING, name) for name in WAITING_NAMES}
    assert [await run.result() for run in late] == [(Status.READY, "Crashed")] * 3
    assert "did not start within 30 minutes" in await late[0].message()


async def test_only_an_ended_run_gives_up_its_provisioning(
    start_run: StartRun, clock: ScriptedClock, other_owner: LeaseOwner
) -> None:
    states: tuple[State, ...] = (Completed(), Failed(), Crashed(), Running(), Pending())
    runs = [await start_run() for _ in states]
    leased = await start_run()
    await leased.suspend()
    for run in (*runs, leased):
        await run.delete_deployment()
    for run, state in zip(runs, states, strict=True):
        await run.set_state(state)
    clock.advance(TRAINING_SECONDS)
    context = leased.harness.context

    async def renew_lease() -> None:
        await context.leases.acquire(leased.provisioning.id, other_owner, LEASE_DURATION)

    await renew_lease()
    clock.during_sleep.extend([renew_lease] * MAX_SLEEPS)
    await reconcile()
    assert [await run.result() for run in runs] == [
        (Status.READY, "Completed"),
        (Status.READY, "Failed"),
        (Status.READY, "Crashed"),
        (Status.TRAINING, "Running"),
        (Status.TRAINING, "Pending"),
    ]
    assert await leased.result() == (Status.TRAINING, "Suspended")


async def test_late_start_after_a_take_over_reports_outcome(
    start_run: StartRun, clock: ScriptedClock, argil: ArgilSimulator
) -> None:
    run = await start_run("never")
    await run.suspend()
    await run.delete_deployment()
    clock.advance(TIMEOUT_SECONDS)
    await reconcile()
    assert await run.result() == (Status.TIMED_OUT, "TimedOut")
    request = run.provisioning.request.model_copy(update={"reference": run.pool})
    state: State = await provision_avatar(request, return_state=True)
    assert state.name == "TimedOut"
    assert len(argil.account.posts) == 1


async def test_damaged_runs_do_not_stop_reconciliation(
    start_run: StartRun, clock: ScriptedClock, clean_environment: Path
) -> None:
    damaged, cancelled, normal = [await start_run() for _ in range(3)]
    for run in (damaged, normal):
        await run.suspend()
    await cancelled.set_state(Cancelled())
    clock.advance(TRAINING_SECONDS)
    database = clean_environment / "prefect/prefect.db"
    damage(database, damaged.run_id, "lone-surrogate")
    damage(database, cancelled.run_id, "nested-surrogate")
    await reconcile()
    assert (await damaged.harness.reload(damaged.provisioning)).status is Status.READY
    assert (await cancelled.harness.reload(cancelled.provisioning)).status is Status.CANCELLED
    assert await normal.result() == (Status.TRAINING, "Resuming")
    await reconcile()  # the damaged run of a terminal provisioning does not stop the next pass either
    for run in (damaged, cancelled):
        delete_run(database, run.run_id)


async def test_error_reported_after_the_outcome_is_corrected(
    start_run: StartRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect accepts the report of an old process whose run another process took up. All pages are read."""
    monkeypatch.setattr("services.runs.ended_runs.PAGE_SIZE", 2)
    reported, crashed, *without_outcome = [await start_run() for _ in range(6)]
    for run in (reported, crashed):
        await run.finish()
    for run in (reported, *without_outcome):
        await run.set_state(Failed(name="DatabaseError", message="reported by an old process"))
    await crashed.set_state(Crashed())
    assert await end_lost_runs() == 2
    assert {await run.result() for run in (reported, crashed)} == {(Status.READY, "Ready")}
    assert {await run.result() for run in without_outcome} == {(Status.TRAINING, "DatabaseError")}
    assert await end_lost_runs() == 0


async def test_late_report_does_not_keep_a_run_from_its_outcome(start_run: StartRun) -> None:
    """The process that took the run up is still at work: Prefect accepts its own report afterwards."""
    runs = [await start_run() for _ in range(2)]
    late_reports: tuple[State, ...] = (Crashed(), Failed(name="ArgilUnauthorized"))
    for run, late in zip(runs, late_reports, strict=True):
        for state, name in ((late, late.name), (Completed(name="Ready"), "Ready")):
            response = await run.client.set_flow_run_state(run.run_id, state)
            assert response.status is SetStateStatus.ACCEPT
            assert (await run.result())[1] == name


async def test_surplus_of_a_failing_schedule_is_deleted(
    start_run: StartRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.runs.idle_runs.KEPT_FAILED_RUNS", 2)
    run = await start_run()
    run_ids = [run.run_id]
    run_ids += [(await run.client.create_flow_run_from_deployment(run.deployment_id)).id for _ in range(4)]
    for run_id in run_ids:
        await run.client.set_flow_run_state(run_id, Running(), force=True)
        await run.client.set_flow_run_state(run_id, Failed(name="ArgilUnauthorized"), force=True)
    assert await delete_surplus(run.deployment_id) == 3
    assert await delete_surplus(run.deployment_id) == 0
    kept = await run.client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=run_ids)))
    assert {item.id for item in kept} == set(run_ids[-2:])
