"""The evidence of submissions: written with each one, in the same transaction, and never changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, insert, select

from models.evidence import Evidence, InputEvidence
from models.provisioning import Driver, Provisioning
from models.tables import EvidenceRow
from store.database import Database

ADD_EVIDENCE = insert(cast("Table", EvidenceRow.__table__))


def evidence_of(seen: Provisioning, submission_id: str, driver: Driver, at: datetime) -> dict[str, Any]:
    """Return what ADD_EVIDENCE records: what a submission is made of."""
    media: dict[str, Any] = seen.media or {}
    return {
        "provisioning_id": seen.id,
        "submission_id": submission_id,
        "reference": seen.reference,
        "actor": driver.actor,
        "flow_run_id": driver.flow_run_id,
        "dataset": InputEvidence.of(seen.request.dataset_video, media.get("dataset")).model_dump(mode="json"),
        "consent": InputEvidence.of(seen.request.consent_video, media.get("consent")).model_dump(mode="json"),
        "at": at,
    }


async def evidence(database: Database, provisioning_id: str) -> list[Evidence]:
    """Return the evidence of each submission of a provisioning, oldest first. Raises DatabaseError."""
    query = (
        select(EvidenceRow.__table__).where(EvidenceRow.provisioning_id == provisioning_id).order_by(EvidenceRow.id)
    )
    async with database.reading() as connection:
        return [Evidence.model_validate(row) for row in await connection.execute(query)]
