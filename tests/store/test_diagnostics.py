"""What `avatars doctor` asks the ledger, on both engines."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select, update

from models.errors import DatabaseError
from models.lease_duration import LEASE_DURATION
from models.limits import PauseCause
from models.provisioning import LeaseOwner, Provisioning, Status
from models.request import ProvisioningRequest
from models.tables import METADATA, observation_table, pause_table, provisioning_table, tick_lease_table
from store.database import Database
from store.diagnostics import MAX_NAMED_ROWS, read_facts, write_probe
from store.leases import LeaseRepository
from store.ledger import Ledger
from store.observations import Observation, ObservationRepository
from store.pauses import start_pause
from store.tick_leases import TickLeaseRepository
from tests.chaos.database_faults import SqlitePageLimit
from tests.fakes import FakeClock

TWO_HOURS = timedelta(hours=2)


@pytest.fixture
def ledger(database: Database, clock: FakeClock) -> Ledger:
    return Ledger(database, clock)


@pytest.fixture
async def accepted(
    ledger: Ledger, provisioning_request: ProvisioningRequest, owner: LeaseOwner, clock: FakeClock
) -> Provisioning:
    """A provisioning with times of the clock that leases are judged by."""
    clock.time = (await read_facts(ledger.database, clock)).now
    return (await ledger.get_or_create(provisioning_request, "ada-1", owner))[0]


async def count_rows(database: Database) -> int:
    def count(connection: Connection) -> int:
        return sum(
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in METADATA.sorted_tables
        )

    return await database.read(count)


async def test_probe_leaves_no_row(ledger: Ledger, accepted: Provisioning, clock: FakeClock) -> None:
    before = await count_rows(ledger.database)
    await write_probe(ledger.database, clock)
    assert await count_rows(ledger.database) == before
    assert await ledger.list_latest(None, 9) == [accepted]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_probe_finds_a_full_disk(
    database_url: str, database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    fault = SqlitePageLimit(database_url, database, tmp_path)
    await write_probe(database, clock)
    await database.compact([])
    await fault.inject()
    with pytest.raises(DatabaseError, match="full") as caught:
        await write_probe(database, clock)
    assert "free disk space" in caught.value.hint


@pytest.mark.parametrize(
    ("column", "ahead"),
    [
        ("lease_expires_at", LEASE_DURATION + timedelta(seconds=60)),
        ("updated_at", TWO_HOURS),
        ("training_started_at", TWO_HOURS),
        ("not_found_since", TWO_HOURS),
    ],
)
async def test_times_ahead_of_the_clock_are_named(
    ledger: Ledger, accepted: Provisioning, clock: FakeClock, column: str, ahead: timedelta
) -> None:
    assert (await read_facts(ledger.database, clock)).ahead == ()
    moved = update(provisioning_table).values({column: clock.now() + ahead})
    await ledger.database.write(lambda connection: connection.execute(moved))
    assert (await read_facts(ledger.database, clock)).ahead == (f"provisioning {accepted.id}",)


async def test_schedules_pauses_and_observations_ahead_of_the_clock_are_named(
    ledger: Ledger, accepted: Provisioning, owner: LeaseOwner, clock: FakeClock
) -> None:
    database = ledger.database
    schedules = TickLeaseRepository(database, clock)
    for name in ("reconcile-avatars", "provision-pending"):
        await schedules.acquire(name, owner, "a run", LEASE_DURATION)
    await schedules.release("provision-pending", owner, None)
    await ObservationRepository(database, clock).record(Observation.RECONCILED)
    pause = partial(start_pause, cause=PauseCause.PAYMENT, api_key_sha256="key", is_sqlite=database.is_sqlite)
    await database.write(lambda connection: pause(connection, now=clock.now()))
    assert (await read_facts(database, clock)).ahead == ()

    def move(connection: Connection) -> None:
        for table, column in (
            (tick_lease_table, "acquired_at"),
            (pause_table, "started_at"),
            (observation_table, "observed_at"),
        ):
            connection.execute(update(table).values({column: clock.now() + TWO_HOURS}))

    await database.write(move)
    assert (await read_facts(database, clock)).ahead == (
        "schedule reconcile-avatars",
        "pause payment",
        "observation reconciled",
    )


async def test_only_a_few_rows_ahead_of_the_clock_are_named(
    ledger: Ledger,
    accepted: Provisioning,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    clock: FakeClock,
) -> None:
    for number in range(MAX_NAMED_ROWS + 1):
        await ledger.get_or_create(provisioning_request, f"bob-{number}", owner)
    moved = update(provisioning_table).values(updated_at=clock.now() + TWO_HOURS)
    await ledger.database.write(lambda connection: connection.execute(moved))
    assert len((await read_facts(ledger.database, clock)).ahead) == MAX_NAMED_ROWS


async def test_provisioning_waits_unless_leased_or_terminal(
    ledger: Ledger, accepted: Provisioning, owner: LeaseOwner, clock: FakeClock
) -> None:
    assert (await read_facts(ledger.database, clock)).waiting_since == accepted.updated_at
    leases = LeaseRepository(ledger.database, clock)
    leased = await leases.acquire(accepted.id, owner, LEASE_DURATION)
    assert (await read_facts(ledger.database, clock)).waiting_since is None
    await ledger.transition(leased, owner, "no", new_status=Status.REJECTED)
    await leases.release(accepted.id, owner)
    assert (await read_facts(ledger.database, clock)).waiting_since is None


async def test_observation_keeps_its_latest_time(database: Database, clock: FakeClock) -> None:
    observations = ObservationRepository(database, clock)
    assert await observations.read_all() == {}
    for _ in range(2):
        clock.advance(60)
        await observations.record(Observation.RECONCILED)
    assert await observations.read_all() == {Observation.RECONCILED: clock.now()}
