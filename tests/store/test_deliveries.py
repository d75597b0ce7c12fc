"""Deliveries on both engines: stored once each, and read in their order."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from models.errors import DatabaseError
from models.provisioning import Driver, Provisioning, Status
from models.request import ProvisioningRequest
from models.tables import DeliveryRow
from models.webhook import KEPT_CHARACTERS, Delivery
from store import deliveries as module
from store.database import Database
from store.deliveries import Deliveries
from store.leases import Leases
from store.provisionings import Ledger
from tests.fakes import FakeClock

LEASE = timedelta(seconds=60)


def of(avatar_id: str, number: int = 0) -> Delivery:
    body = {"event": "AVATAR_TRAINING_SUCCESS", "data": {"avatarId": avatar_id, "extras": {"n": str(number)}}}
    delivery = Delivery.read(json.dumps(body).encode())
    assert delivery is not None
    return delivery


@pytest.fixture
def deliveries(database: Database, clock: FakeClock) -> Deliveries:
    return Deliveries(database, clock)


@pytest.fixture
async def in_training(
    database: Database, clock: FakeClock, request_of_ada: ProvisioningRequest, driver: Driver
) -> Provisioning:
    ledger = Ledger(database, clock)
    opened, _ = await ledger.open(request_of_ada, "ada-1", driver)
    sent = await ledger.record(opened, driver, "sends", to=Status.SUBMITTING)
    return await ledger.record(
        sent, driver, "created", to=Status.TRAINING, avatar_id="a-1", training_since=clock.now()
    )


async def test_a_delivery_is_stored_once_however_often_it_comes(deliveries: Deliveries, database: Database) -> None:
    assert [await deliveries.add(of("a-1")) for _ in range(3)] == [True, False, False]
    assert await deliveries.add(of("a-1", 2))
    async with database.reading() as connection:
        rows = (await connection.execute(select(DeliveryRow.__table__).order_by(DeliveryRow.id))).all()
    assert [(row.event, row.avatar_id) for row in rows] == [("AVATAR_TRAINING_SUCCESS", "a-1")] * 2
    assert rows[0].at == FakeClock().now()


async def test_of_many_that_come_at_once_each_is_stored_once_and_read_in_order(deliveries: Deliveries) -> None:
    sent = [of(f"a-{number % 20}") for number in range(60)]
    new = await asyncio.gather(*(deliveries.add(one) for one in sent))
    assert sum(new) == 20
    found = await deliveries.since(0)
    assert sorted(avatar_id for _, avatar_id in found) == sorted({one.avatar_id for one in sent})
    ids = [delivery_id for delivery_id, _ in found]
    assert ids == sorted(set(ids))


async def test_a_poller_that_reads_while_others_add_misses_none(deliveries: Deliveries) -> None:
    seen: list[str] = []

    async def poll() -> None:
        newest = 0
        while len(seen) < 50:
            page = await deliveries.since(newest)
            newest = page[-1][0] if page else newest
            seen.extend(avatar_id for _, avatar_id in page)

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(poll())
        for number in range(50):
            group.create_task(deliveries.add(of(f"a-{number}")))
    assert sorted(seen) == sorted(f"a-{number}" for number in range(50))


async def test_a_poller_begins_with_the_newest(deliveries: Deliveries) -> None:
    assert await deliveries.newest_id() == 0
    await deliveries.add(of("a-1"))
    newest = await deliveries.newest_id()
    assert await deliveries.since(newest) == []
    await deliveries.add(of("a-2"))
    assert [avatar_id for _, avatar_id in await deliveries.since(newest)] == ["a-2"]


async def test_many_are_read_a_page_at_a_time(deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 2)  # a thousand rows would only take time
    for number in range(5):
        await deliveries.add(of(f"a-{number}"))
    newest, pages = 0, []
    while page := await deliveries.since(newest):
        newest = page[-1][0]
        pages.append([avatar_id for _, avatar_id in page])
    assert pages == [["a-0", "a-1"], ["a-2", "a-3"], ["a-4"]]


async def test_the_widest_delivery_fits(deliveries: Deliveries) -> None:
    body = {"event": "AVATAR_GENERATION_FAILED", "data": {"avatarId": "x" * 256, "extras": "\ud800\x00ü" * 9_000}}
    delivery = Delivery.read(json.dumps(body).encode())
    assert delivery is not None
    assert len(delivery.body) == KEPT_CHARACTERS
    assert await deliveries.add(delivery)


async def test_an_avatar_in_training_without_a_driver_is_unwatched(
    deliveries: Deliveries, database: Database, clock: FakeClock, in_training: Provisioning, driver: Driver
) -> None:
    assert await deliveries.unwatched("a-1") == in_training
    assert await deliveries.unwatched("a-2") is None
    leases = Leases(database, clock)
    claimed = await leases.claim(in_training.id, driver, lease=LEASE)
    assert await deliveries.unwatched("a-1") is None
    clock.pass_(LEASE.total_seconds())
    assert await deliveries.unwatched("a-1") == claimed
    await leases.release(in_training.id, driver)
    await Ledger(database, clock).record(claimed, driver, "ended", to=Status.READY)
    assert await deliveries.unwatched("a-1") is None


async def test_a_database_that_fails_is_one_clear_error(clock: FakeClock) -> None:
    database = Database("postgresql+asyncpg://user:canary-password@127.0.0.1:1/ledger")
    deliveries = Deliveries(database, clock)
    for call in (deliveries.add(of("a-1")), deliveries.newest_id(), deliveries.since(0), deliveries.unwatched("a")):
        with pytest.raises(DatabaseError) as caught:
            await call
        assert "canary" not in str(caught.value)
    await database.close()
