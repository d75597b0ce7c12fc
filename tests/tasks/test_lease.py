"""One driver a provisioning: the others follow it, and one of them takes over where it dies."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Collection
from datetime import timedelta

import pytest

from models.errors import DatabaseError, LeaseHeld, StaleVersion
from models.provisioning import Driver, Provisioning, Status
from models.request import ProvisioningRequest
from store.leases import Leases
from tasks.lease import BEATS_PER_LEASE, LOOK_SECONDS, leased, reclaim
from tasks.runtime import Runtime, sharing
from tests.tasks.conftest import LEASE_SECONDS, EventfulClock

LEASE = timedelta(seconds=LEASE_SECONDS)


class StillClock(EventfulClock):
    """A clock on which followers look at once, and a heart beats only when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self._beat = asyncio.Event()
        self._resting = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds > LOOK_SECONDS:
            self._resting.set()
            await self._beat.wait()
            self._beat.clear()
        await super().sleep(seconds)

    async def start_beat(self) -> None:
        """Let the heart beat once."""
        await self._resting.wait()
        self._resting.clear()
        self._beat.set()

    async def beat(self) -> None:
        """Let the heart beat once, and wait until it rests again."""
        await self.start_beat()
        await self._resting.wait()


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def opened(active: Runtime, request_of_ada: ProvisioningRequest, driver: Driver) -> Provisioning:
    return (await active.ledger.open(request_of_ada, "ada-1", driver))[0]


async def is_free(active: Runtime, opened: Provisioning) -> bool:
    """Tell whether anyone could take the lease now; who can, gives it back."""
    anyone = Driver(actor="anyone", id="anyone")
    try:
        await active.leases.claim(opened.id, anyone, LEASE)
    except LeaseHeld:
        return False
    await active.leases.release(opened.id, anyone)
    return True


async def test_the_driver_holds_the_lease_while_it_works_and_gives_it_back(
    active: Runtime, opened: Provisioning, driver: Driver
) -> None:
    async with leased(opened, driver) as claimed:
        assert claimed.id == opened.id
        assert claimed.version > opened.version
        assert not await is_free(active, opened)
    assert await is_free(active, opened)


async def test_the_lease_is_given_back_where_the_work_fails(
    active: Runtime, opened: Provisioning, driver: Driver
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with leased(opened, driver):
            raise ZeroDivisionError
    assert await is_free(active, opened)


async def test_the_work_is_written_with_what_the_lease_yields(
    active: Runtime, opened: Provisioning, driver: Driver
) -> None:
    async with leased(opened, driver) as claimed:
        with pytest.raises(StaleVersion):
            await active.ledger.record(opened, driver, "with what was read before", to=Status.REJECTED)
        assert (await active.ledger.record(claimed, driver, "done", to=Status.REJECTED)).status is Status.REJECTED


async def test_the_run_that_drives_is_on_record(active: Runtime, opened: Provisioning) -> None:
    me = Driver(actor="run", id="d-2", flow_run_id="f-2")
    async with leased(opened, me) as claimed:
        assert claimed.flow_run_id == "f-2"


async def test_what_has_ended_needs_no_lease(active: Runtime, opened: Provisioning, driver: Driver) -> None:
    ended = await active.ledger.record(opened, driver, "no", to=Status.REJECTED)
    async with leased(ended, driver) as seen:
        assert seen == ended
        assert await is_free(active, opened)


async def test_a_follower_waits_for_the_driver_and_sees_the_end(
    active: Runtime,
    opened: Provisioning,
    driver: Driver,
    other: Driver,
    clock: StillClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "avatars")
    held = await active.leases.claim(opened.id, other, LEASE)

    async def nothing() -> None:
        pass

    async def end() -> None:
        await active.ledger.record(held, other, "rules broken", to=Status.REJECTED)

    clock.meanwhile.extend([nothing, nothing, end])
    async with leased(opened, driver) as seen:
        assert seen.status is Status.REJECTED
        assert not await is_free(active, opened)
    assert clock.waits == [LOOK_SECONDS] * 3
    assert [event.actor for event in await active.ledger.events(opened.id)] == ["test", "other"]
    told = [record.getMessage() for record in caplog.records if "another run drives" in record.getMessage()]
    assert len(told) == 1
    assert opened.id in told[0]


async def test_a_follower_takes_over_as_soon_as_the_driver_lets_go(
    active: Runtime, opened: Provisioning, driver: Driver, other: Driver, clock: StillClock
) -> None:
    await active.leases.claim(opened.id, other, LEASE)

    async def let_go() -> None:
        await active.leases.release(opened.id, other)

    clock.meanwhile.append(let_go)
    async with leased(opened, driver) as seen:
        assert seen.status is Status.ACCEPTED
        assert clock.waits == [LOOK_SECONDS]


async def test_a_follower_takes_over_from_a_dead_driver_when_its_lease_has_run_out(
    active: Runtime, opened: Provisioning, driver: Driver, other: Driver, clock: StillClock
) -> None:
    held = await active.leases.claim(opened.id, other, LEASE)
    began = clock.now()
    async with leased(opened, driver) as seen:
        assert LEASE <= clock.now() - began <= LEASE + timedelta(seconds=LOOK_SECONDS)
        assert seen.status is Status.ACCEPTED
        with pytest.raises(StaleVersion):
            await active.ledger.record(held, other, "I was only asleep", to=Status.REJECTED)
        assert (await active.ledger.get(opened.id)) == seen


async def test_the_heartbeat_renews_the_lease_for_as_long_as_the_work_takes(
    active: Runtime, opened: Provisioning, driver: Driver, clock: StillClock
) -> None:
    began = clock.now()
    async with leased(opened, driver) as claimed:
        for _ in range(3 * BEATS_PER_LEASE):
            await clock.beat()
        assert clock.now() - began == 3 * LEASE
        assert not await is_free(active, opened)
        await active.ledger.record(claimed, driver, "still mine", to=Status.REJECTED)


async def test_the_heartbeat_ends_with_the_work(
    active: Runtime, opened: Provisioning, driver: Driver, clock: StillClock
) -> None:
    before = asyncio.all_tasks()
    async with leased(opened, driver):
        assert len(asyncio.all_tasks() - before) == 1
    assert asyncio.all_tasks() - before == set()
    clock.pass_(LEASE_SECONDS)
    assert await is_free(active, opened)


async def test_a_heart_that_was_overtaken_stops_and_leaves_the_lease_to_its_holder(
    active: Runtime, opened: Provisioning, driver: Driver, other: Driver, clock: StillClock
) -> None:
    before = asyncio.all_tasks()
    async with leased(opened, driver) as claimed:
        clock.pass_(LEASE_SECONDS)  # as where this process was asleep
        await active.leases.claim(opened.id, other, LEASE)
        await clock.start_beat()
        await asyncio.wait(asyncio.all_tasks() - before)
        with pytest.raises(StaleVersion):
            await active.ledger.record(claimed, driver, "mine?", to=Status.REJECTED)
        with pytest.raises(LeaseHeld):
            await reclaim(opened.id, driver)
    await active.leases.renew(opened.id, other, LEASE)


async def test_a_driver_that_was_overtaken_in_its_own_process_ends_alone(
    active: Runtime, opened: Provisioning, driver: Driver, other: Driver, clock: StillClock
) -> None:
    before = asyncio.all_tasks()
    async with contextlib.AsyncExitStack() as first:
        await first.enter_async_context(leased(opened, driver))
        [beating] = asyncio.all_tasks() - before
        clock.pass_(LEASE_SECONDS)  # as where its coroutine was held up
        async with leased(opened, other):
            await clock.start_beat()
            await asyncio.wait([beating])
            assert active.held[driver.id][opened.id].is_lost
            assert not active.held[other.id][opened.id].is_lost
            await first.aclose()
            assert not await is_free(active, opened)
    assert active.held == {}


async def test_one_heart_beats_for_all_that_a_driver_holds_and_tells_the_one_that_was_taken(
    active: Runtime,
    request_of_ada: ProvisioningRequest,
    driver: Driver,
    other: Driver,
    clock: StillClock,
) -> None:
    opened = [(await active.ledger.open(request_of_ada, f"ada-{n}", driver))[0] for n in range(3)]
    before = asyncio.all_tasks()
    async with leased(opened[0], driver), leased(opened[1], driver):
        async with leased(opened[2], driver):
            assert len(asyncio.all_tasks() - before) == 1
            await clock.beat()
        clock.pass_(LEASE_SECONDS)
        await active.leases.claim(opened[1].id, other, LEASE)
        await clock.beat()
        assert active.held[driver.id][opened[1].id].is_lost
        assert not active.held[driver.id][opened[0].id].is_lost
        assert await is_free(active, opened[2])
        for _ in range(BEATS_PER_LEASE):
            await clock.beat()
        assert not await is_free(active, opened[0])
    assert asyncio.all_tasks() - before == set()
    assert (active.held, active.hearts) == ({}, {})
    await active.leases.renew(opened[1].id, other, LEASE)


class OnceFailing(Leases):
    """Leases whose first renewal meets a database that is busy."""

    failures = 0

    async def renew_all(
        self, provisioning_ids: Collection[str], driver: Driver, lease: timedelta
    ) -> frozenset[str]:
        if self.failures == 0:
            self.failures += 1
            raise DatabaseError("database is locked")
        return await super().renew_all(provisioning_ids, driver, lease)


async def test_a_database_that_fails_for_a_moment_costs_one_beat(
    active: Runtime,
    opened: Provisioning,
    driver: Driver,
    clock: StillClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    leases = OnceFailing(active.ledger.database, clock)
    async with sharing(dataclasses.replace(active, leases=leases)), leased(opened, driver):
        for _ in range(BEATS_PER_LEASE + 1):
            await clock.beat()
        assert leases.failures == 1
        assert not await is_free(active, opened)
    assert any("could not be renewed: database is locked" in record.getMessage() for record in caplog.records)


async def test_the_holder_reads_it_anew_and_keeps_the_lease(
    active: Runtime, opened: Provisioning, driver: Driver, other: Driver
) -> None:
    async with leased(opened, driver) as claimed:
        changed = await active.ledger.record(claimed, driver, "a branch wrote")
        again = await reclaim(opened.id, driver)
        assert again.version > changed.version
        with pytest.raises(LeaseHeld):
            await reclaim(opened.id, other)


async def test_of_many_who_come_at_once_one_drives_at_a_time_and_all_come_to_the_end(
    active: Runtime, opened: Provisioning
) -> None:
    inside: list[str] = []
    worked: list[str] = []

    async def drive(number: int) -> Status:
        me = Driver(actor=f"driver {number}", id=f"d-{number}")
        async with leased(opened, me) as seen:
            if seen.status.is_end:
                return seen.status
            inside.append(me.id)
            assert len(inside) == 1
            for _ in range(3):
                await active.ledger.get(opened.id)
            ended = await active.ledger.record(seen, me, "done", to=Status.REJECTED)
            worked.append(inside.pop())
            return ended.status

    # Nobody's heart beats here, and each look of a follower lasts a second of the clock.
    async with sharing(dataclasses.replace(active, lease=timedelta(hours=1))):
        statuses = await asyncio.gather(*(drive(number) for number in range(5)))
    assert statuses == [Status.REJECTED] * 5
    assert len(worked) == 1
