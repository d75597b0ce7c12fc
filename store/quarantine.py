"""The quarantine: recordings of refused avatars, rejected until a person releases them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, insert, or_, select, update

from models.clock import Clock
from models.errors import NotInQuarantine
from models.evidence import Evidence
from models.media.rules import MediaRole
from models.provisioning import LeaseOwner, Provisioning, Status
from models.recordings.identity import RecordingIdentity
from models.release import RELEASE_EVENT, Release
from models.request import parse_reason
from models.tables import quarantine_table
from models.text.plural import counted
from models.text.redaction import redact
from store.database import Database
from store.statements import INSERT_EVENT

_columns = quarantine_table.c
# Built once, because building a statement costs more than running it. What is unknown is NULL: it matches no row.
_FIND_QUARANTINING_PROVISIONING = (
    select(_columns.provisioning_id)
    .where(
        or_(
            _columns.identity_sha256 == bindparam("digest"),
            _columns.legacy_identity_sha256 == bindparam("legacy_digest"),
            _columns.legacy_identity_sha256 == bindparam("canonical_legacy_digest"),
            _columns.content_sha256 == bindparam("content_sha256"),
            and_(
                _columns.sample_sha256 == bindparam("sample_sha256"),
                # Two whole files that differ are two recordings, whatever their samples say.
                or_(
                    _columns.content_sha256.is_(None),
                    bindparam("content_sha256", type_=_columns.content_sha256.type).is_(None),
                ),
            ),
            and_(
                _columns.etag == bindparam("etag"),
                _columns.size_bytes == bindparam("size_bytes"),
                # Some hosts calculate an ETag of this form from the path, and files of one size may share a path.
                or_(
                    _columns.sample_sha256.is_(None),
                    bindparam("sample_sha256", type_=_columns.sample_sha256.type).is_(None),
                    _columns.sample_sha256 == bindparam("sample_sha256"),
                ),
            ),
        ),
        _columns.released_at.is_(None),
    )
    .limit(1)
)


def recording_identities(provisioning: Provisioning) -> dict[MediaRole, RecordingIdentity]:
    """Return the identities of the recordings by role, with the media check's facts."""
    media = provisioning.media_facts or {}
    return {
        role: RecordingIdentity.from_facts(url, media.get(role))
        for role, url in provisioning.request.recordings.items()
    }


class QuarantineRepository:
    """Reads and writes the quarantine. Every method raises DatabaseError if the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, provisioning: Provisioning) -> None:
        """Quarantine all recordings of the request; no-op for those with an entry of it, released or not."""
        await self._add(provisioning.id, recording_identities(provisioning).values())

    async def add_submitted(self, provisioning: Provisioning, evidence: Evidence) -> None:
        """Quarantine all recordings of a submission; no-op for those with an entry, released or not.

        Only a digest is known of the URL, unless it is still that of the request.
        """
        current = {item.digest: item.shown for item in recording_identities(provisioning).values()}
        await self._add(
            provisioning.id,
            [
                RecordingIdentity.from_digest(
                    recording.identity_sha256,
                    current.get(recording.identity_sha256, f"sha256:{recording.identity_sha256}"),
                    recording.facts,
                )
                for recording in evidence.recordings.values()
            ],
        )

    async def _add(self, provisioning_id: str, recordings: Iterable[RecordingIdentity]) -> None:
        values = [
            {
                "provisioning_id": provisioning_id,
                "identity_sha256": recording.digest,
                "content_sha256": recording.content_sha256,
                "sample_sha256": recording.sample_sha256,
                "input_identity": recording.shown,
                "etag": recording.etag,
                "size_bytes": recording.size_bytes,
                "quarantined_at": self._clock.now(),
            }
            for recording in recordings
        ]
        existing = select(_columns.identity_sha256).where(_columns.provisioning_id == provisioning_id)

        def find_new(connection: Connection) -> list[dict[str, Any]]:
            known = set(connection.scalars(existing))
            return [value for value in values if value["identity_sha256"] not in known]

        def add_new(connection: Connection) -> None:
            if new := find_new(connection):
                connection.execute(insert(quarantine_table), new)

        # Reconciliation finds the same refusals in each run: it must not write each time.
        if await self._database.read(find_new):
            await self._database.write(add_new)

    async def find_provisioning_for(self, recording: RecordingIdentity) -> str | None:
        """Return the id of the refused provisioning that quarantined this recording, or None."""
        legacy_digest, canonical_legacy_digest = recording.legacy_digests
        parameters = {
            "digest": recording.digest,
            "legacy_digest": legacy_digest,
            "canonical_legacy_digest": canonical_legacy_digest,
            "content_sha256": recording.content_sha256,
            "sample_sha256": recording.sample_sha256,
            "etag": recording.etag,
            "size_bytes": recording.size_bytes,
        }
        unknown = dict.fromkeys(parameters)
        others = [{**unknown, "digest": digest} for digest in sorted(recording.other_digests)]

        def find(connection: Connection) -> str | None:
            for each in (parameters, *others):
                found: str | None = connection.execute(_FIND_QUARANTINING_PROVISIONING, each).scalar_one_or_none()
                if found is not None:
                    return found
            return None

        return await self._database.read(find)

    async def release(self, provisioning: Provisioning, reason: str, owner: LeaseOwner) -> Sequence[str]:
        """Release the recordings of a refused provisioning; return those that were in quarantine, as shown.

        The same transaction appends an event of its own, unless no recording was in quarantine.

        Args:
            provisioning: The provisioning.
            reason: Who decided and why.
            owner: Who releases them, recorded in the event. The release needs no lease.

        Raises:
            InvalidRequest: The reason breaks a rule of `parse_reason`.
            NotInQuarantine: The provisioning never put one of them in quarantine.
        """
        reason = parse_reason(reason)
        now = self._clock.now()
        statement = (
            update(quarantine_table)
            .where(quarantine_table.c.provisioning_id == provisioning.id, quarantine_table.c.released_at.is_(None))
            .values(released_at=now, release_reason=reason)
            .returning(quarantine_table.c.input_identity)
        )

        def write(connection: Connection) -> list[str]:
            if released := list(connection.execute(statement).scalars()):
                event = {
                    "provisioning_id": provisioning.id,
                    "occurred_at": now,
                    "actor": owner.actor,
                    "from_status": provisioning.status,
                    "to_status": provisioning.status,
                    "message": redact(
                        RELEASE_EVENT.format(count=counted(len(released), "recording"), reason=reason)
                    ),
                    "raw_status": None,
                    "flow_run_id": owner.flow_run_id,
                    "submission_id": None,
                }
                connection.execute(INSERT_EVENT, event)
            return released

        released = await self._database.write(write)
        if not released and not await self.list_releases([provisioning.id]):
            raise NotInQuarantine(
                f"provisioning {provisioning.id}, which is {provisioning.status}, put no recording in quarantine; "
                "nothing was changed",
                hint=f"`avatars show {provisioning.id}` has its next step, and its reasons, which name a refused "
                "provisioning if there is one",
            )
        return released

    async def is_released(self, provisioning: Provisioning) -> bool:
        """Return whether a person released the recordings of this provisioning, which Argil refused."""
        is_refused = provisioning.status is Status.REFUSED
        return is_refused and bool(await self.list_releases([provisioning.id]))

    async def list_releases(self, provisioning_ids: Sequence[str]) -> Mapping[str, Sequence[Release]]:
        """Return the releases of these provisionings, oldest first.

        A provisioning that has recordings in quarantine is left out, also after an earlier release.
        """
        if not provisioning_ids:
            return {}
        query = (
            select(
                _columns.provisioning_id, _columns.released_at, _columns.release_reason, func.count().label("count")
            )
            .where(_columns.provisioning_id.in_(provisioning_ids))
            .group_by(_columns.provisioning_id, _columns.released_at, _columns.release_reason)
            .order_by(_columns.released_at)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        quarantined = {row.provisioning_id for row in rows if row.released_at is None}
        releases: dict[str, list[Release]] = defaultdict(list)
        for row in rows:
            if row.provisioning_id not in quarantined:
                release = Release(
                    released_at=row.released_at, reason=row.release_reason or "", recordings=row.count
                )
                releases[row.provisioning_id].append(release)
        return releases
