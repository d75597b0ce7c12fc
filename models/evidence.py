"""Evidence of what was submitted: facts for an auditor, without personal data.

A recording is identified by the SHA-256 of its canonical form (models/recordings/identity.py). The holder of the
URL can prove that it is the same recording, and an erasure leaves the evidence unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from models.media.rules import MediaRole
from models.provisioning import Provisioning, Submission
from models.recordings.canonical_form import shown_form
from models.recordings.identity import identity_digest
from models.release import Release


class InputEvidence(BaseModel):
    """The facts about a recording at its submission; None if it was not read or its host does not report them.

    `sha256` is the digest of the file, computed for the consent video and the image only. `facts` are those of the
    media check.
    """

    model_config = ConfigDict(frozen=True)

    identity_sha256: str
    etag: str | None
    size_bytes: int | None
    sha256: str | None
    facts: dict[str, Any] | None

    @classmethod
    def from_facts(cls, url: str, facts: Mapping[str, Any] | None) -> InputEvidence:
        """Return the evidence for the recording at a URL."""
        known = dict(facts or {})
        return cls(
            identity_sha256=identity_digest(url),
            etag=known.get("etag"),
            size_bytes=known.get("size_bytes"),
            sha256=known.get("sha256"),
            facts=known or None,
        )


class Evidence(BaseModel):
    """The evidence for one submission: its time, its actor and its recordings."""

    model_config = ConfigDict(frozen=True)

    submission_id: str
    reference: str
    actor: str
    flow_run_id: str | None
    recorded_at: datetime
    recordings: dict[MediaRole, InputEvidence]
    """The recordings of the request, by role."""


def evidence_report(
    provisioning: Provisioning,
    submissions: Sequence[Submission],
    evidence: Sequence[Evidence],
    releases: Sequence[Release] = (),
) -> dict[str, Any]:
    """Return the evidence of a provisioning as JSON-compatible values.

    `identity` is the canonical form of a recording without its query. It is None after an erasure; its digest
    remains.
    """
    urls = provisioning.request.recordings
    submissions_by_id = {submission.id: submission for submission in submissions}
    erased_at = provisioning.erased_at
    records = []
    for submission_evidence in evidence:
        record = submission_evidence.model_dump(mode="json", exclude={"recordings"})
        for role, recording in submission_evidence.recordings.items():
            url = None if erased_at else urls.get(role)
            record[role.value] = {"identity": url and shown_form(url), **recording.model_dump(mode="json")}
        submission = submissions_by_id[submission_evidence.submission_id]
        records.append({**record, "state": submission.state.value, "avatar_id": submission.avatar_id})
    return {
        "id": provisioning.id,
        "reference": provisioning.reference,
        "name": None if erased_at else provisioning.name,
        "status": provisioning.status.value,
        "avatar_id": provisioning.avatar_id,
        "erased_at": erased_at.isoformat() if erased_at else None,
        "evidence": records,
        "releases": [release.model_dump(mode="json") for release in releases],
    }
