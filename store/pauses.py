"""Pauses of one API key: whether a submission may be recorded, and which one is the probe that may end a pause.

A probe is chosen by compare-and-set on the end of the pause and on `probe_id`. Its choice moves that end by another
MAX_PAUSE, so a probe whose process was killed is followed by another one.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, or_, select, update

from models.limits import MAX_PAUSE, Pause, PauseCause, latest_end
from models.request import RequestKind
from models.tables import pause_table
from store.upsert import insert_or_ignore

_OF_KEY = pause_table.c.api_key_sha256 == bindparam("key_")
_SELECT_ALL = select(pause_table).order_by(pause_table.c.cause, pause_table.c.api_key_sha256)
_SELECT = _SELECT_ALL.where(_OF_KEY)
_CHOOSE_PROBE = (
    update(pause_table)
    .where(
        pause_table.c.cause == bindparam("cause_"),
        _OF_KEY,
        or_(
            pause_table.c.until <= bindparam("now"),
            pause_table.c.until > bindparam("latest_end"),  # stored before the clock was set back
            pause_table.c.probe_id.in_(bindparam("reserved_by", expanding=True)),
        ),
    )
    .values(
        probe_id=bindparam("new_probe_id", type_=pause_table.c.probe_id.type),
        until=bindparam("new_until", type_=pause_table.c.until.type),
    )
)
_END = delete(pause_table).where(pause_table.c.probe_id == bindparam("submission_id"))
_RETURN_PROBE = (
    update(pause_table)
    .where(pause_table.c.probe_id.in_(bindparam("reserved_by", expanding=True)))
    .values(probe_id=None, until=bindparam("new_until", type_=pause_table.c.until.type))
)
_EXTEND = (
    update(pause_table)
    .where(
        pause_table.c.cause == bindparam("cause_"),
        _OF_KEY,
        or_(pause_table.c.until < bindparam("new_until"), pause_table.c.until > bindparam("latest_end")),
    )
    .values(
        started_at=bindparam("new_started_at", type_=pause_table.c.started_at.type),
        until=bindparam("new_until", type_=pause_table.c.until.type),
    )
)


def read_pauses(connection: Connection, api_key_sha256: str) -> tuple[Pause, ...]:
    """Return all stored pauses of an API key, those whose end has passed included."""
    return tuple(_to_pause(row) for row in connection.execute(_SELECT, {"key_": api_key_sha256}))


def read_all_pauses(connection: Connection) -> tuple[Pause, ...]:
    """Return all stored pauses of every API key."""
    return tuple(_to_pause(row) for row in connection.execute(_SELECT_ALL))


def choose_probe(
    connection: Connection,
    api_key_sha256: str,
    now: datetime,
    probe_id: str,
    kind: RequestKind,
    reserved_by: Collection[str] = (),
) -> Pause | None:
    """Return a pause that stands; None if there is none, or if this is the probe of each that waits for one.

    Args:
        connection: A write transaction.
        api_key_sha256: The API key.
        now: The current time.
        probe_id: What becomes the probe: a lease owner or a provisioning that will submit, or a submission.
        kind: The kind of its request. Pauses of other kinds do not count.
        reserved_by: The ids for which the probe may be reserved already.
    """
    for pause in read_pauses(connection, api_key_sha256):
        if not pause.cause.applies_to(kind):
            continue
        if not pause.cause.is_probed:
            if pause.stands(now):
                return pause
            continue
        parameters = {
            "cause_": pause.cause,
            "key_": api_key_sha256,
            "now": now,
            "latest_end": latest_end(now),
            "reserved_by": [*reserved_by],
            "new_probe_id": probe_id,
            "new_until": now + MAX_PAUSE,
        }
        if not connection.execute(_CHOOSE_PROBE, parameters).rowcount:
            return pause
    return None


def return_probe(connection: Connection, reserved_by: Collection[str], now: datetime) -> None:
    """Let another submission be the probe that was reserved for one of these ids, which is not submitted."""
    connection.execute(_RETURN_PROBE, {"reserved_by": [*reserved_by], "new_until": now})


def start_pause(
    connection: Connection, cause: PauseCause, api_key_sha256: str, now: datetime, *, is_sqlite: bool
) -> None:
    """Store a pause that only a probe ends. One that is stored already stays: the first response counts."""
    values = {"cause": cause, "api_key_sha256": api_key_sha256, "started_at": now, "until": now + MAX_PAUSE}
    connection.execute(insert_or_ignore(pause_table, is_sqlite=is_sqlite), {**values, "probe_id": None})


def end_pauses(connection: Connection, submission_id: str) -> None:
    """End the pauses whose probe is this submission, for which Argil created an avatar."""
    connection.execute(_END, {"submission_id": submission_id})


def extend_rate_pause(
    connection: Connection, api_key_sha256: str, now: datetime, until: datetime, *, is_sqlite: bool
) -> None:
    """Store that every request waits until this time; a later end that is stored already stays."""
    parameters = {
        "cause_": PauseCause.RATE,
        "key_": api_key_sha256,
        "latest_end": latest_end(now),
        "new_started_at": now,
        "new_until": until,
    }
    if not connection.execute(_EXTEND, parameters).rowcount:
        values = {"cause": PauseCause.RATE, "api_key_sha256": api_key_sha256, "started_at": now, "until": until}
        connection.execute(insert_or_ignore(pause_table, is_sqlite=is_sqlite), {**values, "probe_id": None})


def _to_pause(row: Row[Any]) -> Pause:
    return Pause(PauseCause(row.cause), row.started_at, row.until, row.probe_id)
