"""Adoptions in the ledger: avatars that were made elsewhere, all of them or none in one transaction."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, select

from models.adoption import Adoption, AdoptionResult
from models.errors import AvatarOnRecord, ReferenceIsId, RequestError, StaleVersion
from models.provisioning import LeaseOwner, Provisioning, Status
from models.reopening import reference_conflict
from models.request import RequestKind
from models.tables import duplicate_table, provisioning_table, submission_table, webhook_delivery_table
from models.text.redaction import redact, redact_json
from store import mappers
from store.membership import is_one_of, iter_pages
from store.requests import insert_extras, refuse_id, request_columns
from store.transitions import TransitionWriter, sanitize_status
from store.upsert import insert_or_ignore

MAX_ATTEMPTS = 5


@dataclass(frozen=True)
class _Recorded:
    """What the ledger has of the avatars and references to adopt."""

    by_avatar_id: dict[str, Provisioning]
    by_reference: dict[str, Provisioning]
    provisioning_ids: dict[str, str]
    """The provisioning of each avatar that a submission or a duplicate has on record."""
    with_delivered_voice: set[str]
    """The avatars for which a webhook delivery named a voice, when another program created them."""


class AdoptionWriter(TransitionWriter):
    """Writes adoptions. Every method raises DatabaseError if the database fails."""

    async def adopt(
        self, adoptions: Sequence[Adoption], owner: LeaseOwner, *, is_preview: bool = False
    ) -> list[AdoptionResult]:
        """Record a provisioning for each avatar, or for none of them if there is a problem with one.

        An avatar that was adopted under the same reference before is returned as it is.

        Args:
            adoptions: The avatars and their references; each occurs once.
            owner: The writer.
            is_preview: Write nothing.

        Returns:
            One result per adoption, in the same order.

        Raises:
            StaleVersion: Other processes recorded one of them in each of MAX_ATTEMPTS attempts.
        """

        def record(connection: Connection) -> list[AdoptionResult]:
            recorded = _read_recorded(connection, adoptions)
            results = [_decide(connection, adoption, recorded) for adoption in adoptions]
            if is_preview or any(result.problem for result in results):
                return results
            new = [item for item, result in zip(adoptions, results, strict=True) if result.is_new]
            # In one order, so that two processes with the same avatars wait for each other instead of a deadlock.
            inserted = {
                item.avatar.id: self._insert(connection, item, owner, recorded)
                for item in sorted(new, key=lambda item: item.avatar.id)
            }
            return [inserted.get(item.avatar.id, result) for item, result in zip(adoptions, results, strict=True)]

        for _ in range(MAX_ATTEMPTS - 1):
            with contextlib.suppress(StaleVersion):
                # PostgreSQL: if another process recorded the avatar or the reference meanwhile, decide again.
                return await self.database.write(record)
        return await self.database.write(record)

    def _insert(
        self, connection: Connection, adoption: Adoption, owner: LeaseOwner, recorded: _Recorded
    ) -> AdoptionResult:
        now = self._clock.now()
        provisioning_id = str(uuid.uuid4())
        status, avatar = adoption.status, adoption.avatar
        raw_status = sanitize_status(avatar.status)
        values: dict[str, Any] = {
            "id": provisioning_id,
            "version": 1,
            "reference": adoption.reference,
            **request_columns(adoption.request),
            "status": status,
            "avatar_id": avatar.id,
            "raw_status": raw_status,
            "reasons": [],
            "retrain_count": 0,
            "submission_count": 0,
            "training_started_at": now if status is Status.TRAINING else None,
            "avatar_snapshot": redact_json(avatar.raw),
            # The next run of reconcile-avatars looks the voice up; without a delivery it could not be found.
            "voice_due_at": now if status is Status.READY and avatar.id in recorded.with_delivered_voice else None,
            "created_at": now,
            "updated_at": now,
        }
        statement = insert_or_ignore(provisioning_table, is_sqlite=self.database.is_sqlite)
        row = connection.execute(statement, values).one_or_none()
        if row is None:
            raise StaleVersion(f"avatar {avatar.id} or its reference was recorded meanwhile")
        insert_extras(connection, provisioning_id, now, adoption.request.extras)
        message = redact(f"avatar {avatar.id} was made elsewhere and adopted; Argil reports {raw_status}")
        self._append_event(connection, provisioning_id, None, status, owner, message, raw_status)
        return AdoptionResult(mappers.to_provisioning(row), is_new=True)


def _decide(connection: Connection, adoption: Adoption, recorded: _Recorded) -> AdoptionResult:
    avatar_id, reference = adoption.avatar.id, adoption.reference
    existing = recorded.by_avatar_id.get(avatar_id)
    if existing is not None and existing.reference == reference:
        if existing.kind is RequestKind.ADOPTED:
            return AdoptionResult(existing)
        return AdoptionResult(problem=_on_record(avatar_id, existing.id))
    provisioning_id = recorded.provisioning_ids.get(avatar_id) if existing is None else existing.id
    if provisioning_id is not None:
        return AdoptionResult(problem=_on_record(avatar_id, provisioning_id))
    if (taken := recorded.by_reference.get(reference)) is not None:
        conflict = reference_conflict(taken)
        conflict.hint = (
            f"give the avatar a reference of its own; `avatars show {taken.id}` shows what has this reference"
        )
        return AdoptionResult(problem=conflict)
    try:
        refuse_id(connection, reference)
    except ReferenceIsId as error:
        return AdoptionResult(problem=error)
    return AdoptionResult(is_new=True)


def _on_record(avatar_id: str, provisioning_id: str) -> RequestError:
    return AvatarOnRecord(
        f"avatar {avatar_id} is on record for provisioning {provisioning_id}",
        hint=f"see `avatars show {provisioning_id}`; an avatar has one reference",
    )


def _read_recorded(connection: Connection, adoptions: Sequence[Adoption]) -> _Recorded:
    avatar_ids = [adoption.avatar.id for adoption in adoptions]
    references = [adoption.reference for adoption in adoptions]
    provisioning_ids: dict[str, str] = {}
    for table in (duplicate_table, submission_table):
        for page in iter_pages(avatar_ids):
            query = select(table.c.avatar_id, table.c.provisioning_id).where(
                is_one_of(connection, table.c.avatar_id, page)
            )
            provisioning_ids |= {row.avatar_id: row.provisioning_id for row in connection.execute(query)}
    return _Recorded(
        {item.avatar_id or "": item for item in _find(connection, provisioning_table.c.avatar_id, avatar_ids)},
        {item.reference: item for item in _find(connection, provisioning_table.c.reference, references)},
        provisioning_ids,
        {avatar_id for page in iter_pages(avatar_ids) for avatar_id in _with_delivered_voice(connection, page)},
    )


def _with_delivered_voice(connection: Connection, avatar_ids: Sequence[str]) -> Sequence[str]:
    delivery = webhook_delivery_table.c
    query = select(delivery.avatar_id).where(
        is_one_of(connection, delivery.avatar_id, avatar_ids), delivery.voice_id.is_not(None)
    )
    return connection.scalars(query.distinct()).all()


def _find(connection: Connection, column: Column[Any], values: Collection[str]) -> Iterator[Provisioning]:
    for page in iter_pages(values):
        for row in connection.execute(select(provisioning_table).where(is_one_of(connection, column, page))):
            yield mappers.to_provisioning(row)
