"""Leases on schedules: exclusive, expiring, and judged as the leases of provisionings are."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import update

from models.clock import SystemClock
from models.provisioning import LeaseOwner
from models.tables import tick_lease_table
from store.database import Database
from store.observations import Observation, ObservationRepository
from store.tick_leases import TickLease, TickLeaseRepository
from tests.fakes import FakeClock

LEASE = timedelta(seconds=30)
FIRST, SECOND = (LeaseOwner(actor="reconcile", id=name) for name in ("first", "second"))


@pytest.fixture
def leases(database: Database, clock: FakeClock) -> TickLeaseRepository:
    return TickLeaseRepository(database, clock)


async def acquire(leases: TickLeaseRepository, owner: LeaseOwner, name: str = "reconcile") -> TickLease:
    return await leases.acquire(name, owner, f"run of {owner.id}", LEASE)


async def expire(database: Database, clock: FakeClock, *, hours: int) -> None:
    """Move the end of every lease, as a clock that was wrong would have."""
    now = clock.now() if database.is_sqlite else SystemClock().now()
    statement = update(tick_lease_table).values(expires_at=now + timedelta(hours=hours))
    await database.write(lambda connection: connection.execute(statement))


async def test_second_owner_learns_who_has_the_lease(leases: TickLeaseRepository) -> None:
    assert (await acquire(leases, FIRST)).is_acquired
    refused = await acquire(leases, SECOND)
    assert (refused.is_acquired, refused.holder) == (False, "run of first")
    assert (await acquire(leases, SECOND, "pending")).is_acquired


async def test_released_lease_returns_the_position(leases: TickLeaseRepository) -> None:
    assert (await acquire(leases, FIRST)).position is None
    await leases.release("reconcile", FIRST, "TRAINING p-1")
    again = await acquire(leases, SECOND)
    assert (again.is_acquired, again.position, again.holder) == (True, "TRAINING p-1", "run of second")


@pytest.mark.parametrize("hours", [-2, 2])
async def test_expired_or_far_ahead_lease_blocks_no_one(
    leases: TickLeaseRepository, database: Database, clock: FakeClock, hours: int
) -> None:
    await acquire(leases, FIRST)
    await expire(database, clock, hours=hours)
    assert (await acquire(leases, SECOND)).is_acquired


async def test_former_owner_neither_renews_nor_releases(
    leases: TickLeaseRepository, database: Database, clock: FakeClock
) -> None:
    await acquire(leases, FIRST)
    assert await leases.renew("reconcile", FIRST, LEASE)
    await expire(database, clock, hours=-2)
    await acquire(leases, SECOND)
    assert not await leases.renew("reconcile", FIRST, LEASE)
    await leases.release("reconcile", FIRST, None)
    assert not (await acquire(leases, FIRST)).is_acquired


async def test_observation_begins_and_ends_once(database: Database, clock: FakeClock) -> None:
    observations = ObservationRepository(database, clock)
    since = clock.now()
    assert await observations.begin(Observation.ARGIL_DEGRADED)
    clock.advance(60)
    assert not await observations.begin(Observation.ARGIL_DEGRADED)
    end = partial(observations.end, Observation.ARGIL_DEGRADED, recorded_as=Observation.ARGIL_RECOVERED)
    assert await end() == since
    clock.advance(60)
    assert await end() is None
    assert await observations.read_all() == {Observation.ARGIL_RECOVERED: since + timedelta(seconds=60)}
