"""Finds the other provisionings that may be of a person: those with a recording or the name of one of theirs.

No index finds a recording, so the whole table is searched: only an erasure does so. The database compares texts,
which leaves few rows, and the digests of their recordings decide.
"""

from __future__ import annotations

import re

from sqlalchemy import Connection, Text, cast, or_, select

from models.privacy.data_subject import DataSubject, Match
from models.provisioning import Provisioning
from models.tables import provisioning_table
from store.database import Database
from store.membership import is_one_of


async def find_other_references(database: Database, provisioning: Provisioning, subject: DataSubject) -> list[str]:
    """Return the references of other provisionings with the same recording or name, oldest first.

    Erased ones are left out. Of an erased provisioning the ledger has neither name nor recordings: there are none.

    Args:
        database: The database of the ledger.
        provisioning: The provisioning that is to be erased.
        subject: Its person.

    Raises:
        DatabaseError: The ledger cannot be read.
    """
    parts = sorted({_plain_part(url) for url in provisioning.request.recordings.values() if url})
    columns = provisioning_table.c

    def find(connection: Connection) -> list[str]:
        stored = cast(columns.request, Text)
        mentions = [stored.contains(part, autoescape=True) for part in parts]
        query = (
            select(columns.reference, columns.request)
            .where(or_(is_one_of(connection, columns.name, subject.names), *mentions))
            .where(columns.id != provisioning.id, columns.erased_at.is_(None))
            .order_by(columns.created_at, columns.id)
        )
        return [row.reference for row in connection.execute(query) if _may_be_of(subject, row.request)]

    return await database.read(find)


def _plain_part(url: str) -> str:
    """Return the longest part of the path of a URL that every way to write the URL, and JSON, leave as it is."""
    path = re.sub(r"^\w+://[^/?]*", "", url).partition("?")[0]
    return max(re.findall(r"[\w./~-]+", path, re.ASCII), key=len, default="")


def _may_be_of(subject: DataSubject, request: dict[str, object]) -> bool:
    return subject.trace(request, None).match_if_unrecorded is not Match.NONE
