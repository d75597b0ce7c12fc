"""Leases on schedules: one run of `reconcile-avatars`, and one of `provision-pending`, per ledger at a time.

They are judged as the leases of provisionings are (store/lease_validity.py). The row of a schedule also keeps where
its last run stopped, so that the next one continues there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select, update

from models.clock import Clock
from models.provisioning import LeaseOwner
from models.tables import tick_lease_table
from store.database import Database
from store.lease_validity import latest_expiry, lease_time
from store.upsert import insert_or_ignore

_TABLE = tick_lease_table


@dataclass(frozen=True, slots=True)
class TickLease:
    """The lease of one schedule after an attempt to acquire it."""

    is_acquired: bool
    holder: str
    """Who has it: the text that its owner passed."""
    acquired_at: datetime
    position: str | None
    """Where the last run stopped; None if it went through the whole ledger."""


class TickLeaseRepository:
    """Acquires, renews and releases the leases on schedules. Every method raises DatabaseError."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def acquire(self, name: str, owner: LeaseOwner, holder: str, duration: timedelta) -> TickLease:
        """Acquire the lease on a schedule unless another owner holds a valid one.

        Args:
            name: The name of the schedule, at most 32 characters.
            owner: The new lease owner.
            holder: Names the owner for other runs, at most 256 characters.
            duration: Duration of the lease.
        """
        insert = insert_or_ignore(_TABLE, is_sqlite=self._database.is_sqlite)

        def acquire(connection: Connection) -> TickLease:
            now = lease_time(connection, self._clock)
            taken = {"owner_id": owner.id, "holder": holder, "acquired_at": now, "expires_at": now + duration}
            if (row := connection.execute(insert, {"name": name, "position": None, **taken}).one_or_none()) is None:
                is_free = (
                    _TABLE.c.owner_id.is_(None)
                    | (_TABLE.c.expires_at <= now)
                    | (_TABLE.c.expires_at > latest_expiry(now, duration))
                )
                statement = update(_TABLE).where(_TABLE.c.name == name, is_free).values(taken).returning(*_TABLE.c)
                row = connection.execute(statement).one_or_none()
            if row is not None:
                return _to_lease(row, is_acquired=True)
            return _to_lease(
                connection.execute(select(_TABLE).where(_TABLE.c.name == name)).one(), is_acquired=False
            )

        return await self._database.write(acquire)

    async def renew(self, name: str, owner: LeaseOwner, duration: timedelta) -> bool:
        """Extend the lease; return False if another owner has acquired it."""

        def renew(connection: Connection) -> bool:
            expires_at = lease_time(connection, self._clock) + duration
            return bool(connection.execute(_update_own(name, owner).values(expires_at=expires_at)).rowcount)

        return await self._database.write(renew)

    async def release(self, name: str, owner: LeaseOwner, position: str | None) -> None:
        """Release the lease if this owner still holds it, and store where the run stopped."""
        statement = _update_own(name, owner).values(owner_id=None, position=position)
        await self._database.write(lambda connection: connection.execute(statement))


def _update_own(name: str, owner: LeaseOwner) -> Any:
    return update(_TABLE).where(_TABLE.c.name == name, _TABLE.c.owner_id == owner.id)


def _to_lease(row: Row[Any], *, is_acquired: bool) -> TickLease:
    return TickLease(is_acquired, row.holder, row.acquired_at, row.position)
