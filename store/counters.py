"""Counters of submissions per UTC day and per batch, which limit what a mistake can spend.

A counter is the number of its submissions that are not NOT_CREATED: a lost one may have been charged. It is kept
also without a limit, so that one that is set later in the day applies to the whole day. To avoid deadlocks, every
transaction locks the provisioning first, then the counter of the day, that of the batch, and then a pause.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from models.limits import batch_budget_used, batch_counter, day_budget_used, day_counter
from models.provisioning import SubmissionState
from models.spend_limits import SpendLimits
from models.tables import counter_table, submission_table
from store.upsert import insert_or_ignore

_MAX_COUNT = 2**31 - 1
"""The largest value of an INTEGER on PostgreSQL, which rejects a larger parameter."""
_RAISE = (
    update(counter_table)
    .where(counter_table.c.name == bindparam("counter"), counter_table.c.count < bindparam("limit"))
    .values(count=counter_table.c.count + 1)
)
_LOWER = (
    update(counter_table)
    .where(counter_table.c.name == bindparam("counter"), counter_table.c.count > 0)
    .values(count=counter_table.c.count - 1)
)
_RESOLVED = (
    select(submission_table.c.state, submission_table.c.created_at, submission_table.c.batch_id)
    .where(submission_table.c.id == bindparam("submission_id"))
    .with_for_update()
)


def count_submission(
    connection: Connection, created_at: datetime, batch_id: str | None, limits: SpendLimits, *, is_sqlite: bool
) -> None:
    """Count a submission for its day and its batch, in the transaction that records it.

    Raises:
        DayBudgetUsed: The day has no budget left.
        BatchBudgetUsed: The batch has no budget left.
    """
    day = day_counter(created_at)
    if not _raise_counter(connection, day, limits.per_day, is_sqlite=is_sqlite) and limits.per_day is not None:
        raise day_budget_used(limits.per_day)
    if batch_id is None:
        return
    batch, limit = batch_counter(batch_id), limits.per_batch
    if not _raise_counter(connection, batch, limit, is_sqlite=is_sqlite) and limit is not None:
        raise batch_budget_used(batch_id, limit)


def count_resolution(
    connection: Connection, submission_id: str, state: SubmissionState, *, is_sqlite: bool
) -> None:
    """Count a submission no longer once Argil certainly created nothing, and again if an avatar of it was found.

    Call it in the transaction that changes the state, before that change.
    """
    row = connection.execute(_RESOLVED, {"submission_id": submission_id}).one()
    was_counted, is_counted = (item != SubmissionState.NOT_CREATED for item in (row.state, state))
    if was_counted == is_counted:
        return
    counters = [day_counter(row.created_at), *([] if row.batch_id is None else [batch_counter(row.batch_id)])]
    for counter in counters:
        if is_counted:
            _raise_counter(connection, counter, None, is_sqlite=is_sqlite)
        else:
            connection.execute(_LOWER, {"counter": counter})


def read_counts(connection: Connection, names: Collection[str]) -> dict[str, int]:
    """Return the counters with these names, 0 for one that does not exist."""
    counts = dict.fromkeys(names, 0)
    for name, count in connection.execute(select(counter_table).where(counter_table.c.name.in_(names))):
        counts[name] = count
    return counts


def _raise_counter(connection: Connection, name: str, limit: int | None, *, is_sqlite: bool) -> bool:
    parameters = {"counter": name, "limit": _MAX_COUNT if limit is None else min(limit, _MAX_COUNT)}
    if connection.execute(_RAISE, parameters).rowcount:
        return True
    # It is at its limit, or does not exist yet.
    connection.execute(insert_or_ignore(counter_table, is_sqlite=is_sqlite), {"name": name, "count": 0})
    return bool(connection.execute(_RAISE, parameters).rowcount)
