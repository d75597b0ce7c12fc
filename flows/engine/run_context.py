"""Identifies the current flow run as a lease owner."""

from __future__ import annotations

import uuid

from prefect.runtime import flow_run

from models.provisioning import LeaseOwner


def lease_owner_for_run(actor: str) -> LeaseOwner:
    """Return a new lease owner for this attempt of the current flow run; a retried run is another owner.

    Args:
        actor: The name of the flow; the events in the ledger show it.

    """
    return LeaseOwner(actor=actor, id=str(uuid.uuid4()), flow_run_id=flow_run.id)
