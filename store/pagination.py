"""Keyset pagination of provisionings: each page reads only its own rows from an index."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, String, Tuple, literal, select, tuple_, union_all

from models.provisioning import Provisioning, Status
from models.tables import UtcDateTime, provisioning_table


def latest_page_query(
    limit: int,
    statuses: Collection[Status],
    since: datetime | None,
    until: datetime | None,
    after: Provisioning | None,
) -> Select[Any]:
    """Return the query for one page of provisionings with any of the statuses, newest first.

    The query merges the newest keys of each status, so one index on (status, created_at, id) serves any
    combination of statuses, including rare ones.

    Args:
        limit: Rows per page.
        statuses: At least one status.
        since: Inclusive lower bound of `created_at`.
        until: Exclusive upper bound of `created_at`.
        after: The last provisioning of the previous page.
    """
    created_at, key = provisioning_table.c.created_at, provisioning_table.c.id
    bounds: list[ColumnElement[bool]] = []
    if since is not None:
        bounds.append(created_at >= since)
    if until is not None:
        bounds.append(created_at < until)
    if after is not None:
        bounds.append(tuple_(created_at, key) < _key_literal(after.created_at, after.id))
    order = created_at.desc(), key.desc()
    keys_by_status = [
        select(key, created_at).where(provisioning_table.c.status == status, *bounds).order_by(*order).limit(limit)
        for status in statuses
    ]
    merged = union_all(*(select(keys.subquery()) for keys in keys_by_status)).subquery()
    page = select(merged.c.id).order_by(merged.c.created_at.desc(), merged.c.id.desc()).limit(limit)
    return select(provisioning_table).where(key.in_(page)).order_by(*order)


def oldest_page_query(column: Column[datetime], after: Provisioning | None, limit: int) -> Select[Any]:
    """Return the query for one page of provisionings, ordered by a timestamp column and id, oldest first.

    `after` is the last provisioning of the previous page.
    """
    query = select(provisioning_table).order_by(column, provisioning_table.c.id).limit(limit)
    return query if after is None else query.where(after_key(column, getattr(after, column.key), after.id))


def after_key(column: Column[datetime], timestamp: datetime, provisioning_id: str) -> ColumnElement[bool]:
    """Return the condition that (column, id) sorts after the given key."""
    return tuple_(column, provisioning_table.c.id) > _key_literal(timestamp, provisioning_id)


def _key_literal(timestamp: datetime, provisioning_id: str) -> Tuple:
    return tuple_(literal(timestamp, UtcDateTime()), literal(provisioning_id, String(36)))
