"""The uploads of local files, and the provisionings that name them.

Only recorded uploads are ever deleted. A row is written before the first byte is sent, and removed after its
object, so that no crash leaves an object that is not on record.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, func, or_, select, update

from models.clock import Clock
from models.provisioning import Status
from models.recordings.uploads import Upload, may_be_upload
from models.request import AvatarRequest
from models.tables import provisioning_table, upload_table, upload_use_table
from store.database import Database
from store.upsert import insert_or_ignore

UNUSED_AFTER = timedelta(days=1)
"""How long an upload that no provisioning names may still be waiting for one."""
_DONE = (Status.READY, Status.REFUSED)
_TABLE, _USES, _OWNERS = upload_table, upload_use_table, provisioning_table


class UploadRepository:
    """Records uploads and tells which are no longer needed. Every method raises DatabaseError."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, uri: str, sha256: str, size_bytes: int, actor: str) -> None:
        """Record that a command needs this upload, before it sends the file."""
        now = self._clock.now()
        values = {"uri": uri, "sha256": sha256, "size_bytes": size_bytes, "actor": actor[:256]}
        statement = insert_or_ignore(_TABLE, is_sqlite=self._database.is_sqlite)

        def begin(connection: Connection) -> None:
            row = {**values, "created_at": now, "used_at": now, "completed_at": None}
            if connection.execute(statement, row).one_or_none() is None:
                connection.execute(update(_TABLE).where(_TABLE.c.uri == uri).values(used_at=now))

        await self._database.write(begin)

    async def complete(self, uri: str) -> None:
        """Record that the object is complete."""
        statement = update(_TABLE).where(_TABLE.c.uri == uri).values(completed_at=self._clock.now())
        await self._database.write(lambda connection: connection.execute(statement))

    async def is_recorded(self, uri: str) -> bool:
        """Whether this ledger has an upload with this address."""
        query = select(_TABLE.c.uri).where(_TABLE.c.uri == uri)
        return await self._database.read(lambda connection: connection.execute(query).first() is not None)

    async def unused_uploads(self, limit: int) -> list[Upload]:
        """Return at most `limit` uploads that no provisioning names, the oldest first."""
        query = select(_TABLE).where(~_is_used()).order_by(_TABLE.c.created_at, _TABLE.c.uri).limit(limit)
        return await self._select(query)

    async def count_unused(self) -> int:
        """Return the number of uploads that no provisioning names."""
        query = select(func.count()).select_from(_TABLE).where(~_is_used())
        return await self._database.read(lambda connection: connection.execute(query).scalar_one())

    async def finished_uploads(self, limit: int, start: float = 0.0) -> list[Upload]:
        """Return at most `limit` uploads whose provisionings are all READY, REFUSED or erased, by their address.

        An upload that a command needs again is not among them until a provisioning names it, or for a day.

        Args:
            limit: The number of uploads.
            start: The position of the first one as a share of all uploads, at least 0 and below 1, so that those
                that cannot be deleted do not always come first. After the last one, those before it follow.
        """
        last_use = select(func.max(_USES.c.created_at)).where(_USES.c.uri == _TABLE.c.uri).scalar_subquery()
        is_free = or_(_TABLE.c.used_at <= last_use, _TABLE.c.used_at < self._clock.now() - UNUSED_AFTER)
        query = select(_TABLE).where(_is_used(), ~_is_needed(), is_free).order_by(_TABLE.c.uri)

        def read(connection: Connection) -> list[Upload]:
            count = connection.execute(select(func.count()).select_from(_TABLE)).scalar_one() if start else 0
            middle = select(_TABLE.c.uri).order_by(_TABLE.c.uri).offset(int(start * count)).limit(1)
            if not count or (first := connection.execute(middle).scalar_one_or_none()) is None:
                return [_to_upload(row) for row in connection.execute(query.limit(limit))]
            rows = list(connection.execute(query.where(_TABLE.c.uri >= first).limit(limit)))
            rows += connection.execute(query.where(_TABLE.c.uri < first).limit(limit - len(rows)))
            return [_to_upload(row) for row in rows]

        return await self._database.read(read)

    async def uploads_of(self, provisioning_id: str) -> list[Upload]:
        """Return the uploads that a provisioning names, or named before its request was replaced."""
        query = (
            select(_TABLE)
            .join(_USES, _USES.c.uri == _TABLE.c.uri)
            .where(_USES.c.provisioning_id == provisioning_id)
            .order_by(_TABLE.c.uri)
        )
        return await self._select(query)

    async def is_finished(self, upload: Upload) -> bool:
        """Whether no command and no provisioning has needed an upload since it was read."""
        query = select(_TABLE.c.uri).where(_is_same(upload), ~_is_needed())
        return await self._database.read(lambda connection: connection.execute(query).first() is not None)

    async def remove(self, upload: Upload) -> bool:
        """Remove the record of an upload whose object was deleted, unless a command has needed it since."""

        def remove(connection: Connection) -> bool:
            if connection.execute(select(_TABLE.c.uri).where(_is_same(upload))).first() is None:
                return False
            connection.execute(delete(_USES).where(_USES.c.uri == upload.uri))
            return bool(connection.execute(delete(_TABLE).where(_is_same(upload))).rowcount)

        return await self._database.write(remove)

    async def _select(self, query: Any) -> list[Upload]:
        return await self._database.read(lambda connection: [_to_upload(row) for row in connection.execute(query)])


def link_uploads(
    connection: Connection, provisioning_id: str, request: AvatarRequest, now: datetime, *, is_sqlite: bool
) -> None:
    """Record, in the transaction that stores a request, which uploads it names."""
    addresses = [address for address in set(request.recordings.values()) if may_be_upload(address)]
    if not addresses:
        return
    recorded = connection.execute(select(_TABLE.c.uri).where(_TABLE.c.uri.in_(addresses))).scalars()
    rows = [{"uri": uri, "provisioning_id": provisioning_id, "created_at": now} for uri in sorted(recorded)]
    if rows:
        connection.execute(insert_or_ignore(_USES, is_sqlite=is_sqlite), rows)


def _is_used() -> ColumnElement[bool]:
    return exists(select(_USES.c.uri).where(_USES.c.uri == _TABLE.c.uri).correlate(_TABLE))


def _is_needed() -> ColumnElement[bool]:
    """Match the uploads that a provisioning names whose recordings Argil may still have to download."""
    is_unfinished = _OWNERS.c.status.not_in(_DONE) & _OWNERS.c.erased_at.is_(None)
    query = select(_USES.c.uri).join(_OWNERS, _OWNERS.c.id == _USES.c.provisioning_id)
    return exists(query.where(_USES.c.uri == _TABLE.c.uri, is_unfinished).correlate(_TABLE))


def _is_same(upload: Upload) -> ColumnElement[bool]:
    return (_TABLE.c.uri == upload.uri) & (_TABLE.c.used_at == upload.used_at)


def _to_upload(row: Row[Any]) -> Upload:
    return Upload(**row._asdict())
