"""Moves events of what has ended for good into a file, and deletes old deliveries: a page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby

from sqlalchemy import ColumnElement, delete, func, insert, select

from models.archive import ARCHIVER, Archived, ArchivedEvent, note
from models.clock import Clock
from models.errors import ArchiveFailed
from models.provisioning import SETTLED
from models.tables import DeliveryRow, EventRow, ProvisioningRow
from store import pages
from store.archive_file import ArchiveFile
from store.database import Database

PAGE = 500
"""Provisionings read at a time."""
DELETED_AT_ONCE = 1000
"""Events, or deliveries, a transaction deletes: others wait for it no longer than for any write."""


class Archive:
    """Archives. Every method raises DatabaseError where the database fails, and may be repeated after that."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def count(self, before: datetime) -> Archived:
        """Return what `archive` would do, and do nothing."""
        provisionings = events = 0
        async for ids in self._settled(before):
            query = select(func.count(EventRow.provisioning_id.distinct()), func.count()).where(*_to_move(ids))
            async with self._database.reading() as connection:
                of_page = (await connection.execute(query)).one()
            provisionings += of_page[0]
            events += of_page[1]
        deliveries = sum([len(ids) async for ids in self._old_deliveries(before)])
        return Archived(before=before, provisionings=provisionings, events=events, deliveries=deliveries)

    async def archive(self, before: datetime, file: ArchiveFile) -> Archived:
        """Move the events of what has ended for good, and was last changed before a moment, into a new file.

        First the file is whole and synced; then what stands in it is deleted from the ledger, where an event
        stays that tells so. Deliveries from before that moment are deleted. Ended at any moment it loses nothing:
        an event is in the file, or in the ledger, or in both. Raises ArchiveFailed.
        """
        began = self._clock.now()
        with file.writing() as out:
            async for ids in self._settled(before):
                for event in await self._events(ids):
                    out.append(event)
        done = Archived(before=before, provisionings=0, events=0, deliveries=0)
        if out.count:
            if sum(1 for _ in file.read()) != out.count:
                raise ArchiveFailed(
                    f"the archive {file.path} does not hold what was written", hint="check the disk"
                )
            sha256 = file.sha256()
            forgotten: list[str] = []
            kept = 0
            for chunk in _chunks(file.read()):
                forgotten += await self._delete(chunk, file.path.name, sha256, began)
                kept += len({event.provisioning_id for event in chunk})
            done = done.model_copy(
                update={
                    "provisionings": kept,
                    "events": out.count,
                    "file": str(file.path),
                    "sha256": sha256,
                    "forgotten": forgotten,
                }
            )
        return done.model_copy(update={"deliveries": await self._delete_deliveries(before)})

    async def _settled(self, before: datetime) -> AsyncIterator[list[str]]:
        """Yield the ids of what has ended for good and was last changed before a moment, some at a time."""
        key, created_at = ProvisioningRow.id, ProvisioningRow.created_at
        for status in sorted(SETTLED):
            after: tuple[datetime, str] | None = None
            while True:
                query = (
                    select(key, created_at, ProvisioningRow.updated_at)
                    .where(ProvisioningRow.status == status, created_at < before)
                    .order_by(created_at, key)
                    .limit(PAGE)
                )
                if after is not None:
                    query = query.where(pages.later(created_at, *after))
                async with self._database.reading() as connection:
                    found = (await connection.execute(query)).all()
                if ids := [one.id for one in found if one.updated_at < before]:
                    yield ids
                if len(found) < PAGE:
                    break
                after = found[-1].created_at, found[-1].id

    async def _events(self, provisioning_ids: Sequence[str]) -> list[ArchivedEvent]:
        """Return their events that are to be moved: those of one together, oldest first."""
        query = select(EventRow.__table__).where(*_to_move(provisioning_ids))
        query = query.order_by(EventRow.provisioning_id, EventRow.id)
        async with self._database.reading() as connection:
            return [ArchivedEvent.model_validate(row) for row in await connection.execute(query)]

    async def _delete(self, events: Sequence[ArchivedEvent], file: str, sha256: str, began: datetime) -> list[str]:
        """Delete events of some provisionings, each whole; returns those that were forgotten since `began`."""
        now = self._clock.now()
        stand = (
            select(ProvisioningRow.id, ProvisioningRow.status, ProvisioningRow.forgotten_at)
            .where(ProvisioningRow.id.in_({event.provisioning_id for event in events}))
            .order_by(ProvisioningRow.id)
            .with_for_update()
        )
        theirs = {key: list(own) for key, own in groupby(events, lambda event: event.provisioning_id)}
        async with self._database.writing() as connection:
            found = (await connection.execute(stand)).all()
            # Before anything is deleted: SQLite gives the id of a deleted newest row to the next one.
            await connection.execute(
                insert(EventRow),
                [
                    {
                        "provisioning_id": one.id,
                        "at": now,
                        "actor": ARCHIVER,
                        "from_status": one.status,
                        "to_status": one.status,
                        "why": note(len(theirs[one.id]), theirs[one.id][-1].at, file, sha256),
                    }
                    for one in found
                ],
            )
            for start in range(0, len(events), DELETED_AT_ONCE):
                ids = [event.id for event in events[start : start + DELETED_AT_ONCE]]
                await connection.execute(delete(EventRow).where(EventRow.id.in_(ids)))
        return [one.id for one in found if one.forgotten_at is not None and one.forgotten_at >= began]

    async def _old_deliveries(self, before: datetime) -> AsyncIterator[list[int]]:
        """Yield the ids of each page of deliveries from before a moment, never that of the newest one.

        That one stays, so that ids grow: whoever reads on from an id must pass over none.
        """
        last = 0
        while True:
            query = (
                select(DeliveryRow.id, DeliveryRow.at)
                .where(DeliveryRow.id > last)
                .order_by(DeliveryRow.id)
                .limit(DELETED_AT_ONCE + 1)
            )
            async with self._database.reading() as connection:
                found = (await connection.execute(query)).all()
            old = [one.id for one in found[:-1] if one.at < before]
            if old:
                yield old
            if len(old) < DELETED_AT_ONCE:
                return
            last = old[-1]

    async def _delete_deliveries(self, before: datetime) -> int:
        count = 0
        async for ids in self._old_deliveries(before):
            async with self._database.writing() as connection:
                count += (await connection.execute(delete(DeliveryRow).where(DeliveryRow.id.in_(ids)))).rowcount
        return count


def _to_move(provisioning_ids: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    return EventRow.provisioning_id.in_(provisioning_ids), EventRow.actor != ARCHIVER


def _chunks(events: Iterable[ArchivedEvent]) -> Iterator[list[ArchivedEvent]]:
    """Return the events as many at a time as are deleted at once, those of one provisioning never apart."""
    chunk: list[ArchivedEvent] = []
    for _, own in groupby(events, lambda event: event.provisioning_id):
        chunk += own
        if len(chunk) >= DELETED_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
