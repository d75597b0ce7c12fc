"""The evidence of submissions: inserted in the transaction that records the submission, never changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, insert, select

from models.evidence import Evidence, InputEvidence
from models.media.rules import MediaRole
from models.provisioning import LeaseOwner, Provisioning
from models.tables import evidence_table
from store.database import Database

INSERT_EVIDENCE = insert(evidence_table)


def evidence_values(
    provisioning: Provisioning, submission_id: str, owner: LeaseOwner, recorded_at: datetime
) -> dict[str, Any]:
    """Return the values of INSERT_EVIDENCE: what is known about the recordings of a submission."""
    media: dict[str, Any] = provisioning.media_facts or {}
    recordings = {
        role: InputEvidence.from_facts(url, media.get(role)).model_dump(mode="json")
        for role, url in provisioning.request.recordings.items()
    }
    return {
        "provisioning_id": provisioning.id,
        "submission_id": submission_id,
        "reference": provisioning.reference,
        "actor": owner.actor,
        "flow_run_id": owner.flow_run_id,
        **{role.column: recordings.get(role) for role in MediaRole},
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
        lambda connection: [_to_evidence(row) for row in connection.execute(query).mappings()]
    )


def _to_evidence(row: RowMapping) -> Evidence:
    recordings = {role: row[role.column] for role in MediaRole if row[role.column] is not None}
    return Evidence.model_validate({**row, "recordings": recordings})
