"""JSON views of a provisioning and of a batch, as the command line prints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from models.attempts import list_attempts
from models.provisioning import Provisioning, ProvisioningEvent, Status, Submission
from models.submission_resolution import ResolvedSubmission
from models.text.url_redaction import redact_url

if TYPE_CHECKING:  # its imports would slow `avatars list` down
    from models.batch_record import BatchRecord


def provisioning_summary(provisioning: Provisioning, submissions: Sequence[Submission]) -> dict[str, Any]:
    """Return the summary: JSON-compatible values, times in ISO 8601 UTC, without recording URLs."""
    return {
        "id": provisioning.id,
        "reference": provisioning.reference,
        "name": provisioning.name,
        "kind": provisioning.kind.value,
        "status": provisioning.status.value,
        "avatar_id": provisioning.avatar_id,
        "voice_id": provisioning.voice_id,
        "voice_source": provisioning.voice_source,
        "reasons": [reason.model_dump(mode="json") for reason in provisioning.reasons],
        "submissions": [submission.model_dump(mode="json") for submission in submissions],
        "created_at": to_jsonable_python(provisioning.created_at),
        "updated_at": to_jsonable_python(provisioning.updated_at),
        "flow_run_id": provisioning.flow_run_id,
        "batch_id": provisioning.batch_id,
        "erased_at": to_jsonable_python(provisioning.erased_at),
    }


def provisioning_detail(
    provisioning: Provisioning,
    submissions: Sequence[Submission],
    events: Sequence[ProvisioningEvent],
    resolved: Mapping[str, ResolvedSubmission],
) -> dict[str, Any]:
    """Return the summary with recordings, extras, events, media facts, and each submission's resolution and cause.

    Args:
        provisioning: The provisioning.
        submissions: Its submissions, oldest first.
        events: Its events, oldest first.
        resolved: The resolution of each submission, by submission id.
    """
    summary = provisioning_summary(provisioning, submissions)
    attempts = list_attempts(submissions, events)
    for submission, attempt in zip(summary["submissions"], attempts, strict=True):
        resolution = resolved[submission["id"]]
        submission |= {
            "requested_by": attempt.requested_by,
            "cause": attempt.cause,
            "resolution": resolution.kind,
            "resolution_text": resolution.description,
            "duplicate_avatar_ids": list(resolution.duplicate_avatar_ids),
        }
    return {
        **summary,
        "recordings": shown_recordings(provisioning),
        "extras": dict(provisioning.request.extras),
        "events": [event.model_dump(mode="json") for event in events],
        "media": provisioning.media_facts,
    }


def shown_recordings(provisioning: Provisioning) -> dict[str, str]:
    """Return the address of each recording by role, without its query; none after an erasure."""
    return {role.value: redact_url(url) for role, url in provisioning.request.recordings.items()}


def batch_summary(batch: BatchRecord, counts: Mapping[Status, int]) -> dict[str, Any]:
    """Return a batch with the number of its provisionings per status as JSON-compatible values.

    Args:
        batch: The batch.
        counts: The provisionings that no later batch took.
    """
    return {
        "id": batch.id,
        "manifest": batch.manifest,
        "manifest_sha256": batch.manifest_sha256,
        "started_by": batch.started_by,
        "flow_run_id": batch.flow_run_id,
        "started_at": to_jsonable_python(batch.started_at),
        "ended_at": to_jsonable_python(batch.ended_at),
        "cancelled_at": to_jsonable_python(batch.cancelled_at),
        "rows": batch.row_count,
        "invalid": batch.invalid_count,
        "counts": {status.value: count for status, count in counts.items()},
    }
