"""Keyset pagination of provisionings: each page reads only its own rows from an index."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    String,
    TextualSelect,
    Tuple,
    bindparam,
    literal,
    select,
    text,
    tuple_,
)

from models.provisioning import Provisioning
from models.tables import UtcDateTime, provisioning_table
from store.latest_page import LatestPage


def latest_page_query(page: LatestPage) -> TextualSelect:
    """Return the query for one page of provisionings, newest first."""
    parameters = page.parameters()
    times = [bindparam(name, type_=UtcDateTime()) for name in parameters if isinstance(parameters[name], datetime)]
    statement = text(page.sql()).bindparams(*times).bindparams(**parameters)
    return statement.columns(**{column.key: column.type for column in provisioning_table.c})


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
