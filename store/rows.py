"""Turns rows of the ledger into what the rest of the project reads."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from models.provisioning import Duplicate, Event, Provisioning, Status, Submission
from models.reason import Reason
from models.request import ProvisioningRequest

_FIELDS = set(ProvisioningRequest.model_fields)
"""One set for all: each would have its own otherwise, larger than what it holds."""


def provisioning(row: Row[Any]) -> Provisioning:
    """Read a row of `provisionings`. What was checked when it was written is not checked again."""
    return Provisioning(
        id=row.id,
        version=row.version,
        reference=row.reference,
        request=ProvisioningRequest.model_construct(_FIELDS, **row.request, reference=row.reference),
        status=Status(row.status),
        avatar_id=row.avatar_id,
        raw_status=row.raw_status,
        reasons=[Reason.model_validate(reason) for reason in row.reasons],
        retrains=row.retrains,
        submissions=row.submissions,
        training_since=row.training_since,
        created_at=row.created_at,
        updated_at=row.updated_at,
        flow_run_id=row.flow_run_id,
        avatar=row.avatar,
        media=row.media,
        lease_owner=row.lease_owner,
        forgotten_at=row.forgotten_at,
    )


def submission(row: Row[Any]) -> Submission:
    """Read a row of `submissions`."""
    return Submission.model_validate(row)


def duplicate(row: Row[Any]) -> Duplicate:
    """Read a row of `duplicates`."""
    return Duplicate.model_validate(row)


def event(row: Row[Any]) -> Event:
    """Read a row of `events`."""
    return Event.model_validate(row)
