"""Webhook deliveries: each stored once before it is processed, and read by pollers in order."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import asdict
from itertools import islice

from sqlalchemy import Connection, func, select

from models.clock import Clock
from models.tables import duplicate_table, provisioning_table, webhook_delivery_table
from models.webhook import WebhookDelivery
from store.database import Database
from store.upsert import insert_or_ignore

PAGE_SIZE = 1000
ERASED_BODY = "{}"
"""Stored instead of the body of a delivery about an erased person: Argil still has the name."""
_ADVISORY_LOCK_ID = 0x64656C69
"""PostgreSQL advisory lock that serializes inserts: an arbitrary number that no other code uses."""


class WebhookDeliveryRepository:
    """Adds and reads deliveries. Every method raises DatabaseError if the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._pending: dict[asyncio.Future[bool], WebhookDelivery] = {}
        self._flush_lock = asyncio.Lock()

    async def add(self, delivery: WebhookDelivery) -> bool:
        """Store a delivery unless it is already stored; return whether it is new.

        Deliveries that arrive during a commit share the next transaction, because a commit takes milliseconds.
        """
        is_new: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._pending[is_new] = delivery
        try:
            async with self._flush_lock:
                while not is_new.done():
                    await self._flush_pending()
            return is_new.result()
        finally:
            self._pending.pop(is_new, None)

    async def _flush_pending(self) -> None:
        batch = dict(islice(self._pending.items(), PAGE_SIZE))
        new_digests = await self._insert(batch.values())
        for is_new, delivery in batch.items():
            self._pending.pop(is_new, None)
            is_new.set_result(delivery.digest in new_digests)
            new_digests.discard(delivery.digest)  # a repeated delivery later in the batch is not new

    async def _insert(self, batch: Iterable[WebhookDelivery]) -> set[str]:
        """Insert the deliveries that are not stored yet; return their digests."""
        statement = insert_or_ignore(webhook_delivery_table, is_sqlite=self._database.is_sqlite)
        now = self._clock.now()
        deliveries = list(batch)

        def insert_new(connection: Connection) -> set[str]:
            if not self._database.is_sqlite:
                # Serialize inserts, so that ids become visible in order and `list_after` never skips one.
                connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK_ID)))
            erased = _erased_avatar_ids(connection, {delivery.avatar_id for delivery in deliveries})
            values = [
                {**asdict(delivery), "received_at": now}
                | ({"body": ERASED_BODY} if delivery.avatar_id in erased else {})
                for delivery in deliveries
            ]
            return {row.digest for row in connection.execute(statement, values)}

        return await self._database.write(insert_new)

    async def latest_id(self) -> int:
        """Return the id of the newest delivery, or 0: the position from which a poller calls `list_after`."""
        query = select(func.coalesce(func.max(webhook_delivery_table.c.id), 0))
        return await self._database.read(lambda connection: connection.execute(query).scalar_one())

    async def list_after(self, delivery_id: int) -> list[tuple[int, str]]:
        """Return (delivery id, avatar id) of at most PAGE_SIZE deliveries after the given id, oldest first."""
        query = (
            select(webhook_delivery_table.c.id, webhook_delivery_table.c.avatar_id)
            .where(webhook_delivery_table.c.id > delivery_id)
            .order_by(webhook_delivery_table.c.id)
            .limit(PAGE_SIZE)
        )
        return await self._database.read(
            lambda connection: [(row.id, row.avatar_id) for row in connection.execute(query)]
        )


def _erased_avatar_ids(connection: Connection, avatar_ids: Collection[str]) -> set[str]:
    """Return the avatars among these whose provisioning was erased."""
    duplicates = select(duplicate_table.c.avatar_id).join(
        provisioning_table, provisioning_table.c.id == duplicate_table.c.provisioning_id
    )
    queries = (
        select(provisioning_table.c.avatar_id).where(provisioning_table.c.avatar_id.in_(avatar_ids)),
        duplicates.where(duplicate_table.c.avatar_id.in_(avatar_ids)),
    )
    erased = provisioning_table.c.erased_at.is_not(None)
    return {avatar_id for query in queries for avatar_id in connection.execute(query.where(erased)).scalars()}
