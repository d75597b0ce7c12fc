"""Builds the queries of pages of provisionings: each reads its own rows from an index, however many there are."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, String, Tuple, literal, select, tuple_, union_all
from sqlalchemy.orm import InstrumentedAttribute

from models.provisioning import Provisioning, Status
from models.tables import ProvisioningRow, UtcDateTime


def newest_first(
    limit: int,
    statuses: Collection[Status],
    since: datetime | None,
    until: datetime | None,
    after: Provisioning | None,
) -> Select[Any]:
    """Return the query of a page of the statuses, newest first.

    The newest keys of each status are merged: so one index serves any choice of statuses, rare ones among many.
    """
    created_at, key = ProvisioningRow.created_at, ProvisioningRow.id
    bounds: list[ColumnElement[bool]] = []
    if since is not None:
        bounds.append(created_at >= since)
    if until is not None:
        bounds.append(created_at < until)
    if after is not None:
        bounds.append(tuple_(created_at, key) < _at(after.created_at, after.id))
    order = created_at.desc(), key.desc()
    each = [
        select(key, created_at).where(ProvisioningRow.status == status, *bounds).order_by(*order).limit(limit)
        for status in statuses
    ]
    merged = union_all(*(select(one.subquery()) for one in each)).subquery()
    page = select(merged.c.id).order_by(merged.c.created_at.desc(), merged.c.id.desc()).limit(limit)
    return select(ProvisioningRow.__table__).where(key.in_(page)).order_by(*order)


def oldest_first(moment: InstrumentedAttribute[datetime], after: Provisioning | None, limit: int) -> Select[Any]:
    """Return the query of a page by a moment of each and its id, beginning after another one."""
    query = select(ProvisioningRow.__table__).order_by(moment, ProvisioningRow.id).limit(limit)
    return query if after is None else query.where(later(moment, getattr(after, moment.key), after.id))


def later(moment: InstrumentedAttribute[datetime], at: datetime, key: str) -> ColumnElement[bool]:
    """Return the condition to come after another one, by a moment and then by id."""
    return tuple_(moment, ProvisioningRow.id) > _at(at, key)


def _at(moment: datetime, key: str) -> Tuple:
    return tuple_(literal(moment, UtcDateTime()), literal(key, String(36)))
