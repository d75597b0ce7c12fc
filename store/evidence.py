"""The evidence of submissions: inserted in the transaction that records the submission, never changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from models.evidence import Evidence, InputEvidence
from models.provisioning import LeaseOwner, Provisioning
from models.tables import evidence_table
from store.database import Database

INSERT_EVIDENCE = insert(evidence_table)


def evidence_values(
    provisioning: Provisioning, submission_id: str, owner: LeaseOwner, recorded_at: datetime
) -> dict[str, Any]:
    """Return the values of INSERT_EVIDENCE: what is known about the recordings of a submission."""
    media: dict[str, Any] = provisioning.media_facts or {}
    return {
        "provisioning_id": provisioning.id,
        "submission_id": submission_id,
        "reference": provisioning.reference,
        "actor": owner.actor,
        "flow_run_id": owner.flow_run_id,
        "dataset": InputEvidence.from_facts(provisioning.request.dataset_video, media.get("dataset")).model_dump(
            mode="json"
        ),
        "consent": InputEvidence.from_facts(provisioning.request.consent_video, media.get("consent")).model_dump(
            mode="json"
        ),
        "recorded_at": recorded_at,
    }


async def list_evidence(database: Database, provisioning_id: str) -> list[Evidence]:
    """Return the evidence of each submission of a provisioning, oldest first. Raises DatabaseError."""
    query = (
        select(evidence_table)
        .where(evidence_table.c.provisioning_id == provisioning_id)
        .order_by(evidence_table.c.id)
    )
    return await database.read(
        lambda connection: [Evidence.model_validate(row) for row in connection.execute(query)]
    )
