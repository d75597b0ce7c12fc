"""What the ledger tells: provisionings by key, status and age, with their events and submissions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select

from models.clock import Clock
from models.errors import UnknownProvisioning
from models.provisioning import Duplicate, Event, Provisioning, Status, Submission
from models.tables import IN_FLIGHT, TIMED_OUT, DuplicateRow, EventRow, ProvisioningRow, SubmissionRow
from store import pages, rows
from store.database import Database


class LedgerReader:
    """Reads provisionings. Every method raises DatabaseError where the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self._clock = clock

    async def get(self, key: str) -> Provisioning:
        """Return the provisioning with this id or reference; raises UnknownProvisioning."""
        query = select(ProvisioningRow.__table__)
        async with self.database.reading() as connection:
            for column in (ProvisioningRow.id, ProvisioningRow.reference):
                if row := (await connection.execute(query.where(column == key))).one_or_none():
                    return rows.provisioning(row)
        raise UnknownProvisioning(key)

    async def newest(self, status: Status | None, limit: int) -> list[Provisioning]:
        """Return at most `limit` provisionings, of one status or all, newest first."""
        return await self.page(limit, statuses=[] if status is None else [status])

    async def page(
        self,
        limit: int,
        *,
        statuses: Collection[Status] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        after: Provisioning | None = None,
    ) -> list[Provisioning]:
        """Return at most `limit` provisionings of any of the statuses (none: of all), newest first.

        Only those created at or after `since`, and before `until`; `after` is the last one of the page before.
        """
        return await self._found(pages.newest_first(limit, statuses or list(Status), since, until, after))

    async def counts(self) -> dict[Status, int]:
        """Return how many provisionings stand in each status that any stands in."""
        query = select(ProvisioningRow.status, func.count()).group_by(ProvisioningRow.status)
        async with self.database.reading() as connection:
            counted = {Status(status): count for status, count in await connection.execute(query)}
        return {status: counted[status] for status in Status if status in counted}

    async def unattended(
        self, status: Status, *, after: Provisioning | None = None, limit: int = 500
    ) -> list[Provisioning]:
        """Return provisionings in a status that no living driver holds, oldest first, beginning after one.

        Forgotten ones are left out: nothing about them changes any more.
        """
        query = pages.oldest_first(ProvisioningRow.created_at, after, limit)
        return await self._found(self._free(query.where(ProvisioningRow.status == status)))

    async def timed_out(
        self, since: datetime, *, after: Provisioning | None = None, limit: int = 500
    ) -> list[Provisioning]:
        """Return as `unattended` does what has timed out and was changed after a moment, by its last change."""
        query = pages.oldest_first(ProvisioningRow.updated_at, after, limit)
        return await self._found(self._free(query.where(TIMED_OUT, ProvisioningRow.updated_at > since)))

    async def events(self, provisioning_id: str) -> list[Event]:
        """Return everything that happened, oldest first."""
        query = select(EventRow.__table__).where(EventRow.provisioning_id == provisioning_id).order_by(EventRow.id)
        async with self.database.reading() as connection:
            return [rows.event(row) for row in await connection.execute(query)]

    async def submissions(self, provisioning_id: str) -> list[Submission]:
        """Return every POST of a provisioning, oldest first."""
        return (await self.submissions_of([provisioning_id]))[provisioning_id]

    async def submissions_of(self, provisioning_ids: Sequence[str]) -> dict[str, list[Submission]]:
        """Return every POST of each of the provisionings, oldest first, by provisioning id."""
        query = (
            select(SubmissionRow.__table__)
            .where(SubmissionRow.provisioning_id.in_(provisioning_ids))
            .order_by(SubmissionRow.ordinal)
        )
        found: dict[str, list[Submission]] = {key: [] for key in provisioning_ids}
        async with self.database.reading() as connection:
            for row in await connection.execute(query):
                found[row.provisioning_id].append(rows.submission(row))
        return found

    async def duplicates(self, provisioning_id: str) -> list[Duplicate]:
        """Return the avatars at Argil beyond the one that was kept, oldest first."""
        query = (
            select(DuplicateRow.__table__)
            .where(DuplicateRow.provisioning_id == provisioning_id)
            .order_by(DuplicateRow.at)
        )
        async with self.database.reading() as connection:
            return [rows.duplicate(row) for row in await connection.execute(query)]

    async def of_submissions(self, submission_ids: Sequence[str]) -> list[Provisioning]:
        """Return the provisionings that any of these submissions belongs to."""
        theirs = select(SubmissionRow.provisioning_id).where(SubmissionRow.id.in_(submission_ids))
        return await self._found(select(ProvisioningRow.__table__).where(ProvisioningRow.id.in_(theirs)))

    async def open_of_runs(self, flow_run_ids: Sequence[str]) -> list[Provisioning]:
        """Return the provisionings without an end that one of these Prefect runs drives, or drove last."""
        return await self._found(
            select(ProvisioningRow.__table__).where(ProvisioningRow.flow_run_id.in_(flow_run_ids), IN_FLIGHT)
        )

    def _free(self, query: Select[Any]) -> Select[Any]:
        expires_at = ProvisioningRow.lease_expires_at
        return query.where(
            ProvisioningRow.forgotten_at.is_(None), or_(expires_at.is_(None), expires_at <= self._clock.now())
        )

    async def _found(self, query: Select[Any]) -> list[Provisioning]:
        async with self.database.reading() as connection:
            return [rows.provisioning(row) for row in await connection.execute(query)]
