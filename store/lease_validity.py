"""Which leases are valid, and by which clock.

The lease of a crashed owner must not block others for longer than its duration, whatever the clocks did meanwhile.
So a lease that lies much further ahead than its duration is not valid: it was written before a clock was set back.
By MAX_CLOCK_DIFFERENCE it may lie further ahead: another owner may have read the clock later but written earlier.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, func, not_, or_, select

from models.clock import MAX_CLOCK_DIFFERENCE, Clock
from models.lease_duration import LEASE_DURATION
from models.tables import provisioning_table

_LEASE_EXPIRES_AT = provisioning_table.c.lease_expires_at


def lease_time(connection: Connection, clock: Clock) -> datetime:
    """Return the current time of the clock that all owners of leases share.

    PostgreSQL's own: the owners run on several machines, whose clocks differ. All processes that use a SQLite
    ledger run on one machine.
    """
    if connection.dialect.name == "sqlite":
        return clock.now()
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now


def latest_expiry(now: datetime, duration: timedelta) -> datetime:
    """Return the latest time at which a valid lease of this duration may expire."""
    return now + duration + MAX_CLOCK_DIFFERENCE


def is_leased(now: datetime) -> ColumnElement[bool]:
    """Return the condition that a lease is valid, or was released within RELEASE_GRACE."""
    return and_(now < _LEASE_EXPIRES_AT, latest_expiry(now, LEASE_DURATION) >= _LEASE_EXPIRES_AT)


def is_unleased(now: datetime) -> ColumnElement[bool]:
    """Return the opposite of `is_leased`."""
    return or_(_LEASE_EXPIRES_AT.is_(None), not_(is_leased(now)))
