"""Requests in the ledger: recorded, attached to the provisioning of their reference, or in place of another."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from models.errors import ReferenceIsId, StaleVersion
from models.provisioning import LeaseOwner, Provisioning, Status, SubmissionState, parse_provisioning_id
from models.reopening import REPLACED, CallerAction, RequestAction, decide_request, reference_conflict
from models.request import AvatarRequest
from models.tables import provisioning_table
from store import mappers
from store.batches import require_running_batch
from store.statements import (
    BY_ID,
    BY_REFERENCE,
    DELETE_EXTRAS,
    INSERT_EXTRAS,
    RENEW_URLS,
    SUBMISSION_STATES,
    TAKE_FOR_BATCH,
)
from store.transitions import RequestColumns, TransitionWriter
from store.uploads import link_uploads
from store.upsert import insert_or_ignore


class RequestWriter(TransitionWriter):
    """Writes requests. Every method raises DatabaseError if the database fails."""

    async def get_or_create(
        self, request: AvatarRequest, reference: str, owner: LeaseOwner
    ) -> tuple[Provisioning, bool]:
        """Record the request, or attach to the existing provisioning with this reference.

        models/reopening.py has the rule. If the existing one is ACCEPTED, it gets the URLs of this request, because
        earlier signatures may have expired. A lease owner that checks the earlier URLs then starts again. Another
        request replaces one that Argil certainly never accepted. This never re-opens the same request:
        services/reopening.py does.

        Returns:
            The provisioning, and whether it is new.

        Raises:
            ReferenceConflict: The reference belongs to another request; nothing was changed.
            ReferenceIsId: The reference is new, and is the id of another provisioning in any form.
            BatchCancelled: A person cancelled the batch of this owner; nothing was changed.
        """
        provisioning_id = str(uuid.uuid4())
        now = self._clock.now()
        values = {
            "id": provisioning_id,
            "version": 1,
            "reference": reference,
            **request_columns(request),
            "status": Status.ACCEPTED,
            "reasons": [],
            "retrain_count": 0,
            "submission_count": 0,
            "created_at": now,
            "updated_at": now,
            "flow_run_id": owner.flow_run_id,
            "batch_id": owner.batch_id,
        }
        statement = insert_or_ignore(provisioning_table, is_sqlite=self.database.is_sqlite)

        def get_or_insert(connection: Connection) -> tuple[Provisioning, bool]:
            require_running_batch(connection, owner, lock=True)
            inserted = connection.execute(statement, values).one_or_none()
            if inserted is None:
                existing = connection.execute(BY_REFERENCE, {"reference_": reference}).one()
                return _take(connection, self._attach(connection, existing, request, owner), owner), False
            refuse_id(connection, reference)
            insert_extras(connection, provisioning_id, now, request.extras)
            link_uploads(connection, provisioning_id, request, now, is_sqlite=self.database.is_sqlite)
            self._record_call(connection, provisioning_id, owner, CallerAction.REQUEST)
            self._append_event(
                connection, provisioning_id, None, Status.ACCEPTED, owner, "the request was recorded"
            )
            return mappers.to_provisioning(inserted), True

        while True:
            try:
                return await self.database.write(get_or_insert)
            except StaleVersion:
                continue  # PostgreSQL: another owner wrote in between: decide again on the current version

    def _attach(
        self, connection: Connection, row: Row[Any], request: AvatarRequest, owner: LeaseOwner
    ) -> Provisioning:
        existing = mappers.to_provisioning(row)
        is_same_request = existing.request_fingerprint in request.fingerprints
        has_called = False
        # In any other status a request changes nothing. The call of the same request for a REJECTED one is recorded
        # when it is re-opened, so that a crash in between does not prevent that.
        if not existing.status.is_terminal or (existing.status is Status.REJECTED and not is_same_request):
            has_called = not self._record_call(connection, existing.id, owner, CallerAction.REQUEST)
        states = {SubmissionState(state) for state in connection.scalars(SUBMISSION_STATES, {"id_": existing.id})}
        match decide_request(
            existing.status,
            existing.avatar_id,
            states,
            is_same_request=is_same_request,
            has_called=has_called,
            is_erased=existing.erased_at is not None,
        ):
            case RequestAction.ATTACH:
                return existing
            case RequestAction.RENEW:
                link_uploads(connection, existing.id, request, self._clock.now(), is_sqlite=self.database.is_sqlite)
                return _renew_urls(connection, existing, request)
            case RequestAction.REPLACE:
                return self._replace(connection, existing, request, owner)
            case RequestAction.CONFLICT:
                raise reference_conflict(existing)

    def _replace(
        self, connection: Connection, existing: Provisioning, request: AvatarRequest, owner: LeaseOwner
    ) -> Provisioning:
        """Put the request in the place of one that Argil certainly never accepted. Raises StaleVersion."""
        replaced = self._transition(
            connection,
            existing,
            owner,
            REPLACED,
            new_status=None if existing.status is Status.ACCEPTED else Status.ACCEPTED,
            reasons=[],
            media_facts=None,
            flow_run_id=owner.flow_run_id,
            **request_columns(request),
        )
        connection.execute(DELETE_EXTRAS, {"id_": existing.id})
        insert_extras(connection, existing.id, existing.created_at, request.extras)
        link_uploads(connection, existing.id, request, self._clock.now(), is_sqlite=self.database.is_sqlite)
        return replaced


def stored_request(request: AvatarRequest) -> dict[str, Any]:
    """Return the value of the column `request`; the reference has a column of its own."""
    return request.model_dump(exclude={"reference"})


def request_columns(request: AvatarRequest) -> RequestColumns:
    """Return the columns of a provisioning that store its request, apart from its reference."""
    return {
        "request": stored_request(request),
        "request_fingerprint": request.fingerprint,
        "name": request.name,
        "kind": request.kind,
    }


def insert_extras(
    connection: Connection, provisioning_id: str, created_at: datetime, extras: Mapping[str, str]
) -> None:
    """Insert the extras of a request for queries."""
    rows = [
        {"provisioning_id": provisioning_id, "key": key, "value": value, "created_at": created_at}
        for key, value in extras.items()
    ]
    if rows:
        connection.execute(INSERT_EXTRAS, rows)


def _take(connection: Connection, provisioning: Provisioning, owner: LeaseOwner) -> Provisioning:
    """Let the batch of this owner take the provisioning, unless it is erased: then it no longer changes.

    The version stays: a lease owner that advances the provisioning meanwhile goes on.
    """
    if owner.batch_id in {None, provisioning.batch_id} or provisioning.erased_at is not None:
        return provisioning
    taken = connection.execute(TAKE_FOR_BATCH, {"id_": provisioning.id, "taken_by": owner.batch_id})
    return replace(provisioning, batch_id=owner.batch_id) if taken.rowcount else provisioning


def refuse_id(connection: Connection, reference: str) -> None:
    """Raise ReferenceIsId if the reference is the id of a provisioning in any form of a UUID."""
    same_id = parse_provisioning_id(reference)
    if same_id is not None and connection.execute(BY_ID, {"id_": same_id}).first() is not None:
        raise ReferenceIsId(reference, same_id)


def _renew_urls(connection: Connection, existing: Provisioning, request: AvatarRequest) -> Provisioning:
    new_request = stored_request(request)
    if new_request == stored_request(existing.request):
        return existing
    parameters = {
        "id_": existing.id,
        "fingerprint": existing.request_fingerprint,
        "new_request": new_request,
    }
    connection.execute(RENEW_URLS, parameters)
    return mappers.to_provisioning(connection.execute(BY_ID, {"id_": existing.id}).one())
