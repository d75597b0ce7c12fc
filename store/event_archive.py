"""Moves the events of old final provisionings into a file and deletes old webhook deliveries, in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Connection, Delete, Row, Select, delete, func, insert, select

from models.archive import ARCHIVABLE_STATUSES, ARCHIVE_ACTOR, ArchivedEvent, ArchiveResult, archive_event_message
from models.clock import Clock
from models.errors import ArchiveError
from models.tables import event_table, provisioning_table, webhook_delivery_table
from store import pagination
from store.archive_file import ArchiveFile
from store.database import Database

PAGE_SIZE = 500
"""Provisionings per page."""
DELETE_BATCH_SIZE = 1000
"""Events or deliveries deleted per transaction; bounds how long other writers wait."""

_AnyRow = Row[*tuple[Any, ...]]


class EventArchive:
    """Archives events. Every method raises DatabaseError if the database fails, and can then be called again."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def preview(self, before: datetime) -> ArchiveResult:
        """Return what `archive` would move and delete, without changing anything."""
        provisionings = events = 0
        async for ids in self._iter_final_ids(before):
            query = select(func.count(event_table.c.provisioning_id.distinct()), func.count()).where(
                *_archivable(ids)
            )
            (counts,) = await self._database.read(partial(_fetch_all, query))
            provisionings += counts[0]
            events += counts[1]
        deliveries = sum([len(ids) async for ids in self._iter_old_delivery_ids(before)])
        return ArchiveResult(before=before, provisionings=provisionings, events=events, deliveries=deliveries)

    async def archive(self, before: datetime, file: ArchiveFile) -> ArchiveResult:
        """Move the events of final provisionings that were last changed before `before` into a new file.

        The file is completed and synced first. Then its events are deleted from the ledger, and one event
        per provisioning records the move. Webhook deliveries received before `before` are deleted. A crash does
        not lose an event: each event is in the file, in the ledger, or in both.

        Raises:
            ArchiveError: The file cannot be written, or does not contain every event when it is read again.
            DatabaseError: The database failed.
        """
        started_at = self._clock.now()
        with file.writing() as out:
            async for ids in self._iter_final_ids(before):
                for event in await self._events(ids):
                    out.append(event)
        result = ArchiveResult(before=before, provisionings=0, events=0, deliveries=0)
        if out.count:
            if sum(1 for _ in file.read()) != out.count:
                raise ArchiveError(
                    f"the archive {file.path} failed: it does not contain every event that was written",
                    hint="check the disk for errors, then archive again into another file",
                )
            sha256 = file.sha256()
            erased_ids: list[str] = []
            provisioning_count = 0
            for batch in _batches(file.read()):
                erased_ids += await self._delete(batch, str(file.path), sha256, started_at)
                provisioning_count += len({event.provisioning_id for event in batch})
            result = result.model_copy(
                update={
                    "provisionings": provisioning_count,
                    "events": out.count,
                    "file": str(file.path),
                    "sha256": sha256,
                    "erased_provisioning_ids": erased_ids,
                }
            )
        return result.model_copy(update={"deliveries": await self._delete_deliveries(before)})

    async def _iter_final_ids(self, before: datetime) -> AsyncIterator[list[str]]:
        """Yield the ids of final provisionings that were last changed before `before`, in pages."""
        key, created_at = provisioning_table.c.id, provisioning_table.c.created_at
        for status in sorted(ARCHIVABLE_STATUSES):
            after: tuple[datetime, str] | None = None
            while True:
                query = (
                    select(key, created_at, provisioning_table.c.updated_at)
                    .where(provisioning_table.c.status == status, created_at < before)
                    .order_by(created_at, key)
                    .limit(PAGE_SIZE)
                )
                if after is not None:
                    query = query.where(pagination.after_key(created_at, *after))
                rows = await self._database.read(partial(_fetch_all, query))
                if ids := [row.id for row in rows if row.updated_at < before]:
                    yield ids
                if len(rows) < PAGE_SIZE:
                    break
                after = rows[-1].created_at, rows[-1].id

    async def _events(self, provisioning_ids: Sequence[str]) -> list[ArchivedEvent]:
        """Return the archivable events, grouped by provisioning, oldest first."""
        query = select(event_table).where(*_archivable(provisioning_ids))
        query = query.order_by(event_table.c.provisioning_id, event_table.c.id)
        rows = await self._database.read(partial(_fetch_all, query))
        return [ArchivedEvent.model_validate(row) for row in rows]

    async def _delete(
        self, events: Sequence[ArchivedEvent], file_path: str, sha256: str, started_at: datetime
    ) -> list[str]:
        """Delete all events of some provisionings; return the ids of those that were erased since `started_at`."""
        now = self._clock.now()
        query = (
            select(provisioning_table.c.id, provisioning_table.c.status, provisioning_table.c.erased_at)
            .where(provisioning_table.c.id.in_({event.provisioning_id for event in events}))
            .order_by(provisioning_table.c.id)
            .with_for_update()
        )
        events_by_id = {key: list(group) for key, group in groupby(events, lambda event: event.provisioning_id)}

        def delete_archived(connection: Connection) -> Sequence[_AnyRow]:
            rows = connection.execute(query).all()
            # Insert before deleting: without AUTOINCREMENT, SQLite reuses the id of a deleted newest row.
            connection.execute(
                insert(event_table),
                [
                    {
                        "provisioning_id": row.id,
                        "occurred_at": now,
                        "actor": ARCHIVE_ACTOR,
                        "from_status": row.status,
                        "to_status": row.status,
                        "message": archive_event_message(
                            len(events_by_id[row.id]), events_by_id[row.id][-1].occurred_at, file_path, sha256
                        ),
                    }
                    for row in rows
                ],
            )
            for start in range(0, len(events), DELETE_BATCH_SIZE):
                ids = [event.id for event in events[start : start + DELETE_BATCH_SIZE]]
                connection.execute(delete(event_table).where(event_table.c.id.in_(ids)))
            return rows

        rows = await self._database.write(delete_archived)
        return [row.id for row in rows if row.erased_at is not None and row.erased_at >= started_at]

    async def _iter_old_delivery_ids(self, before: datetime) -> AsyncIterator[list[int]]:
        """Yield the ids of deliveries received before `before`, in pages, but never the newest delivery.

        SQLite would reuse its id, and a reader that continues after that id would miss the next delivery.
        """
        last_id = 0
        while True:
            query = (
                select(webhook_delivery_table.c.id, webhook_delivery_table.c.received_at)
                .where(webhook_delivery_table.c.id > last_id)
                .order_by(webhook_delivery_table.c.id)
                .limit(DELETE_BATCH_SIZE + 1)
            )
            rows = await self._database.read(partial(_fetch_all, query))
            old_ids = [row.id for row in rows[:-1] if row.received_at < before]
            if old_ids:
                yield old_ids
            if len(old_ids) < DELETE_BATCH_SIZE:
                return
            last_id = old_ids[-1]

    async def _delete_deliveries(self, before: datetime) -> int:
        count = 0
        async for ids in self._iter_old_delivery_ids(before):
            statement = delete(webhook_delivery_table).where(webhook_delivery_table.c.id.in_(ids))
            count += await self._database.write(partial(_rowcount, statement))
        return count


def _fetch_all(query: Select[*tuple[Any, ...]], connection: Connection) -> Sequence[_AnyRow]:
    return connection.execute(query).all()


def _rowcount(statement: Delete, connection: Connection) -> int:
    return connection.execute(statement).rowcount


def _archivable(provisioning_ids: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    return event_table.c.provisioning_id.in_(provisioning_ids), event_table.c.actor != ARCHIVE_ACTOR


def _batches(events: Iterable[ArchivedEvent]) -> Iterator[list[ArchivedEvent]]:
    """Yield batches of at least DELETE_BATCH_SIZE events; those of one provisioning stay together."""
    batch: list[ArchivedEvent] = []
    for _, group in groupby(events, lambda event: event.provisioning_id):
        batch += group
        if len(batch) >= DELETE_BATCH_SIZE:
            yield batch
            batch = []
    if batch:
        yield batch
