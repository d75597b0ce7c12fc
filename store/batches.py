"""Batches on record, and the number of provisionings per status of each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, literal, select, tuple_, update

from models.batch_record import BatchRecord, BatchSource
from models.clock import Clock
from models.errors import BatchCancelled, UnknownBatch
from models.provisioning import LeaseOwner, Status, parse_provisioning_id
from models.tables import IdType, UtcDateTime, batch_table, provisioning_table
from store.database import Database
from store.statements import BATCH_CANCELLED_AT, LOCK_BATCH
from store.upsert import insert_or_ignore


class BatchRepository:
    """Records and reads batches. Every method raises DatabaseError if the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, source: BatchSource, owner: LeaseOwner) -> BatchRecord:
        """Record the start of the batch of this owner.

        A run that starts again keeps its id and its first start; its manifest is the one that it reads now.

        Args:
            source: What the batch provisions.
            owner: The owner, with a batch id.
        """
        values = {
            "manifest": source.manifest,
            "manifest_sha256": source.manifest_sha256,
            "started_by": source.started_by,
            "flow_run_id": owner.flow_run_id,
            "ended_at": None,
            "row_count": len(source.rows),
            "invalid_count": source.invalid_count,
        }
        own = batch_table.c.id == owner.batch_id
        statement = insert_or_ignore(batch_table, is_sqlite=self._database.is_sqlite)

        def write(connection: Connection) -> BatchRecord:
            new = {**values, "id": owner.batch_id, "started_at": self._clock.now()}
            row = connection.execute(statement, new).one_or_none()
            if row is None:
                changed = update(batch_table).where(own).values(values).returning(*batch_table.c)
                row = connection.execute(changed).one()
            return _to_record(row)

        return await self._database.write(write)

    async def end(self, owner: LeaseOwner, *, invalid_count: int) -> None:
        """Record that each row of this owner's batch is finished or blocked, and how many rows were invalid."""
        values = {"ended_at": self._clock.now(), "invalid_count": invalid_count}
        statement = update(batch_table).where(batch_table.c.id == owner.batch_id).values(values)
        await self._database.write(lambda connection: connection.execute(statement))

    async def cancel(self, batch_id: str) -> None:
        """Record that a person cancelled the batch; the first time stays.

        Once this returns, the rows that the batch has recorded are all that it will ever record. It waits for
        transactions that are recording a row. A run of the batch that starts again changes nothing of it.
        """
        first_time = update(batch_table).where(batch_table.c.id == batch_id, batch_table.c.cancelled_at.is_(None))
        statement = first_time.values(cancelled_at=self._clock.now())
        await self._database.write(lambda connection: connection.execute(statement))

    async def get(self, key: str) -> BatchRecord:
        """Return the batch with this id, in any form of a UUID. Raises UnknownBatch."""
        query = select(batch_table).where(batch_table.c.id == (parse_provisioning_id(key) or ""))
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            raise UnknownBatch(key)
        return _to_record(row)

    async def list_page(self, limit: int, after: BatchRecord | None = None) -> list[BatchRecord]:
        """Return one page of batches, newest first; `after` is the last one of the previous page."""
        key = tuple_(batch_table.c.started_at, batch_table.c.id)
        query = select(batch_table).order_by(batch_table.c.started_at.desc(), batch_table.c.id.desc()).limit(limit)
        if after is not None:
            query = query.where(key < _key(after.started_at, after.id))
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [_to_record(row) for row in rows]

    async def count_by_status(self, batch_ids: Sequence[str]) -> dict[str, dict[Status, int]]:
        """Return the number of provisionings per status of each batch, omitting statuses with none.

        A provisioning counts for the batch that took it last.
        """
        table = provisioning_table.c
        query = (
            select(table.batch_id, table.status, func.count())
            .where(table.batch_id.in_(batch_ids))
            .group_by(table.batch_id, table.status)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        counts: dict[str, dict[Status, int]] = {batch_id: {} for batch_id in batch_ids}
        for batch_id, status, count in rows:
            counts[batch_id][Status(status)] = count
        return counts


def require_running_batch(connection: Connection, owner: LeaseOwner, *, lock: bool = False) -> None:
    """Raise BatchCancelled if a person cancelled the batch of this owner; do nothing for one without a batch.

    Args:
        connection: A write transaction.
        owner: The owner.
        lock: Whether a cancellation waits for the end of the transaction. Call it before any other row is locked.
    """
    if owner.batch_id is None:
        return
    statement = LOCK_BATCH if lock else BATCH_CANCELLED_AT
    if connection.scalar(statement, {"batch_id": owner.batch_id}) is not None:
        raise BatchCancelled(owner.batch_id)


def _key(started_at: datetime, batch_id: str) -> Any:
    return tuple_(literal(started_at, UtcDateTime()), literal(batch_id, IdType))


def _to_record(row: Row[Any]) -> BatchRecord:
    return BatchRecord(**row._mapping)  # noqa: SLF001  # a public attribute of Row, named so that no column hides it
