"""Leases: at most one owner per provisioning, until it releases the lease or the lease expires."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, Text, bindparam, func, or_, select, update
from sqlalchemy import cast as cast_to

from models.clock import Clock
from models.errors import LeaseLost, LeaseUnavailable
from models.provisioning import LeaseOwner, Provisioning, Status
from models.tables import ProvisioningRow
from store import mappers
from store.database import Database

RELEASE_GRACE = timedelta(seconds=10)
"""How long after its release a provisioning is not reported as orphaned."""
PAGE_SIZE = 500
"""Leases renewed per statement."""

# Built once, because building a statement costs more than running it.
_ROWS = cast("Table", ProvisioningRow.__table__)
_OWNED_BY = (_ROWS.c.id == bindparam("provisioning_id"), _ROWS.c.lease_owner == bindparam("owner_id"))
_EXPIRES_AT = bindparam("expires_at", type_=_ROWS.c.lease_expires_at.type)
_CLAIM_VALUES = {
    "lease_owner": bindparam("owner_id"),
    "lease_expires_at": _EXPIRES_AT,
    "version": _ROWS.c.version + 1,
    "flow_run_id": func.coalesce(
        bindparam("owner_flow_run_id", type_=_ROWS.c.flow_run_id.type), _ROWS.c.flow_run_id
    ),
}
_CLAIM = (
    update(_ROWS)
    .where(_ROWS.c.id == bindparam("provisioning_id"))
    .where(
        or_(
            _ROWS.c.lease_owner.is_(None),
            _ROWS.c.lease_owner == bindparam("owner_id"),
            _ROWS.c.lease_expires_at <= bindparam("now"),
        )
    )
    .values(_CLAIM_VALUES)
    .returning(*_ROWS.c)
)
_EXPECTED_VERSION = bindparam("expected_version", type_=_ROWS.c.version.type)
_RENEW = (
    update(_ROWS)
    .where(
        *_OWNED_BY,
        _ROWS.c.status != Status.CANCELLED,
        _ROWS.c.version == func.coalesce(_EXPECTED_VERSION, _ROWS.c.version),
    )
    .values(lease_expires_at=_EXPIRES_AT)
)
_RELEASE = update(_ROWS).where(*_OWNED_BY).values(lease_owner=None, lease_expires_at=_EXPIRES_AT)
_NEXT_PENDING = (
    select(_ROWS.c.id)
    .where(
        _ROWS.c.status == Status.ACCEPTED,
        _ROWS.c.erased_at.is_(None),
        _ROWS.c.lease_owner.is_(None),  # an expired lease is left to reconcile
        or_(_ROWS.c.lease_expires_at.is_(None), _ROWS.c.lease_expires_at <= bindparam("now")),
        _ROWS.c.updated_at <= bindparam("started_at"),
        or_(cast_to(_ROWS.c.reasons, Text) == "[]", _ROWS.c.updated_at <= bindparam("tried_before")),
    )
    .order_by(_ROWS.c.created_at, _ROWS.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)  # concurrent claims take the next row instead of waiting for this one
)
_CLAIM_NEXT_PENDING = (
    update(_ROWS).where(_ROWS.c.id == _NEXT_PENDING.scalar_subquery()).values(_CLAIM_VALUES).returning(*_ROWS.c)
)


class LeaseRepository:
    """Acquires, renews and releases leases. Every method raises DatabaseError if the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def acquire(self, provisioning_id: str, owner: LeaseOwner, lease: timedelta) -> Provisioning:
        """Acquire the lease, or extend it if this owner already holds it; return the provisioning.

        Acquiring increments the version, so the compare-and-set of a previous owner fails (fencing).

        Raises:
            LeaseUnavailable: Another owner holds the lease.
        """
        now = self._clock.now()
        parameters = {"provisioning_id": provisioning_id, **_claim_parameters(owner, now, lease)}
        async with self._database.write_transaction() as connection:
            row = (await connection.execute(_CLAIM, parameters)).one_or_none()
        if row is None:
            raise LeaseUnavailable(f"another owner holds the lease on provisioning {provisioning_id}")
        return mappers.to_provisioning(row)

    async def acquire_next_pending(
        self, owner: LeaseOwner, lease: timedelta, *, started_at: datetime, tried_before: datetime
    ) -> Provisioning | None:
        """Acquire the lease on the oldest ACCEPTED provisioning without one.

        Args:
            owner: The new lease owner.
            lease: Duration of the lease.
            started_at: Provisionings changed after this time are skipped, so that a caller that loops over
                this method comes to an end.
            tried_before: Provisionings with a reason (an operational error) are skipped if they were changed
                after this time.

        Returns:
            The provisioning, or None if there is none or concurrent callers are claiming the remaining ones.
        """
        parameters = {
            **_claim_parameters(owner, self._clock.now(), lease),
            "started_at": started_at,
            "tried_before": tried_before,
        }
        async with self._database.write_transaction() as connection:
            row = (await connection.execute(_CLAIM_NEXT_PENDING, parameters)).one_or_none()
        return mappers.to_provisioning(row) if row is not None else None

    async def renew(
        self, provisioning_id: str, owner: LeaseOwner, lease: timedelta, *, version: int | None = None
    ) -> None:
        """Extend the lease.

        Args:
            provisioning_id: The provisioning.
            owner: The lease owner.
            lease: Duration from now.
            version: If given, the provisioning must not have changed since this version was read, for example
                by a person who cancels it.

        Raises:
            LeaseLost: Another owner acquired the lease, or the provisioning was cancelled or changed.
        """
        parameters = {
            "provisioning_id": provisioning_id,
            "owner_id": owner.id,
            "expected_version": version,
            "expires_at": self._clock.now() + lease,
        }
        async with self._database.write_transaction() as connection:
            if (await connection.execute(_RENEW, parameters)).rowcount == 0:
                raise LeaseLost(
                    f"the lease on provisioning {provisioning_id} was lost: "
                    "another owner took over or it was cancelled"
                )

    async def renew_all(
        self, provisioning_ids: Collection[str], owner: LeaseOwner, lease: timedelta
    ) -> frozenset[str]:
        """Extend many leases in one transaction; return the ids of those that were lost or cancelled."""
        ids, renewed = list(provisioning_ids), set()
        async with self._database.write_transaction() as connection:
            for start in range(0, len(ids), PAGE_SIZE):
                statement = (
                    update(ProvisioningRow)
                    .where(ProvisioningRow.id.in_(ids[start : start + PAGE_SIZE]))
                    .where(ProvisioningRow.lease_owner == owner.id)
                    .where(ProvisioningRow.status != Status.CANCELLED)
                    .values(lease_expires_at=self._clock.now() + lease)
                    .returning(ProvisioningRow.id)
                )
                renewed |= set((await connection.execute(statement)).scalars())
        return frozenset(ids) - renewed

    async def release(self, provisioning_id: str, owner: LeaseOwner) -> None:
        """Release the lease if this owner still holds it; any owner can then acquire it.

        For RELEASE_GRACE the provisioning is not reported as orphaned, so that the run can suspend itself.
        """
        parameters = {
            "provisioning_id": provisioning_id,
            "owner_id": owner.id,
            "expires_at": self._clock.now() + RELEASE_GRACE,
        }
        async with self._database.write_transaction() as connection:
            await connection.execute(_RELEASE, parameters)


def _claim_parameters(owner: LeaseOwner, now: datetime, lease: timedelta) -> dict[str, Any]:
    return {
        "owner_id": owner.id,
        "owner_flow_run_id": owner.flow_run_id,
        "now": now,
        "expires_at": now + lease,
    }
