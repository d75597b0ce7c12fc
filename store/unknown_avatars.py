"""Compares an account list with the submissions of the ledger, and stores the avatars that it does not know.

The list is read before the ledger. A submission is committed before it is sent, so that by then every avatar of the
ledger's own submissions is known.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from models.argil.account_list import AccountList
from models.argil.unknown_avatars import UnknownAvatar, is_our_submission_id, read_unknown_avatar
from models.clock import Clock
from models.submission_ids import tag_suffix
from models.tables import submission_table, unknown_avatar_table
from store.database import Database
from store.membership import is_one_of, iter_pages
from store.upsert import insert_or_ignore

_TABLE = unknown_avatar_table
_IS_UNDECIDED = _TABLE.c.ignored_at.is_(None)


class UnknownAvatarRepository:
    """Stores unknown avatars. Every method raises DatabaseError if the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known_ids: set[str] = set()
        """Listed submission ids that the ledger knew: it does not lose them. An unknown one is looked up again."""

    async def compare(self, account: AccountList) -> list[UnknownAvatar]:
        """Store the avatars of the list that the ledger does not know, and remove those that no longer count.

        An avatar no longer counts once the ledger knows its submission, or once a complete list does not contain
        it. Of an ignored one that is not listed, only the name is removed: the decision remains.

        Returns:
            The avatars that were not stored before.
        """
        listed = {key for key in account.index.submission_ids if is_our_submission_id(key)}
        seen_at = self._clock.now()
        candidates = listed - self._known_ids

        def look_up(connection: Connection) -> tuple[dict[str, Row[Any]], set[str]]:
            stored = {row.submission_id: row for row in connection.execute(select(_TABLE))}
            return stored, _find_known(connection, candidates | stored.keys())

        stored, known = await self._database.read(look_up)
        self._known_ids |= known & listed
        unknown = sorted(candidates - known - stored.keys())
        found = [read_unknown_avatar(key, account.index.first_item(key), seen_at) for key in unknown]
        resolved = known & stored.keys()
        unlisted = set() if account.incomplete_because else _unlisted(stored, listed)
        if not (found or resolved or unlisted):
            return []
        return await self._database.write(lambda connection: self._write(connection, found, resolved, unlisted))

    def _write(
        self, connection: Connection, found: Sequence[UnknownAvatar], resolved: set[str], unlisted: set[str]
    ) -> list[UnknownAvatar]:
        for ids in iter_pages(resolved):
            connection.execute(delete(_TABLE).where(is_one_of(connection, _TABLE.c.submission_id, ids)))
        for ids in iter_pages(unlisted):
            is_unlisted = is_one_of(connection, _TABLE.c.submission_id, ids)
            connection.execute(delete(_TABLE).where(is_unlisted, _IS_UNDECIDED))
            connection.execute(update(_TABLE).where(is_unlisted).values(name=""))
        if not found:
            return []
        statement = insert_or_ignore(_TABLE, is_sqlite=self._database.is_sqlite)
        inserted = connection.execute(statement, [_values(avatar) for avatar in found])
        return [_to_unknown_avatar(row) for row in inserted]

    async def has_submissions(self) -> bool:
        """Return whether the ledger knows any submission; a new one, or one that was deleted, knows none."""
        query = select(submission_table.c.id).limit(1)
        return await self._database.read(lambda connection: connection.execute(query).first() is not None)

    async def list_undecided(self, limit: int) -> list[UnknownAvatar]:
        """Return at most `limit` avatars about which no person has decided, those seen first at the front."""
        query = select(_TABLE).where(_IS_UNDECIDED).order_by(_TABLE.c.first_seen_at, _TABLE.c.submission_id)
        return await self._database.read(
            lambda connection: [_to_unknown_avatar(row) for row in connection.execute(query.limit(limit))]
        )

    async def list_undecided_of(self, tag: str) -> list[UnknownAvatar]:
        """Return the undecided avatars whose submission id has this tag (models/submission_ids.py)."""
        query = select(_TABLE).where(_IS_UNDECIDED, _TABLE.c.submission_id.endswith(tag_suffix(tag)))
        return await self._database.read(
            lambda connection: [_to_unknown_avatar(row) for row in connection.execute(query)]
        )

    async def count_undecided(self) -> int:
        """Return the number of avatars about which no person has decided."""
        query = select(func.count()).where(_IS_UNDECIDED)
        return await self._database.read(lambda connection: connection.execute(query).scalar_one())

    async def count_ignored(self) -> int:
        """Return the number of avatars that a person decided to ignore."""
        query = select(func.count()).where(_TABLE.c.ignored_at.is_not(None))
        return await self._database.read(lambda connection: connection.execute(query).scalar_one())

    async def latest_ignored(self) -> UnknownAvatar | None:
        """Return the avatar of the latest decision, None without a decision."""
        query = select(_TABLE).where(_TABLE.c.ignored_at.is_not(None)).order_by(_TABLE.c.ignored_at.desc()).limit(1)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else _to_unknown_avatar(row)

    async def ignore_all(self, decided_by: str) -> int:
        """Record the decision of a person to ignore every undecided avatar; return their number.

        Args:
            decided_by: Who decided, at most 256 characters.
        """
        values: dict[str, datetime | str] = {"ignored_at": self._clock.now(), "ignored_by": decided_by}
        statement = update(_TABLE).where(_IS_UNDECIDED).values(values)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)


def _find_known(connection: Connection, submission_ids: Collection[str]) -> set[str]:
    known: set[str] = set()
    for ids in iter_pages(submission_ids):
        query = select(submission_table.c.id).where(is_one_of(connection, submission_table.c.id, ids))
        known.update(connection.execute(query).scalars())
    return known


def _unlisted(stored: dict[str, Row[Any]], listed: Collection[str]) -> set[str]:
    """Return the stored ids that are not listed and whose rows still have something to remove."""
    return {key for key, row in stored.items() if key not in listed and (row.ignored_at is None or row.name)}


def _values(avatar: UnknownAvatar) -> dict[str, Any]:
    return {column.name: getattr(avatar, column.name) for column in _TABLE.columns}


def _to_unknown_avatar(row: Row[Any]) -> UnknownAvatar:
    return UnknownAvatar(**row._asdict())
