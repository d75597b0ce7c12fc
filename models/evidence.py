"""Evidence of what was submitted: facts for an auditor, without what names a person.

A recording is named by the SHA-256 of its URL without the query: who has the URL can show that it was this one, and
forgetting a person leaves the evidence as it was written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from models.provisioning import Provisioning, Submission
from models.request import input_identity


class InputEvidence(BaseModel):
    """What is known of a recording at its submission; None where it was not read, or its host does not say.

    `sha256` is that of the file, of the consent video alone; `facts` are those of the media check.
    """

    model_config = ConfigDict(frozen=True)

    identity_sha256: str
    etag: str | None
    size_bytes: int | None
    sha256: str | None
    facts: dict[str, Any] | None

    @classmethod
    def of(cls, url: str, facts: Mapping[str, Any] | None) -> InputEvidence:
        """Return the evidence of the recording behind a URL."""
        known = dict(facts or {})
        return cls(
            identity_sha256=hashlib.sha256(input_identity(url).encode()).hexdigest(),
            etag=known.get("etag"),
            size_bytes=known.get("size_bytes"),
            sha256=known.get("sha256"),
            facts=known or None,
        )


class Evidence(BaseModel):
    """One submission: when, at whose instance, with which recordings."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    submission_id: str
    reference: str
    actor: str
    flow_run_id: str | None
    at: datetime
    dataset: InputEvidence
    consent: InputEvidence


def evidence_document(
    provisioning: Provisioning, submissions: Sequence[Submission], evidence: Sequence[Evidence]
) -> dict[str, Any]:
    """Return everything an auditor is to have of a provisioning: JSON values only, URLs without their queries.

    `identity` is the URL, None once the person was forgotten: its digest stays.
    """
    request = provisioning.request
    urls = {"dataset": request.dataset_video, "consent": request.consent_video}
    known = {submission.id: submission for submission in submissions}
    forgotten = provisioning.forgotten_at
    records = []
    for one in evidence:
        record = one.model_dump(mode="json")
        for role, url in urls.items():
            record[role] = {"identity": None if forgotten else input_identity(url), **record[role]}
        submission = known[one.submission_id]
        records.append({**record, "state": submission.state.value, "avatar_id": submission.avatar_id})
    return {
        "id": provisioning.id,
        "reference": provisioning.reference,
        "name": None if forgotten else provisioning.name,
        "status": provisioning.status.value,
        "avatar_id": provisioning.avatar_id,
        "forgotten_at": forgotten.isoformat() if forgotten else None,
        "evidence": records,
    }
