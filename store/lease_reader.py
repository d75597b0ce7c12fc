"""The ledger's queries about leases: provisionings without an owner, and what a flow run owns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, or_, select

from models.clock import Clock
from models.provisioning import Provisioning, Status
from models.tables import IN_FLIGHT_CLAUSE, TIMED_OUT_CLAUSE, provisioning_table
from store import mappers, pagination
from store.database import Database
from store.lease_validity import is_leased, is_unleased, lease_time
from store.membership import is_one_of


class LeaseReader:
    """Reads provisionings by their leases. Every method raises DatabaseError if the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self._clock = clock

    async def list_unleased(
        self, status: Status, *, after: Provisioning | None = None, limit: int = 500
    ) -> list[Provisioning]:
        """Return provisionings with a status that are not leased, oldest first.

        A provisioning counts as leased until `lease_expires_at`, also during RELEASE_GRACE after a release. Erased
        provisionings are left out, because they no longer change. `after` is the last provisioning of
        the previous page.
        """
        query = pagination.oldest_page_query(provisioning_table.c.created_at, after, limit)
        return await self._fetch_unleased(query.where(provisioning_table.c.status == status))

    async def list_timed_out(
        self, since: datetime, *, after: Provisioning | None = None, limit: int = 500
    ) -> list[Provisioning]:
        """Return TIMED_OUT provisionings that changed after `since`, oldest change first.

        Leased and erased provisionings are left out as in `list_unleased`.
        """
        query = pagination.oldest_page_query(provisioning_table.c.updated_at, after, limit)
        return await self._fetch_unleased(query.where(TIMED_OUT_CLAUSE, provisioning_table.c.updated_at > since))

    async def holds_leases(self, flow_run_id: str, except_owner: str = "") -> bool:
        """Return whether this flow run holds a valid lease on a provisioning in flight.

        Args:
            flow_run_id: The flow run.
            except_owner: The id of a lease owner whose leases do not count: each attempt of a run is another owner.
        """
        query = (
            select(provisioning_table.c.id)
            .where(provisioning_table.c.flow_run_id == flow_run_id, IN_FLIGHT_CLAUSE)
            .where(provisioning_table.c.lease_owner != except_owner)
            .limit(1)
        )

        def find(connection: Connection) -> bool:
            leased = query.where(is_leased(lease_time(connection, self._clock)))
            return connection.execute(leased).first() is not None

        return await self.database.read(find)

    async def find_unleased_ids(self, provisioning_ids: Sequence[str]) -> set[str]:
        """Return the ids of those provisionings that are not leased, as in `list_unleased`."""
        key = provisioning_table.c.id

        def find(connection: Connection) -> set[str]:
            unleased = select(key).where(
                is_one_of(connection, key, provisioning_ids), is_unleased(lease_time(connection, self._clock))
            )
            return set(connection.execute(unleased).scalars())

        return await self.database.read(find)

    async def find_unleased_provisioning(self, avatar_id: str) -> Provisioning | None:
        """Return the TRAINING provisioning with this avatar if no owner holds a valid lease.

        Unlike `list_unleased`, this includes a provisioning that was released within RELEASE_GRACE.
        Returns None if the ledger does not contain the avatar, its provisioning is not in TRAINING, or a lease
        owner is polling it. A single indexed query.
        """
        query = (
            select(provisioning_table)
            .where(provisioning_table.c.avatar_id == avatar_id, provisioning_table.c.status == Status.TRAINING)
            .limit(1)
        )
        has_no_owner = provisioning_table.c.lease_owner.is_(None)

        def find(connection: Connection) -> Provisioning | None:
            is_free = or_(has_no_owner, is_unleased(lease_time(connection, self._clock)))
            row = connection.execute(query.where(is_free)).one_or_none()
            return None if row is None else mappers.to_provisioning(row)

        return await self.database.read(find)

    async def _fetch_unleased(self, query: Select[Any]) -> list[Provisioning]:
        def fetch(connection: Connection) -> list[Provisioning]:
            unleased = query.where(
                provisioning_table.c.erased_at.is_(None), is_unleased(lease_time(connection, self._clock))
            )
            return [mappers.to_provisioning(row) for row in connection.execute(unleased)]

        return await self.database.read(fetch)
