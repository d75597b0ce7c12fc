"""Webhook deliveries: stored once each before anything else, and read by whoever watches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import asdict
from itertools import islice

from sqlalchemy import func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from models.clock import Clock
from models.provisioning import Provisioning, Status
from models.tables import DeliveryRow, ProvisioningRow
from models.webhook import Delivery
from store import rows
from store.database import Database

PAGE = 1000
_IN_ORDER = 0x64656C69
"""PostgreSQL's advisory lock of those who add: any number that nobody else locks."""


class Deliveries:
    """Adds and reads deliveries. Every method raises DatabaseError where the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._waiting: dict[asyncio.Future[bool], Delivery] = {}
        self._turn = asyncio.Lock()

    async def add(self, delivery: Delivery) -> bool:
        """Store a delivery; returns whether it is new. One that is there already is left as it is.

        What comes in while others are being stored shares the next transaction: a commit takes milliseconds.
        """
        is_new: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[is_new] = delivery
        try:
            async with self._turn:
                while not is_new.done():
                    await self._add_waiting()
            return is_new.result()
        finally:
            self._waiting.pop(is_new, None)

    async def _add_waiting(self) -> None:
        batch = dict(islice(self._waiting.items(), PAGE))
        new = await self._insert(batch.values())
        for is_new, delivery in batch.items():
            self._waiting.pop(is_new, None)
            is_new.set_result(delivery.digest in new)
            new.discard(delivery.digest)  # the same one further on in the batch is not new

    async def _insert(self, batch: Iterable[Delivery]) -> set[str]:
        """Store what is not there yet; returns its digests."""
        engine = sqlite if self._database.is_sqlite else postgresql
        add = engine.insert(DeliveryRow).on_conflict_do_nothing().returning(DeliveryRow.digest)
        now = self._clock.now()
        async with self._database.writing() as connection:
            if not self._database.is_sqlite:
                # One at a time, so that ids are seen in their order: `since` must pass over none for good.
                await connection.execute(select(func.pg_advisory_xact_lock(_IN_ORDER)))
            return set(await connection.scalars(add, [{**asdict(delivery), "at": now} for delivery in batch]))

    async def newest_id(self) -> int:
        """Return the id of the newest delivery, 0 where there is none: where `since` is to begin."""
        async with self._database.reading() as connection:
            return (await connection.execute(select(func.max(DeliveryRow.id)))).scalar_one() or 0

    async def since(self, delivery_id: int) -> list[tuple[int, str]]:
        """Return id and avatar id of at most PAGE deliveries after the given one, oldest first."""
        query = (
            select(DeliveryRow.id, DeliveryRow.avatar_id)
            .where(DeliveryRow.id > delivery_id)
            .order_by(DeliveryRow.id)
            .limit(PAGE)
        )
        async with self._database.reading() as connection:
            return [(row.id, row.avatar_id) for row in await connection.execute(query)]

    async def unwatched(self, avatar_id: str) -> Provisioning | None:
        """Return the provisioning in TRAINING that has this avatar and no living driver.

        None where the ledger knows no such avatar, has seen its end, or somebody watches it. One indexed query.
        """
        query = (
            select(ProvisioningRow.__table__)
            .where(ProvisioningRow.avatar_id == avatar_id, ProvisioningRow.status == Status.TRAINING)
            .where(
                or_(
                    ProvisioningRow.lease_owner.is_(None),
                    ProvisioningRow.lease_expires_at <= self._clock.now(),
                )
            )
            .limit(1)
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else rows.provisioning(row)
