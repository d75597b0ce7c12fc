"""Compares the avatars of an account list with those that the ledger has on record."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from models.provisioning import Status
from models.reports.account_report import LedgerAvatar
from models.tables import duplicate_table, provisioning_table, submission_table, unknown_avatar_table
from store.database import Database
from store.membership import is_one_of, iter_pages

ROWS_PER_QUERY = 10_000
_COLUMNS = (
    provisioning_table.c.avatar_id,
    provisioning_table.c.id,
    provisioning_table.c.reference,
    provisioning_table.c.status,
)
_AVATAR_QUERY = (
    select(*_COLUMNS)
    .where(provisioning_table.c.avatar_id.is_not(None), provisioning_table.c.erased_at.is_(None))
    .order_by(provisioning_table.c.avatar_id)
    .limit(ROWS_PER_QUERY)
)


@dataclass(frozen=True, slots=True)
class KnownIds:
    """Which ids of an account list the ledger has, and which submissions a person decided to ignore."""

    avatar_ids: frozenset[str]
    submission_ids: frozenset[str]
    ignored_submission_ids: frozenset[str]
    duplicate_ids: frozenset[str]


async def find_known_ids(
    database: Database, avatar_ids: Collection[str], submission_ids: Collection[str]
) -> KnownIds:
    """Return those of the ids that the ledger has on record. Raises DatabaseError."""

    def find(connection: Connection) -> KnownIds:
        known: set[str] = set()
        duplicates: set[str] = set()
        for page in iter_pages(avatar_ids):
            for column in (provisioning_table.c.avatar_id, submission_table.c.avatar_id):
                known.update(connection.scalars(select(column).where(is_one_of(connection, column, page))))
            column = duplicate_table.c.avatar_id
            duplicates.update(connection.scalars(select(column).where(is_one_of(connection, column, page))))
        submissions: set[str] = set()
        ignored: set[str] = set()
        for page in iter_pages(submission_ids):
            column = submission_table.c.id
            submissions.update(connection.scalars(select(column).where(is_one_of(connection, column, page))))
            column = unknown_avatar_table.c.submission_id
            is_ignored = unknown_avatar_table.c.ignored_at.is_not(None)
            ignored.update(
                connection.scalars(select(column).where(is_one_of(connection, column, page), is_ignored))
            )
        return KnownIds(frozenset(known), frozenset(submissions), frozenset(ignored), frozenset(duplicates))

    return await database.read(find)


async def find_missing(
    database: Database, listed_ids: Collection[str], limit: int
) -> tuple[int, list[LedgerAvatar]]:
    """Return how many avatars of the ledger are not listed, and at most `limit` of them, by avatar id.

    Erased provisionings are left out: their avatars are to be deleted at Argil. It reads four columns of every
    provisioning with an avatar, page by page. Raises DatabaseError.
    """
    count, first = 0, list[LedgerAvatar]()
    query: Select[Any] = _AVATAR_QUERY
    while True:
        rows = await _read_rows(database, query)
        for row in rows:
            if row.avatar_id not in listed_ids:
                count += 1
                if len(first) < limit:
                    first.append(_to_ledger_avatar(row))
        if len(rows) < ROWS_PER_QUERY:
            return count, first
        query = _AVATAR_QUERY.where(provisioning_table.c.avatar_id > rows[-1].avatar_id)


async def list_duplicates(database: Database, avatar_ids: Collection[str], limit: int) -> list[LedgerAvatar]:
    """Return the provisionings of at most `limit` of these duplicate avatars. Raises DatabaseError."""
    page: Sequence[str] = sorted(avatar_ids)[:limit]
    query = (
        select(duplicate_table.c.avatar_id, *_COLUMNS[1:])
        .join(provisioning_table, provisioning_table.c.id == duplicate_table.c.provisioning_id)
        .order_by(duplicate_table.c.avatar_id)
    )

    def find(connection: Connection) -> list[LedgerAvatar]:
        return [
            _to_ledger_avatar(row)
            for ids in iter_pages(page)
            for row in connection.execute(query.where(is_one_of(connection, duplicate_table.c.avatar_id, ids)))
        ]

    return await database.read(find)


def _to_ledger_avatar(row: Any) -> LedgerAvatar:
    return LedgerAvatar(row.avatar_id, row.id, row.reference, Status(row.status))


async def _read_rows(database: Database, query: Select[Any]) -> Sequence[Row[Any]]:
    return await database.read(lambda connection: connection.execute(query).all())
