"""Leases: at most one owner per provisioning, until it releases the lease or the lease expires."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Text, TextClause, bindparam, case, func, or_, select, update
from sqlalchemy import cast as cast_to

from models.clock import MAX_CLOCK_DIFFERENCE, Clock
from models.errors import (
    ArgilPaymentRequired,
    ArgilVideoCreateRemoved,
    LeaseLost,
    LeaseUnavailable,
    PaymentPaused,
    VideoCreatePaused,
)
from models.provisioning import LeaseOwner, Provisioning, Status
from models.request import RequestKind
from models.request_kinds import SUBMITTED_KINDS
from models.tables import IMAGE_CLAUSE, provisioning_table
from store import mappers
from store.database import Database
from store.lease_validity import latest_expiry, lease_time
from store.membership import is_one_of, iter_pages

RELEASE_GRACE = timedelta(seconds=10)
"""After a release, `lease_expires_at` is set this far ahead without an owner.

Queries for unleased provisionings skip the row meanwhile, so that the run can suspend itself.
"""

# Built once, because building a statement costs more than running it.
_OWNED_BY = (
    provisioning_table.c.id == bindparam("provisioning_id"),
    provisioning_table.c.lease_owner == bindparam("owner_id"),
)
_EXPIRES_AT = bindparam("expires_at", type_=provisioning_table.c.lease_expires_at.type)
_ACQUIRE_VALUES = {
    "lease_owner": bindparam("owner_id"),
    "lease_expires_at": _EXPIRES_AT,
    "version": provisioning_table.c.version + 1,
    "flow_run_id": func.coalesce(
        bindparam("owner_flow_run_id", type_=provisioning_table.c.flow_run_id.type),
        provisioning_table.c.flow_run_id,
    ),
}
_ACQUIRE = (
    update(provisioning_table)
    .where(provisioning_table.c.id == bindparam("provisioning_id"))
    .where(
        or_(
            provisioning_table.c.lease_owner.is_(None),
            provisioning_table.c.lease_owner == bindparam("owner_id"),
            provisioning_table.c.lease_expires_at <= bindparam("now"),
            provisioning_table.c.lease_expires_at > bindparam("latest_expiry"),  # see store/lease_validity.py
        )
    )
    .values(_ACQUIRE_VALUES)
    .returning(*provisioning_table.c)
)
_EXPECTED_VERSION = bindparam("expected_version", type_=provisioning_table.c.version.type)
_RENEW = (
    update(provisioning_table)
    .where(
        *_OWNED_BY,
        provisioning_table.c.status != Status.CANCELLED,
        provisioning_table.c.version == func.coalesce(_EXPECTED_VERSION, provisioning_table.c.version),
    )
    .values(lease_expires_at=_EXPIRES_AT)
)
_RELEASE = update(provisioning_table).where(*_OWNED_BY).values(lease_owner=None, lease_expires_at=_EXPIRES_AT)
_REASONS = cast_to(provisioning_table.c.reasons, Text)
_PENDING = (
    select(provisioning_table.c.id)
    .where(
        provisioning_table.c.status == Status.ACCEPTED,
        provisioning_table.c.erased_at.is_(None),
        provisioning_table.c.lease_owner.is_(None),  # reconciliation advances provisionings with an expired lease
        or_(
            provisioning_table.c.lease_expires_at.is_(None),
            provisioning_table.c.lease_expires_at <= bindparam("now"),
            provisioning_table.c.lease_expires_at > bindparam("latest_expiry"),
        ),
        or_(
            provisioning_table.c.updated_at <= bindparam("started_at"),
            provisioning_table.c.updated_at > bindparam("ahead_of_clock"),
        ),
        or_(
            _REASONS == "[]",
            provisioning_table.c.updated_at <= bindparam("blocked_before"),
            provisioning_table.c.updated_at > bindparam("ahead_of_clock"),
        ),
    )
    .limit(1)
    # On PostgreSQL, concurrent owners take the next row instead of waiting for this one.
    .with_for_update(skip_locked=True)
)
_PAUSE_ERRORS = (ArgilPaymentRequired, PaymentPaused, ArgilVideoCreateRemoved, VideoCreatePaused)
_WAITS_FOR_PAUSE = or_(_REASONS == "[]", *(_REASONS.contains(f'"{error.code}"') for error in _PAUSE_ERRORS))
"""Whether no other error stopped the provisioning."""
_OLDEST_PENDING = _PENDING.order_by(provisioning_table.c.created_at, provisioning_table.c.id)
_LIKELIEST_PROBE = _PENDING.order_by(
    case((_WAITS_FOR_PAUSE, 0), else_=1), provisioning_table.c.updated_at, provisioning_table.c.id
)
_KIND: Mapping[frozenset[RequestKind], ColumnElement[bool] | TextClause] = {
    # The literal text of its partial index: while videos are paused, all those that wait are older.
    frozenset({RequestKind.IMAGE}): IMAGE_CLAUSE,
    frozenset({RequestKind.VIDEO}): provisioning_table.c.kind == RequestKind.VIDEO,
    frozenset(SUBMITTED_KINDS): provisioning_table.c.kind.in_(SUBMITTED_KINDS),
}
_ACQUIRE_PENDING = {
    (kinds, is_probe): update(provisioning_table)
    .where(provisioning_table.c.id == pending.where(condition).scalar_subquery())
    .values(_ACQUIRE_VALUES)
    .returning(*provisioning_table.c)
    for kinds, condition in _KIND.items()
    for is_probe, pending in ((False, _OLDEST_PENDING), (True, _LIKELIEST_PROBE))
}


class LeaseRepository:
    """Acquires, renews and releases leases. Every method raises DatabaseError if the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def acquire(self, provisioning_id: str, owner: LeaseOwner, duration: timedelta) -> Provisioning:
        """Acquire the lease unless another owner holds a valid one; return the provisioning.

        Each call increments the version, also if this owner already holds the lease. A compare-and-set with an
        earlier version fails (fencing).

        Raises:
            LeaseUnavailable: Another owner holds a valid lease.
        """

        def acquire(connection: Connection) -> Row[Any] | None:
            parameters = self._acquire_parameters(connection, owner, duration)
            return connection.execute(_ACQUIRE, {"provisioning_id": provisioning_id, **parameters}).one_or_none()

        row = await self._database.write(acquire)
        if row is None:
            raise LeaseUnavailable(f"another owner holds the lease on provisioning {provisioning_id}")
        return mappers.to_provisioning(row)

    async def acquire_next_pending(
        self,
        owner: LeaseOwner,
        duration: timedelta,
        *,
        started_at: datetime,
        blocked_before: datetime,
        kinds: Collection[RequestKind] = SUBMITTED_KINDS,
        is_probe: bool = False,
    ) -> Provisioning | None:
        """Acquire the lease on the oldest pending provisioning, or on the likeliest probe of a pause.

        Pending means: in ACCEPTED, without a lease owner, and not released within RELEASE_GRACE. An expired lease
        still has its owner; reconciliation advances that provisioning.

        Args:
            owner: The new lease owner.
            duration: Duration of the lease.
            started_at: Provisionings changed after this time are skipped, so that a loop that calls this method
                terminates.
            blocked_before: Provisionings with a reason (an operational error) are skipped if they were changed
                after this time.
            kinds: Provisionings of other kinds are skipped: a pause may apply to one kind alone.
            is_probe: Whether a pause waits for a probe. Provisionings that another error stopped come last, because
                they probably cannot be submitted. Otherwise, the one whose last attempt is the oldest comes first.

        A provisioning that was changed after the current time is not skipped: the clock was set back since.

        Returns:
            The provisioning, or None if none is pending or (PostgreSQL) concurrent callers are acquiring the rest.
        """
        times = {
            "started_at": started_at,
            "blocked_before": blocked_before,
            "ahead_of_clock": self._clock.now() + MAX_CLOCK_DIFFERENCE,
        }

        def acquire(connection: Connection) -> Row[Any] | None:
            parameters = self._acquire_parameters(connection, owner, duration)
            statement = _ACQUIRE_PENDING[frozenset(kinds), is_probe]
            return connection.execute(statement, {**parameters, **times}).one_or_none()

        row = await self._database.write(acquire)
        return mappers.to_provisioning(row) if row is not None else None

    async def renew(
        self, provisioning_id: str, owner: LeaseOwner, duration: timedelta, *, version: int | None = None
    ) -> None:
        """Extend the lease if this owner still has it, also if it has expired. Does not change the version.

        Args:
            provisioning_id: The provisioning.
            owner: The lease owner.
            duration: Duration from now.
            version: If given, the provisioning must not have changed since this version was read, for example
                by a person who cancels it.

        Raises:
            LeaseLost: The lease was released or acquired by another owner, the provisioning was cancelled, or it
                changed since `version`.
        """
        parameters = {"provisioning_id": provisioning_id, "owner_id": owner.id, "expected_version": version}

        def renew(connection: Connection) -> int:
            expires_at = lease_time(connection, self._clock) + duration
            return connection.execute(_RENEW, {**parameters, "expires_at": expires_at}).rowcount

        if not await self._database.write(renew):
            raise LeaseLost(
                f"the lease on provisioning {provisioning_id} was lost: another owner took over or it was cancelled"
            )

    async def renew_all(
        self, provisioning_ids: Collection[str], owner: LeaseOwner, duration: timedelta
    ) -> frozenset[str]:
        """Extend many leases in one transaction; return the ids of those that were lost or cancelled."""

        def renew_pages(connection: Connection) -> frozenset[str]:
            renewed: set[str] = set()
            expires_at = lease_time(connection, self._clock) + duration
            for page in iter_pages(provisioning_ids):
                statement = (
                    update(provisioning_table)
                    .where(is_one_of(connection, provisioning_table.c.id, page))
                    .where(provisioning_table.c.lease_owner == owner.id)
                    .where(provisioning_table.c.status != Status.CANCELLED)
                    .values(lease_expires_at=expires_at)
                    .returning(provisioning_table.c.id)
                )
                renewed |= set(connection.execute(statement).scalars())
            return frozenset(provisioning_ids) - renewed

        return await self._database.write(renew_pages)

    async def release(self, provisioning_id: str, owner: LeaseOwner) -> None:
        """Release the lease if this owner still holds it.

        Any owner can `acquire` it at once. `acquire_next_pending` and the queries for unleased provisionings skip
        it for RELEASE_GRACE, so that the run can suspend itself.
        """

        def release(connection: Connection) -> None:
            expires_at = lease_time(connection, self._clock) + RELEASE_GRACE
            parameters = {"provisioning_id": provisioning_id, "owner_id": owner.id, "expires_at": expires_at}
            connection.execute(_RELEASE, parameters)

        await self._database.write(release)

    def _acquire_parameters(self, connection: Connection, owner: LeaseOwner, duration: timedelta) -> dict[str, Any]:
        now = lease_time(connection, self._clock)
        return {
            "owner_id": owner.id,
            "owner_flow_run_id": owner.flow_run_id,
            "now": now,
            "expires_at": now + duration,
            "latest_expiry": latest_expiry(now, duration),
        }
