"""A provisioning as the JSON document that the command line prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_jsonable_python

from models.provisioning import Event, Provisioning, Submission
from models.resolution import Resolved


def document(provisioning: Provisioning, submissions: Sequence[Submission]) -> dict[str, Any]:
    """Return the document: JSON values only, moments in ISO 8601 UTC, no URL of a recording."""
    return {
        "id": provisioning.id,
        "reference": provisioning.reference,
        "name": provisioning.name,
        "status": provisioning.status.value,
        "avatar_id": provisioning.avatar_id,
        "reasons": [reason.model_dump(mode="json") for reason in provisioning.reasons],
        "submissions": [submission.model_dump(mode="json") for submission in submissions],
        "created_at": to_jsonable_python(provisioning.created_at),
        "updated_at": to_jsonable_python(provisioning.updated_at),
        "flow_run_id": provisioning.flow_run_id,
    }


def full_document(
    provisioning: Provisioning,
    submissions: Sequence[Submission],
    events: Sequence[Event],
    resolved: Mapping[str, Resolved],
) -> dict[str, Any]:
    """Return the document with its history, what became of each create, and what the media check found."""
    told = document(provisioning, submissions)
    for one in told["submissions"]:
        became = resolved[one["id"]]
        one |= {"resolution": became.kind, "resolved": became.told, "duplicates": list(became.duplicates)}
    return {
        **told,
        "events": [event.model_dump(mode="json") for event in events],
        "media": provisioning.media,
    }
