"""Webhook deliveries: each stored once before it is processed, read by pollers in order, and deleted when old.

Senders decide how many deliveries there are, so the table is bounded by age and by number. Pollers read new rows
once per second. All that a deleted row could still show is that a delivery is a duplicate, which saves one poll.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable
from dataclasses import asdict
from datetime import timedelta
from itertools import islice

from sqlalchemy import Connection, delete, func, insert, select

from models.argil.webhook import WebhookDelivery
from models.clock import Clock
from models.request_fields import SUBMISSION_ID_EXTRA
from models.tables import duplicate_table, provisioning_table, submission_table, webhook_delivery_table
from store.database import Database

PAGE_SIZE = 1000
ERASED_BODY = "{}"
"""Stored instead of the body of a delivery about an erased person: Argil still has the name."""
MAX_SUBMISSION_IDS = 3
"""Ids in the body of a delivery that are compared with erased submissions; Argil returns one, in the extras."""
MAX_DELIVERIES = 50_000
"""Rows that are kept; the oldest are deleted first. With the largest bodies they take about 250 MB."""
MAX_AGE = timedelta(days=30)
"""How long a delivery is kept. The newest one is kept longer, so that ids only increase."""
PRUNE_BATCH_SIZE = 100
"""Old rows that a transaction deletes in addition to as many as it inserts; other writers wait for milliseconds."""
_ADVISORY_LOCK_ID = 0x64656C69
"""PostgreSQL advisory lock that serializes writers: an arbitrary number that no other code uses."""


_SUBMISSION_ID = re.compile(
    rf"{SUBMISSION_ID_EXTRA}[^0-9a-z]{{1,9}}([0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})"
)
_TABLE = webhook_delivery_table
_LATEST_ID = select(func.coalesce(func.max(_TABLE.c.id), 0))


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

    async def find_avatar_id(self, submission_id: str) -> str | None:
        """Return the id of the avatar of a submission, None if the ledger does not know it."""
        query = select(submission_table.c.avatar_id).where(submission_table.c.id == submission_id)
        return await self._database.read(lambda connection: connection.scalar(query))

    async def _flush_pending(self) -> None:
        batch = dict(islice(self._pending.items(), PAGE_SIZE))
        new_digests = await self._insert(batch.values())
        for is_new, delivery in batch.items():
            self._pending.pop(is_new, None)
            is_new.set_result(delivery.digest in new_digests)
            new_digests.discard(delivery.digest)  # a repeated delivery later in the batch is not new

    async def _insert(self, batch: Iterable[WebhookDelivery]) -> set[str]:
        """Insert the deliveries that are not stored yet and return their digests; delete old deliveries."""
        deliveries = {delivery.digest: delivery for delivery in batch}
        now = self._clock.now()

        def insert_new(connection: Connection) -> set[str]:
            self._serialize(connection)  # so that ids become visible in order and `list_after` never skips one
            # An ignored insert would use up an id on PostgreSQL, and the ids bound the number of rows.
            query = select(_TABLE.c.digest).where(_TABLE.c.digest.in_(deliveries))
            new = deliveries.keys() - set(connection.scalars(query))
            if new:
                erased = _erased_digests(connection, [deliveries[digest] for digest in new])
                rows = [
                    {**asdict(delivery), "received_at": now}
                    | ({"body": ERASED_BODY, "voice_id": None} if digest in erased else {})
                    for digest, delivery in deliveries.items()
                    if digest in new
                ]
                connection.execute(insert(_TABLE), rows)
                self._delete_oldest(connection, len(new) + PRUNE_BATCH_SIZE)
            return new

        return await self._database.write(insert_new)

    async def prune(self) -> int:
        """Delete at most PRUNE_BATCH_SIZE deliveries that are too old or too many; return how many were deleted."""

        def delete_oldest(connection: Connection) -> int:
            self._serialize(connection)  # so that two transactions do not wait for each other's rows
            return self._delete_oldest(connection, PRUNE_BATCH_SIZE)

        return await self._database.write(delete_oldest)

    def _serialize(self, connection: Connection) -> None:
        """Wait until no other transaction inserts or deletes deliveries; SQLite has only one writer anyway."""
        if not self._database.is_sqlite:
            connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK_ID)))

    def _delete_oldest(self, connection: Connection, limit: int) -> int:
        """Delete old rows, at most `limit`: those beyond MAX_DELIVERIES or MAX_AGE, but never the newest one."""
        newest = connection.execute(_LATEST_ID).scalar_one()
        query = select(_TABLE.c.id, _TABLE.c.received_at).where(_TABLE.c.id > 0, _TABLE.c.id < newest)
        oldest = connection.execute(query.order_by(_TABLE.c.id).limit(limit))
        received_before = self._clock.now() - MAX_AGE
        ids = [row.id for row in oldest if row.id <= newest - MAX_DELIVERIES or row.received_at < received_before]
        if ids:
            connection.execute(delete(_TABLE).where(_TABLE.c.id.in_(ids)))
        return len(ids)

    async def latest_id(self) -> int:
        """Return the id of the newest delivery, or 0: the position from which a poller calls `list_after`."""
        return await self._database.read(lambda connection: connection.execute(_LATEST_ID).scalar_one())

    async def list_after(self, delivery_id: int) -> list[tuple[int, str]]:
        """Return (delivery id, avatar id) of at most PAGE_SIZE deliveries after the given id, oldest first."""
        query = (
            select(_TABLE.c.id, _TABLE.c.avatar_id)
            .where(_TABLE.c.id > delivery_id)
            .order_by(_TABLE.c.id)
            .limit(PAGE_SIZE)
        )
        return await self._database.read(
            lambda connection: [(row.id, row.avatar_id) for row in connection.execute(query)]
        )


def _erased_digests(connection: Connection, deliveries: Collection[WebhookDelivery]) -> set[str]:
    """Return the digests of the deliveries about an avatar, or with a submission id, of an erased provisioning."""
    avatar_ids = {delivery.avatar_id for delivery in deliveries}
    submission_ids = {
        delivery.digest: set(_SUBMISSION_ID.findall(delivery.body)[:MAX_SUBMISSION_IDS]) for delivery in deliveries
    }
    duplicates = select(duplicate_table.c.avatar_id).join(
        provisioning_table, provisioning_table.c.id == duplicate_table.c.provisioning_id
    )
    queries = (
        select(provisioning_table.c.avatar_id).where(provisioning_table.c.avatar_id.in_(avatar_ids)),
        duplicates.where(duplicate_table.c.avatar_id.in_(avatar_ids)),
        select(submission_table.c.id)
        .join(provisioning_table, provisioning_table.c.id == submission_table.c.provisioning_id)
        .where(submission_table.c.id.in_(set().union(*submission_ids.values()))),
    )
    is_erased = provisioning_table.c.erased_at.is_not(None)
    erased = {key for query in queries for key in connection.execute(query.where(is_erased)).scalars()}
    return {
        delivery.digest
        for delivery in deliveries
        if erased & {delivery.avatar_id, *submission_ids[delivery.digest]}
    }
