"""Avatars that Argil answers with 404: since when, without a new version or an event.

A stored 404 does not change the version, so the next write of the lease owner does not fail.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, or_, update

from models.provisioning import Status
from models.tables import provisioning_table
from store.ledger_reader import LedgerReader
from store.membership import is_one_of, iter_pages

_NOT_FOUND_SINCE = provisioning_table.c.not_found_since


class AbsenceWriter(LedgerReader):
    """Writes `not_found_since`. Every method raises DatabaseError if the database fails."""

    async def record_not_found(self, provisioning_ids: Collection[str], since: datetime) -> None:
        """Store since when Argil answers 404 for these avatars, unless an earlier time is stored."""
        await self._set_not_found_since(
            provisioning_ids,
            since,
            or_(_NOT_FOUND_SINCE.is_(None), since < _NOT_FOUND_SINCE),
            provisioning_table.c.status == Status.TRAINING,
        )

    async def clear_not_found(self, provisioning_ids: Collection[str]) -> None:
        """Record that Argil answers with the avatars of these provisionings."""
        await self._set_not_found_since(provisioning_ids, None, _NOT_FOUND_SINCE.is_not(None))

    async def _set_not_found_since(
        self, provisioning_ids: Collection[str], value: datetime | None, *conditions: ColumnElement[bool]
    ) -> None:
        if not provisioning_ids:
            return

        def write(connection: Connection) -> None:
            for page in iter_pages(provisioning_ids):
                connection.execute(
                    update(provisioning_table)
                    .where(is_one_of(connection, provisioning_table.c.id, page), *conditions)
                    .values(not_found_since=value)
                )

        await self.database.write(write)
