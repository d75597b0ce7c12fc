"""The quarantine: recordings of refused avatars, rejected until a person releases them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, insert, or_, select, update

from models.clock import Clock
from models.provisioning import Provisioning
from models.request import canonical_url
from models.tables import quarantine_table
from store.database import Database

# Built once, because building a statement costs more than running it. An unknown ETag or size is NULL,
# which matches no row.
_FIND_QUARANTINING_PROVISIONING = (
    select(quarantine_table.c.provisioning_id)
    .where(
        or_(
            quarantine_table.c.input_hash == bindparam("hash"),
            and_(
                quarantine_table.c.etag == bindparam("etag"),
                quarantine_table.c.size_bytes == bindparam("size_bytes"),
            ),
        ),
        quarantine_table.c.released_at.is_(None),
    )
    .limit(1)
)


@dataclass(frozen=True)
class RecordingIdentity:
    """What identifies a recording: its canonical URL or, if known, its ETag and size together."""

    identity: str
    etag: str | None = None
    size_bytes: int | None = None

    @property
    def hash(self) -> str:
        """SHA-256 of the identity as hex digits, short enough for any index."""
        return hashlib.sha256(self.identity.encode()).hexdigest()


def recording_identities(provisioning: Provisioning) -> dict[str, RecordingIdentity]:
    """Return the identities of both recordings by role (`dataset`, `consent`), with the media check's facts."""
    media = provisioning.media_facts or {}
    urls = {"dataset": provisioning.request.dataset_video, "consent": provisioning.request.consent_video}
    return {
        role: RecordingIdentity(
            canonical_url(url),
            (media.get(role) or {}).get("etag"),
            (media.get(role) or {}).get("size_bytes"),
        )
        for role, url in urls.items()
    }


class QuarantineRepository:
    """Reads and writes the quarantine. Every method raises DatabaseError if the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, provisioning: Provisioning) -> None:
        """Quarantine both recordings; no-op if this provisioning already has entries, released or not."""
        values = [
            {
                "provisioning_id": provisioning.id,
                "input_hash": recording.hash,
                "input_identity": recording.identity,
                "etag": recording.etag,
                "size_bytes": recording.size_bytes,
                "quarantined_at": self._clock.now(),
            }
            for recording in recording_identities(provisioning).values()
        ]
        existing = select(quarantine_table.c.id).where(quarantine_table.c.provisioning_id == provisioning.id)

        def add_once(connection: Connection) -> None:
            if connection.execute(existing).first() is None:
                connection.execute(insert(quarantine_table), values)

        await self._database.write(add_once)

    async def find_provisioning_for(self, recording: RecordingIdentity) -> str | None:
        """Return the id of the refused provisioning that quarantined this recording, or None."""
        parameters = {"hash": recording.hash, "etag": recording.etag, "size_bytes": recording.size_bytes}
        return await self._database.read(
            lambda connection: connection.execute(_FIND_QUARANTINING_PROVISIONING, parameters).scalar_one_or_none()
        )

    async def release(self, provisioning_id: str, reason: str) -> Sequence[str]:
        """Release the recordings of a refused provisioning; return the identities that were in quarantine."""
        statement = (
            update(quarantine_table)
            .where(quarantine_table.c.provisioning_id == provisioning_id, quarantine_table.c.released_at.is_(None))
            .values(released_at=self._clock.now(), release_reason=reason)
            .returning(quarantine_table.c.input_identity)
        )
        return await self._database.write(lambda connection: list(connection.execute(statement).scalars()))
