"""Webhook deliveries on both engines: each is stored once, and they are read in order."""

from __future__ import annotations

import asyncio
import json

import pytest
from sqlalchemy import func, select

from models.argil.webhook import MAX_STORED_BODY_CHARACTERS, WebhookDelivery
from models.errors import DatabaseError
from models.tables import webhook_delivery_table
from store import webhook_deliveries as module
from store.database import Database
from store.webhook_deliveries import MAX_AGE, WebhookDeliveryRepository
from tests.fakes import FakeClock


def make_delivery(avatar_id: str, number: int = 0) -> WebhookDelivery:
    body = {"event": "AVATAR_TRAINING_SUCCESS", "data": {"avatarId": avatar_id, "extras": {"n": str(number)}}}
    delivery = WebhookDelivery.parse(json.dumps(body).encode())
    assert delivery is not None
    return delivery


@pytest.fixture
def deliveries(database: Database, clock: FakeClock) -> WebhookDeliveryRepository:
    return WebhookDeliveryRepository(database, clock)


async def test_repeated_delivery_is_stored_once(deliveries: WebhookDeliveryRepository, database: Database) -> None:
    assert [await deliveries.add(make_delivery("a-1")) for _ in range(3)] == [True, False, False]
    assert await deliveries.add(make_delivery("a-1", 2))
    query = select(webhook_delivery_table).order_by(webhook_delivery_table.c.id)
    rows = await database.read(lambda connection: connection.execute(query).all())
    assert [(row.event, row.avatar_id) for row in rows] == [("AVATAR_TRAINING_SUCCESS", "a-1")] * 2
    assert rows[0].received_at == FakeClock().now()


async def test_concurrent_deliveries_are_stored_once_in_order(
    deliveries: WebhookDeliveryRepository,
) -> None:
    sent = [make_delivery(f"a-{number % 20}") for number in range(60)]
    results = await asyncio.gather(*(deliveries.add(delivery) for delivery in sent))
    assert sum(results) == 20
    stored = await deliveries.list_after(0)
    assert sorted(avatar_id for _, avatar_id in stored) == sorted({delivery.avatar_id for delivery in sent})
    ids = [delivery_id for delivery_id, _ in stored]
    assert ids == sorted(set(ids))


async def test_poller_misses_no_concurrently_added_delivery(deliveries: WebhookDeliveryRepository) -> None:
    avatar_ids: list[str] = []

    async def poll() -> None:
        newest = 0
        while len(avatar_ids) < 50:
            page = await deliveries.list_after(newest)
            newest = page[-1][0] if page else newest
            avatar_ids.extend(avatar_id for _, avatar_id in page)

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(poll())
        for number in range(50):
            group.create_task(deliveries.add(make_delivery(f"a-{number}")))
    assert sorted(avatar_ids) == sorted(f"a-{number}" for number in range(50))


async def test_poller_starts_after_the_newest_delivery(deliveries: WebhookDeliveryRepository) -> None:
    assert await deliveries.latest_id() == 0
    await deliveries.add(make_delivery("a-1"))
    newest = await deliveries.latest_id()
    assert await deliveries.list_after(newest) == []
    await deliveries.add(make_delivery("a-2"))
    assert [avatar_id for _, avatar_id in await deliveries.list_after(newest)] == ["a-2"]


async def test_deliveries_are_read_in_pages(
    deliveries: WebhookDeliveryRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_SIZE", 2)  # instead of inserting a thousand rows
    for number in range(5):
        await deliveries.add(make_delivery(f"a-{number}"))
    newest, pages = 0, []
    while page := await deliveries.list_after(newest):
        newest = page[-1][0]
        pages.append([avatar_id for _, avatar_id in page])
    assert pages == [["a-0", "a-1"], ["a-2", "a-3"], ["a-4"]]


async def test_largest_delivery_fits(deliveries: WebhookDeliveryRepository) -> None:
    body = {"event": "AVATAR_GENERATION_FAILED", "data": {"avatarId": "x" * 256, "extras": "\ud800\x00ü" * 9_000}}
    delivery = WebhookDelivery.parse(json.dumps(body).encode())
    assert delivery is not None
    assert len(delivery.body) == MAX_STORED_BODY_CHARACTERS
    assert await deliveries.add(delivery)


async def test_unreachable_database_raises_database_error(clock: FakeClock) -> None:
    database = Database("postgresql+asyncpg://user:canary-password@127.0.0.1:1/ledger")
    deliveries = WebhookDeliveryRepository(database, clock)
    for call in (
        deliveries.add(make_delivery("a-1")),
        deliveries.latest_id(),
        deliveries.list_after(0),
    ):
        with pytest.raises(DatabaseError) as caught:
            await call
        assert "canary" not in str(caught.value)
    await database.close()


# Bounds


async def count(database: Database) -> int:
    query = select(func.count()).select_from(webhook_delivery_table)
    return await database.read(lambda connection: connection.execute(query).scalar_one())


async def test_number_of_deliveries_is_bounded(
    deliveries: WebhookDeliveryRepository, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_DELIVERIES", 5)
    for number in range(12):
        await deliveries.add(make_delivery(f"a-{number}"))
        assert await count(database) <= 5
    await asyncio.gather(*(deliveries.add(make_delivery(f"b-{number}")) for number in range(12)))
    kept = await deliveries.list_after(0)
    assert len(kept) == 5
    assert [delivery_id for delivery_id, _ in kept] == list(range(20, 25))


async def test_old_deliveries_are_deleted_with_the_next_one(
    deliveries: WebhookDeliveryRepository, clock: FakeClock
) -> None:
    await deliveries.add(make_delivery("a-1"))
    clock.advance(MAX_AGE.total_seconds() / 2)
    await deliveries.add(make_delivery("a-2"))
    clock.advance(MAX_AGE.total_seconds() / 2 + 1)
    await deliveries.add(make_delivery("a-3"))
    assert [avatar_id for _, avatar_id in await deliveries.list_after(0)] == ["a-2", "a-3"]


async def test_pruning_keeps_the_newest_delivery_and_its_id(
    deliveries: WebhookDeliveryRepository, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PRUNE_BATCH_SIZE", 2)
    for number in range(6):
        await deliveries.add(make_delivery(f"a-{number}"))
    newest = await deliveries.latest_id()
    assert await deliveries.prune() == 0
    clock.advance(MAX_AGE.total_seconds() + 1)
    assert [await deliveries.prune() for _ in range(4)] == [2, 2, 1, 0]
    assert await deliveries.list_after(0) == [(newest, "a-5")]
    await deliveries.add(make_delivery("a-6"))
    assert await deliveries.list_after(newest) == [(newest + 1, "a-6")]


async def test_large_table_shrinks_in_small_steps(
    deliveries: WebhookDeliveryRepository, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        await deliveries.add(make_delivery(f"a-{number}"))
    monkeypatch.setattr(module, "MAX_DELIVERIES", 3)
    monkeypatch.setattr(module, "PRUNE_BATCH_SIZE", 2)
    await deliveries.add(make_delivery("b-1"))
    assert await count(database) == 8  # one more, and three fewer
    assert await deliveries.prune() == 2
    assert await count(database) == 6


async def test_repeated_deliveries_evict_nothing(
    deliveries: WebhookDeliveryRepository, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would if they used up ids, as an ignored insert does on PostgreSQL."""
    monkeypatch.setattr(module, "MAX_DELIVERIES", 5)
    for number in range(5):
        await deliveries.add(make_delivery(f"a-{number}"))
    for _ in range(10):
        assert not await deliveries.add(make_delivery("a-0"))
    assert await count(database) == 5
    await deliveries.add(make_delivery("a-5"))
    assert [avatar_id for _, avatar_id in await deliveries.list_after(0)] == [f"a-{n}" for n in range(1, 6)]
