"""What `avatars doctor` asks the ledger: whether it can be written, its clock, and times that lie ahead of it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, or_, select

from models.clock import MAX_CLOCK_DIFFERENCE, Clock
from models.lease_duration import LEASE_DURATION
from models.provisioning import Status
from models.tables import (
    observation_table,
    pause_table,
    provisioning_table,
    tick_lease_table,
    webhook_delivery_table,
)
from store.database import Database
from store.lease_validity import is_unleased, latest_expiry, lease_time

PROBE_BYTES = 256 * 1024
"""Size of the row that `write_probe` writes: it needs new pages, which a full disk does not have."""
MAX_NAMED_ROWS = 5
"""Provisionings that are named; a wrong clock may concern all of them."""
_IN_FLIGHT = [status for status in Status if not status.is_terminal]
_TABLE = provisioning_table


@dataclass(frozen=True)
class LedgerFacts:
    """The facts that one look at the ledger returns."""

    now: datetime
    """The time of the clock that leases are judged by."""
    ahead: tuple[str, ...]
    """What has a lease or time ahead of that clock: at most MAX_NAMED_ROWS provisionings in flight, and others."""
    waiting_since: datetime | None
    """The earliest change of a provisioning in flight that no process advances; None if there is none."""
    last_delivery_at: datetime | None
    """When the newest webhook delivery was received."""


_RUNNING_SCHEDULE = tick_lease_table.c.owner_id.is_not(None)
_OTHERS: tuple[tuple[str, Select[Any]], ...] = (
    ("schedule", select(tick_lease_table.c.name, tick_lease_table.c.acquired_at).where(_RUNNING_SCHEDULE)),
    ("pause", select(pause_table.c.cause, pause_table.c.started_at)),
    ("observation", select(observation_table.c.name, observation_table.c.observed_at)),
)
"""Small tables, each as what one row is, and a query for its name and the time when it was stored."""


def _others_ahead(connection: Connection, now: datetime) -> list[str]:
    """Return the rows of `_OTHERS` that were stored in the future."""
    return [
        f"{kind} {name}"
        for kind, statement in _OTHERS
        for name, stored_at in connection.execute(statement)
        if stored_at > now + MAX_CLOCK_DIFFERENCE
    ]


async def write_probe(database: Database, clock: Clock) -> None:
    """Write and delete a row in one transaction, so that a full disk is found and nothing remains.

    Raises:
        DatabaseError: The ledger cannot be written.
    """
    key = f"probe-{secrets.token_hex(8)}"
    values = {
        "id": key,
        "version": 0,
        "reference": key,
        "request": {"probe": secrets.token_hex(PROBE_BYTES // 2)},  # random, so that PostgreSQL cannot compress it
        "request_fingerprint": "",
        "status": Status.REJECTED,
        "reasons": [],
        "retrain_count": 0,
        "submission_count": 0,
        "created_at": clock.now(),
        "updated_at": clock.now(),
    }

    def write(connection: Connection) -> None:
        connection.execute(insert(_TABLE), values)
        connection.execute(delete(_TABLE).where(_TABLE.c.id == key))

    await database.write(write)


async def read_facts(database: Database, clock: Clock) -> LedgerFacts:
    """Read the facts in one transaction. Raises DatabaseError."""

    def read(connection: Connection) -> LedgerFacts:
        now = lease_time(connection, clock)
        in_flight = _TABLE.c.status.in_(_IN_FLIGHT)
        latest = now + MAX_CLOCK_DIFFERENCE
        is_ahead = or_(
            _TABLE.c.lease_expires_at > latest_expiry(now, LEASE_DURATION),
            _TABLE.c.updated_at > latest,
            _TABLE.c.training_started_at > latest,
            _TABLE.c.not_found_since > latest,
        )
        ahead = select(_TABLE.c.id).where(in_flight, is_ahead).order_by(_TABLE.c.created_at).limit(MAX_NAMED_ROWS)
        waiting = select(func.min(_TABLE.c.updated_at)).where(
            in_flight, _TABLE.c.erased_at.is_(None), is_unleased(now)
        )
        newest = webhook_delivery_table.c.received_at
        delivery = select(newest).order_by(webhook_delivery_table.c.id.desc()).limit(1)
        return LedgerFacts(
            now=now,
            ahead=(
                *(f"provisioning {key}" for key in connection.execute(ahead).scalars()),
                *_others_ahead(connection, now),
            ),
            waiting_since=connection.execute(waiting).scalar_one(),
            last_delivery_at=connection.execute(delivery).scalar_one_or_none(),
        )

    return await database.read(read)
