"""Leases: one driver per provisioning, until it gives back or its lease runs out."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import or_, update

from models.clock import Clock
from models.errors import LeaseHeld
from models.provisioning import Driver, Provisioning, Status
from models.tables import ProvisioningRow
from store import rows
from store.database import Database

LINGER = timedelta(seconds=10)
PAGE = 500
"""Leases renewed by one statement."""


class Leases:
    """Claims, renews and gives back. Every method raises DatabaseError where the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def claim(self, provisioning_id: str, driver: Driver, lease: timedelta) -> Provisioning:
        """Make this driver the only one for the time of the lease; raises LeaseHeld.

        Claiming grows the version, so a driver that lost its lease can write nothing any more.
        """
        now = self._clock.now()
        take = (
            update(ProvisioningRow)
            .where(ProvisioningRow.id == provisioning_id)
            .where(
                or_(
                    ProvisioningRow.lease_owner.is_(None),
                    ProvisioningRow.lease_owner == driver.id,
                    ProvisioningRow.lease_expires_at <= now,
                )
            )
            .values(
                lease_owner=driver.id,
                lease_expires_at=now + lease,
                version=ProvisioningRow.version + 1,
                flow_run_id=driver.flow_run_id or ProvisioningRow.flow_run_id,
            )
            .returning(*ProvisioningRow.__table__.columns)
        )
        async with self._database.writing() as connection:
            row = (await connection.execute(take)).one_or_none()
        if row is None:
            raise LeaseHeld(f"another driver works on provisioning {provisioning_id}")
        return rows.provisioning(row)

    async def renew(
        self, provisioning_id: str, driver: Driver, lease: timedelta, *, version: int | None = None
    ) -> None:
        """Hold the lease for longer; raises LeaseHeld where another driver has taken it, or a person cancelled.

        With a version, also where anybody wrote since that version was read, as a person who cancels does.
        """
        extend = (
            update(ProvisioningRow)
            .where(ProvisioningRow.id == provisioning_id, ProvisioningRow.lease_owner == driver.id)
            .where(ProvisioningRow.status != Status.CANCELLED)
            .values(lease_expires_at=self._clock.now() + lease)
        )
        if version is not None:
            extend = extend.where(ProvisioningRow.version == version)
        async with self._database.writing() as connection:
            if (await connection.execute(extend)).rowcount == 0:
                raise LeaseHeld(f"provisioning {provisioning_id} was taken over, or cancelled")

    async def renew_all(
        self, provisioning_ids: Collection[str], driver: Driver, lease: timedelta
    ) -> frozenset[str]:
        """Hold many leases for longer, in one transaction; returns those that were taken over, or cancelled."""
        asked, kept = list(provisioning_ids), set()
        async with self._database.writing() as connection:
            for start in range(0, len(asked), PAGE):
                extend = (
                    update(ProvisioningRow)
                    .where(ProvisioningRow.id.in_(asked[start : start + PAGE]))
                    .where(ProvisioningRow.lease_owner == driver.id)
                    .where(ProvisioningRow.status != Status.CANCELLED)
                    .values(lease_expires_at=self._clock.now() + lease)
                    .returning(ProvisioningRow.id)
                )
                kept |= set((await connection.execute(extend)).scalars())
        return frozenset(asked) - kept

    async def release(self, provisioning_id: str, driver: Driver) -> None:
        """Give the lease back, if it is still held: anybody may claim it at once.

        For LINGER more nobody finds it unattended, so that a run that suspends itself may first do so.
        """
        give = (
            update(ProvisioningRow)
            .where(ProvisioningRow.id == provisioning_id, ProvisioningRow.lease_owner == driver.id)
            .values(lease_owner=None, lease_expires_at=self._clock.now() + LINGER)
        )
        async with self._database.writing() as connection:
            await connection.execute(give)
