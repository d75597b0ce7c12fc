"""Maps rows of the ledger to domain objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.provisioning import DuplicateAvatar, Provisioning, ProvisioningEvent, Status, Submission, VoiceSource
from models.reason import Reason
from models.request import RequestKind
from models.request_kinds import REQUEST_CLASSES

if TYPE_CHECKING:  # store/sqlite_listing.py works without SQLAlchemy
    from sqlalchemy import Row

_FIELDS = {kind: set(request_class.model_fields) for kind, request_class in REQUEST_CLASSES.items()}
"""Shared by all requests of a kind, because one set per request would need more memory than the request itself."""


def to_provisioning(row: Row[Any]) -> Provisioning:
    """Map a row of `provisionings`. The request was validated when it was written and is not validated again."""
    kind = RequestKind(row.kind)
    return Provisioning(
        id=row.id,
        version=row.version,
        reference=row.reference,
        request=REQUEST_CLASSES[kind].model_construct(_FIELDS[kind], **row.request, reference=row.reference),
        request_fingerprint=row.request_fingerprint,
        status=Status(row.status),
        avatar_id=row.avatar_id,
        raw_status=row.raw_status,
        reasons=[Reason.model_validate(reason) for reason in row.reasons],
        retrain_count=row.retrain_count,
        submission_count=row.submission_count,
        training_started_at=row.training_started_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        flow_run_id=row.flow_run_id,
        avatar_snapshot=row.avatar_snapshot,
        media_facts=row.media_facts,
        lease_owner=row.lease_owner,
        not_found_since=row.not_found_since,
        batch_id=row.batch_id,
        voice_id=row.voice_id,
        voice_source=VoiceSource(row.voice_source) if row.voice_source else None,
        voice_due_at=row.voice_due_at,
        erased_at=row.erased_at,
    )


def to_submission(row: Row[Any]) -> Submission:
    """Map a row of `submissions`."""
    return Submission.model_validate(row)


def to_duplicate(row: Row[Any]) -> DuplicateAvatar:
    """Map a row of `duplicates`."""
    return DuplicateAvatar.model_validate(row)


def to_event(row: Row[Any]) -> ProvisioningEvent:
    """Map a row of `events`."""
    return ProvisioningEvent.model_validate(row)
