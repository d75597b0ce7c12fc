"""An `INSERT` that leaves existing rows unchanged, for SQLite and PostgreSQL."""

from __future__ import annotations

from functools import cache

from sqlalchemy import Insert, Table, insert


@cache
def insert_or_ignore(table: Table, *, is_sqlite: bool) -> Insert:
    """Return an insert that skips rows whose key exists and returns the inserted ones.

    It is built once per table and dialect, because building a statement costs more than running it.
    """
    return _insert_or_ignore(table, is_sqlite=is_sqlite).returning(*table.c)


def _insert_or_ignore(table: Table, *, is_sqlite: bool) -> Insert:
    if is_sqlite:
        # A prefix, because SQLAlchemy compiles `on_conflict_do_nothing` again for each execution.
        return insert(table).prefix_with("OR IGNORE")
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415  # a tenth of the CPU time of `avatars list`

    return postgresql.insert(table).on_conflict_do_nothing()
