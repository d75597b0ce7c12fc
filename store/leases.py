"""Leases: one driver per provisioning, until it gives back or its lease runs out."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import Table, Text, bindparam, func, or_, select, update
from sqlalchemy import cast as cast_to

from models.clock import Clock
from models.errors import LeaseHeld
from models.provisioning import Driver, Provisioning, Status
from models.tables import ProvisioningRow
from store import rows
from store.database import Database

LINGER = timedelta(seconds=10)
PAGE = 500
"""Leases renewed by one statement."""

# Built once: building a statement costs more than running it.
_ROWS = cast("Table", ProvisioningRow.__table__)
_OF_DRIVER = (_ROWS.c.id == bindparam("id_"), _ROWS.c.lease_owner == bindparam("driver"))
_UNTIL = bindparam("until", type_=_ROWS.c.lease_expires_at.type)
_TAKEN = {
    "lease_owner": bindparam("driver"),
    "lease_expires_at": _UNTIL,
    "version": _ROWS.c.version + 1,
    "flow_run_id": func.coalesce(bindparam("run", type_=_ROWS.c.flow_run_id.type), _ROWS.c.flow_run_id),
}
_CLAIM = (
    update(_ROWS)
    .where(_ROWS.c.id == bindparam("id_"))
    .where(
        or_(
            _ROWS.c.lease_owner.is_(None),
            _ROWS.c.lease_owner == bindparam("driver"),
            _ROWS.c.lease_expires_at <= bindparam("now"),
        )
    )
    .values(_TAKEN)
    .returning(*_ROWS.c)
)
_VERSION = bindparam("version_", type_=_ROWS.c.version.type)
_RENEW = (
    update(_ROWS)
    .where(
        *_OF_DRIVER, _ROWS.c.status != Status.CANCELLED, _ROWS.c.version == func.coalesce(_VERSION, _ROWS.c.version)
    )
    .values(lease_expires_at=_UNTIL)
)
_RELEASE = update(_ROWS).where(*_OF_DRIVER).values(lease_owner=None, lease_expires_at=_UNTIL)


_WAITING = (
    select(_ROWS.c.id)
    .where(
        _ROWS.c.status == Status.ACCEPTED,
        _ROWS.c.forgotten_at.is_(None),
        _ROWS.c.lease_owner.is_(None),  # what a driver left there that died is reconcile's
        or_(_ROWS.c.lease_expires_at.is_(None), _ROWS.c.lease_expires_at <= bindparam("now")),
        _ROWS.c.updated_at <= bindparam("began"),
        or_(cast_to(_ROWS.c.reasons, Text) == "[]", _ROWS.c.updated_at <= bindparam("tried_before")),
    )
    .order_by(_ROWS.c.created_at, _ROWS.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)  # others take the next one instead of waiting for this one
)
_CLAIM_WAITING = update(_ROWS).where(_ROWS.c.id == _WAITING.scalar_subquery()).values(_TAKEN).returning(*_ROWS.c)


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
        claim = {"id_": provisioning_id, "driver": driver.id, "run": driver.flow_run_id, "now": now}
        async with self._database.writing() as connection:
            row = (await connection.execute(_CLAIM, {**claim, "until": now + lease})).one_or_none()
        if row is None:
            raise LeaseHeld(f"another driver works on provisioning {provisioning_id}")
        return rows.provisioning(row)

    async def claim_waiting(
        self, driver: Driver, lease: timedelta, *, began: datetime, tried_before: datetime
    ) -> Provisioning | None:
        """Claim the oldest provisioning that waits in ACCEPTED; None: there is none, or others are at them.

        Those that were touched after `began` are left out, so that who asks again and again comes to an end; those
        with a reason (an operator had to mend something) where they were tried after `tried_before`.
        """
        now = self._clock.now()
        claim = {"driver": driver.id, "run": driver.flow_run_id, "now": now, "until": now + lease}
        async with self._database.writing() as connection:
            found = await connection.execute(
                _CLAIM_WAITING, {**claim, "began": began, "tried_before": tried_before}
            )
            row = found.one_or_none()
        return rows.provisioning(row) if row is not None else None

    async def renew(
        self, provisioning_id: str, driver: Driver, lease: timedelta, *, version: int | None = None
    ) -> None:
        """Hold the lease for longer; raises LeaseHeld where another driver has taken it, or a person cancelled.

        With a version, also where anybody wrote since that version was read, as a person who cancels does.
        """
        held = {"id_": provisioning_id, "driver": driver.id, "version_": version}
        async with self._database.writing() as connection:
            extended = await connection.execute(_RENEW, {**held, "until": self._clock.now() + lease})
            if extended.rowcount == 0:
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
        held = {"id_": provisioning_id, "driver": driver.id}
        async with self._database.writing() as connection:
            await connection.execute(_RELEASE, {**held, "until": self._clock.now() + LINGER})
