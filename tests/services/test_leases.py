"""A provisioning has one lease owner at a time; the others wait, and one takes over if it crashes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from datetime import timedelta

import pytest

from models.errors import DatabaseError, LeaseLost, LeaseUnavailable, StaleVersion
from models.provisioning import LeaseOwner, Provisioning, Status
from models.request import ProvisioningRequest
from services.context import AppContext
from services.leases import RENEWALS_PER_LEASE, WAIT_POLL_SECONDS, LeaseHandle, LeaseManager
from store.leases import LeaseRepository
from tests.provisioning_harness import LEASE_SECONDS, ScriptedClock

LEASE = timedelta(seconds=LEASE_SECONDS)


class ManualHeartbeatClock(ScriptedClock):
    """A clock on which waiting owners poll at once and heartbeats wait for the test."""

    def __init__(self) -> None:
        super().__init__()
        self._heartbeat_due = asyncio.Event()
        self._heartbeat_waits = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds > WAIT_POLL_SECONDS:
            self._heartbeat_waits.set()
            await self._heartbeat_due.wait()
            self._heartbeat_due.clear()
        await super().sleep(seconds)

    async def start_heartbeat(self) -> None:
        """Let one heartbeat start."""
        await self._heartbeat_waits.wait()
        self._heartbeat_waits.clear()
        self._heartbeat_due.set()

    async def heartbeat(self) -> None:
        """Let one heartbeat start and wait until the next one sleeps."""
        await self.start_heartbeat()
        await self._heartbeat_waits.wait()


@pytest.fixture
def clock() -> ManualHeartbeatClock:
    return ManualHeartbeatClock()


@pytest.fixture
async def opened(context: AppContext, provisioning_request: ProvisioningRequest, owner: LeaseOwner) -> Provisioning:
    return (await context.ledger.get_or_create(provisioning_request, "ada-1", owner))[0]


async def is_free(context: AppContext, opened: Provisioning) -> bool:
    """Return whether another owner could acquire the lease now; leave it as it was."""
    third_owner = LeaseOwner(actor="third", id="third")
    try:
        await context.leases.acquire(opened.id, third_owner, LEASE)
    except LeaseUnavailable:
        return False
    await context.leases.release(opened.id, third_owner)
    return True


def handle(context: AppContext, owner: LeaseOwner, provisioning: Provisioning) -> LeaseHandle:
    return context.lease_manager._handles[owner.id][provisioning.id]


async def test_lease_is_held_during_the_work_and_released(
    context: AppContext, opened: Provisioning, owner: LeaseOwner
) -> None:
    async with context.lease_manager.hold(opened, owner) as leased:
        assert leased.id == opened.id
        assert leased.version > opened.version
        assert not await is_free(context, opened)
    assert await is_free(context, opened)


async def test_lease_is_released_if_the_work_fails(
    context: AppContext, opened: Provisioning, owner: LeaseOwner
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with context.lease_manager.hold(opened, owner):
            raise ZeroDivisionError
    assert await is_free(context, opened)


async def test_only_the_yielded_version_can_be_written(
    context: AppContext, opened: Provisioning, owner: LeaseOwner
) -> None:
    async with context.lease_manager.hold(opened, owner) as leased:
        with pytest.raises(StaleVersion):
            await context.ledger.transition(opened, owner, "with a stale snapshot", new_status=Status.REJECTED)
        assert (
            await context.ledger.transition(leased, owner, "done", new_status=Status.REJECTED)
        ).status is Status.REJECTED


async def test_flow_run_of_the_lease_owner_is_recorded(context: AppContext, opened: Provisioning) -> None:
    owner = LeaseOwner(actor="run", id="d-2", flow_run_id="f-2")
    async with context.lease_manager.hold(opened, owner) as leased:
        assert leased.flow_run_id == "f-2"


async def test_terminal_provisioning_needs_no_lease(
    context: AppContext, opened: Provisioning, owner: LeaseOwner
) -> None:
    rejected = await context.ledger.transition(opened, owner, "no", new_status=Status.REJECTED)
    async with context.lease_manager.hold(rejected, owner) as provisioning:
        assert provisioning == rejected
        assert await is_free(context, opened)


async def test_waiting_owner_returns_the_terminal_status(
    context: AppContext,
    opened: Provisioning,
    owner: LeaseOwner,
    other_owner: LeaseOwner,
    clock: ManualHeartbeatClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "avatars")
    acquired = await context.leases.acquire(opened.id, other_owner, LEASE)

    async def wait() -> None:
        pass

    async def reject() -> None:
        await context.ledger.transition(acquired, other_owner, "rules violated", new_status=Status.REJECTED)

    clock.during_sleep.extend([wait, wait, reject])
    async with context.lease_manager.hold(opened, owner) as provisioning:
        assert provisioning.status is Status.REJECTED
        assert not await is_free(context, opened)
    assert clock.waits == [WAIT_POLL_SECONDS] * 3
    assert [event.actor for event in await context.ledger.list_events(opened.id)] == ["test", "other"]
    messages = [record.getMessage() for record in caplog.records if "another run holds" in record.getMessage()]
    assert len(messages) == 1
    assert opened.id in messages[0]


async def test_waiting_owner_acquires_a_released_lease(
    context: AppContext,
    opened: Provisioning,
    owner: LeaseOwner,
    other_owner: LeaseOwner,
    clock: ManualHeartbeatClock,
) -> None:
    await context.leases.acquire(opened.id, other_owner, LEASE)

    async def release() -> None:
        await context.leases.release(opened.id, other_owner)

    clock.during_sleep.append(release)
    async with context.lease_manager.hold(opened, owner) as provisioning:
        assert provisioning.status is Status.ACCEPTED
        assert clock.waits == [WAIT_POLL_SECONDS]


async def test_waiting_owner_acquires_an_expired_lease(
    context: AppContext,
    opened: Provisioning,
    owner: LeaseOwner,
    other_owner: LeaseOwner,
    clock: ManualHeartbeatClock,
) -> None:
    acquired = await context.leases.acquire(opened.id, other_owner, LEASE)
    started_at = clock.now()
    async with context.lease_manager.hold(opened, owner) as provisioning:
        assert LEASE <= clock.now() - started_at <= LEASE + timedelta(seconds=WAIT_POLL_SECONDS)
        assert provisioning.status is Status.ACCEPTED
        with pytest.raises(StaleVersion):
            await context.ledger.transition(
                acquired, other_owner, "after the lease expired", new_status=Status.REJECTED
            )
        assert (await context.ledger.get(opened.id)) == provisioning


async def test_heartbeat_renews_the_lease_during_the_work(
    context: AppContext, opened: Provisioning, owner: LeaseOwner, clock: ManualHeartbeatClock
) -> None:
    started_at = clock.now()
    async with context.lease_manager.hold(opened, owner) as leased:
        for _ in range(3 * RENEWALS_PER_LEASE):
            await clock.heartbeat()
        assert clock.now() - started_at == 3 * LEASE
        assert not await is_free(context, opened)
        await context.ledger.transition(leased, owner, "still leased", new_status=Status.REJECTED)


async def test_heartbeat_stops_after_the_work(
    context: AppContext, opened: Provisioning, owner: LeaseOwner, clock: ManualHeartbeatClock
) -> None:
    before = asyncio.all_tasks()
    async with context.lease_manager.hold(opened, owner):
        assert len(asyncio.all_tasks() - before) == 1
    assert asyncio.all_tasks() - before == set()
    clock.advance(LEASE_SECONDS)
    assert await is_free(context, opened)


async def test_heartbeat_stops_if_another_owner_took_over(
    context: AppContext,
    opened: Provisioning,
    owner: LeaseOwner,
    other_owner: LeaseOwner,
    clock: ManualHeartbeatClock,
) -> None:
    before = asyncio.all_tasks()
    async with context.lease_manager.hold(opened, owner) as leased:
        clock.advance(LEASE_SECONDS)  # for example a process that was suspended
        await context.leases.acquire(opened.id, other_owner, LEASE)
        await clock.start_heartbeat()
        await asyncio.wait(asyncio.all_tasks() - before)
        with pytest.raises(StaleVersion):
            await context.ledger.transition(leased, owner, "after the take-over", new_status=Status.REJECTED)
        with pytest.raises(LeaseLost):
            await context.lease_manager.refresh(opened.id, owner)
    await context.leases.renew(opened.id, other_owner, LEASE)


async def test_take_over_within_a_process_ends_only_the_old_owner(
    context: AppContext,
    opened: Provisioning,
    owner: LeaseOwner,
    other_owner: LeaseOwner,
    clock: ManualHeartbeatClock,
) -> None:
    before = asyncio.all_tasks()
    async with contextlib.AsyncExitStack() as first:
        await first.enter_async_context(context.lease_manager.hold(opened, owner))
        [heartbeat] = asyncio.all_tasks() - before
        clock.advance(LEASE_SECONDS)  # for example a coroutine that was blocked
        async with context.lease_manager.hold(opened, other_owner):
            await clock.start_heartbeat()
            await asyncio.wait([heartbeat])
            assert handle(context, owner, opened).is_lost
            assert not handle(context, other_owner, opened).is_lost
            await first.aclose()
            assert not await is_free(context, opened)
    assert context.lease_manager._handles == {}


async def test_one_heartbeat_renews_all_leases_of_an_owner(
    context: AppContext,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    other_owner: LeaseOwner,
    clock: ManualHeartbeatClock,
) -> None:
    opened = [(await context.ledger.get_or_create(provisioning_request, f"ada-{n}", owner))[0] for n in range(3)]
    before = asyncio.all_tasks()
    async with context.lease_manager.hold(opened[0], owner), context.lease_manager.hold(opened[1], owner):
        async with context.lease_manager.hold(opened[2], owner):
            assert len(asyncio.all_tasks() - before) == 1
            await clock.heartbeat()
        clock.advance(LEASE_SECONDS)
        await context.leases.acquire(opened[1].id, other_owner, LEASE)
        await clock.heartbeat()
        assert handle(context, owner, opened[1]).is_lost
        assert not handle(context, owner, opened[0]).is_lost
        assert await is_free(context, opened[2])
        for _ in range(RENEWALS_PER_LEASE):
            await clock.heartbeat()
        assert not await is_free(context, opened[0])
    assert asyncio.all_tasks() - before == set()
    assert (context.lease_manager._handles, context.lease_manager._heartbeats) == ({}, {})
    await context.leases.renew(opened[1].id, other_owner, LEASE)


class FailingOnce(LeaseRepository):
    """Leases whose first renewal fails because the database is busy."""

    failures = 0

    async def renew_all(
        self, provisioning_ids: Collection[str], owner: LeaseOwner, duration: timedelta
    ) -> frozenset[str]:
        if self.failures == 0:
            self.failures += 1
            raise DatabaseError("database is locked")
        return await super().renew_all(provisioning_ids, owner, duration)


async def test_database_error_skips_one_renewal(
    context: AppContext,
    opened: Provisioning,
    owner: LeaseOwner,
    clock: ManualHeartbeatClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    leases = FailingOnce(context.ledger.database, clock)
    async with LeaseManager(leases, context.ledger, clock).hold(opened, owner):
        for _ in range(RENEWALS_PER_LEASE + 1):
            await clock.heartbeat()
        assert leases.failures == 1
        assert not await is_free(context, opened)
    assert any("could not be renewed: database is locked" in record.getMessage() for record in caplog.records)


async def test_refresh_returns_the_current_version_to_the_owner(
    context: AppContext, opened: Provisioning, owner: LeaseOwner, other_owner: LeaseOwner
) -> None:
    async with context.lease_manager.hold(opened, owner) as leased:
        changed = await context.ledger.transition(leased, owner, "written by a branch")
        refreshed = await context.lease_manager.refresh(opened.id, owner)
        assert refreshed.version > changed.version
        with pytest.raises(LeaseLost):
            await context.lease_manager.refresh(opened.id, other_owner)


async def test_concurrent_owners_work_one_at_a_time_to_the_end(context: AppContext, opened: Provisioning) -> None:
    active: list[str] = []
    finished: list[str] = []
    # The lease is long enough to need no heartbeat; each poll of a waiting owner takes a second of the clock.
    manager = LeaseManager(context.leases, context.ledger, context.clock, timedelta(hours=1))

    async def advance(number: int) -> Status:
        owner = LeaseOwner(actor=f"owner {number}", id=f"o-{number}")
        async with manager.hold(opened, owner) as provisioning:
            if provisioning.status.is_terminal:
                return provisioning.status
            active.append(owner.id)
            assert len(active) == 1
            for _ in range(3):
                await context.ledger.get(opened.id)
            rejected = await context.ledger.transition(provisioning, owner, "done", new_status=Status.REJECTED)
            finished.append(active.pop())
            return rejected.status

    statuses = await asyncio.gather(*(advance(number) for number in range(5)))
    assert statuses == [Status.REJECTED] * 5
    assert len(finished) == 1
