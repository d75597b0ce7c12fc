"""Quarantines the recordings of a refused avatar that is not the result of its provisioning.

For example, the avatar of a cancelled provisioning, a duplicate, or that of a request with other recordings.
"""

from __future__ import annotations

from models.provisioning import Provisioning
from services.context import AppContext
from store.evidence import list_evidence


async def quarantine_submission(context: AppContext, provisioning: Provisioning, submission_id: str) -> None:
    """Quarantine the recordings of a submission, as its evidence identifies them; no-op if they were before.

    The request of the provisioning may be another one since, so that the evidence counts, which stays after an
    erasure, too.

    Raises:
        DatabaseError: The ledger cannot be read or written.

    """
    for evidence in await list_evidence(context.ledger.database, provisioning.id):
        if evidence.submission_id == submission_id:
            await context.quarantine.add_submitted(provisioning, evidence)
