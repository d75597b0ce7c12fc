"""Recordings of refused avatars: kept out until a person releases them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, insert, or_, select, update

from models.clock import Clock
from models.provisioning import Provisioning
from models.request import input_identity
from models.tables import QuarantineRow
from store.database import Database

# Built once: building a statement costs more than running it. Nothing equals an ETag or a size that is not known.
_HOLDER = (
    select(QuarantineRow.provisioning_id)
    .where(
        or_(
            QuarantineRow.input_hash == bindparam("hash"),
            and_(QuarantineRow.etag == bindparam("etag"), QuarantineRow.size_bytes == bindparam("size_bytes")),
        ),
        QuarantineRow.released_at.is_(None),
    )
    .limit(1)
)


@dataclass(frozen=True)
class Recording:
    """What a recording is known by: its URL without the query and, where known, ETag and size together."""

    identity: str
    etag: str | None = None
    size_bytes: int | None = None

    @property
    def hash(self) -> str:
        """SHA-256 of the identity, short enough for any index."""
        return hashlib.sha256(self.identity.encode()).hexdigest()


def recordings(provisioning: Provisioning) -> dict[str, Recording]:
    """Return both recordings of a provisioning, by role, with what the media check learned of them."""
    media = provisioning.media or {}
    urls = {"dataset": provisioning.request.dataset_video, "consent": provisioning.request.consent_video}
    return {
        role: Recording(
            input_identity(url),
            (media.get(role) or {}).get("etag"),
            (media.get(role) or {}).get("size_bytes"),
        )
        for role, url in urls.items()
    }


class Quarantine:
    """Reads and writes the quarantine. Every method raises DatabaseError where the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def put(self, provisioning: Provisioning) -> None:
        """Quarantine both recordings; those that already are, for this provisioning, stay as they are."""
        values = [
            {
                "provisioning_id": provisioning.id,
                "input_hash": recording.hash,
                "input_identity": recording.identity,
                "etag": recording.etag,
                "size_bytes": recording.size_bytes,
                "at": self._clock.now(),
            }
            for recording in recordings(provisioning).values()
        ]
        known = select(QuarantineRow.id).where(QuarantineRow.provisioning_id == provisioning.id)
        async with self._database.writing() as connection:
            if (await connection.execute(known)).first() is None:
                await connection.execute(insert(QuarantineRow), values)

    async def holds(self, recording: Recording) -> str | None:
        """Return the id of the refused provisioning that keeps this recording out, or None."""
        known_by = {"hash": recording.hash, "etag": recording.etag, "size_bytes": recording.size_bytes}
        async with self._database.reading() as connection:
            return (await connection.execute(_HOLDER, known_by)).scalar_one_or_none()

    async def release(self, provisioning_id: str, why: str) -> Sequence[str]:
        """Let the recordings of a refused provisioning in again; returns their identities."""
        let_in = (
            update(QuarantineRow)
            .where(QuarantineRow.provisioning_id == provisioning_id, QuarantineRow.released_at.is_(None))
            .values(released_at=self._clock.now(), released_why=why)
            .returning(QuarantineRow.input_identity)
        )
        async with self._database.writing() as connection:
            return list((await connection.execute(let_in)).scalars())
