"""What a flow knows of its own run: its driver, and how it is named."""

from __future__ import annotations

import uuid

from prefect.runtime import flow_run

from models.provisioning import Driver


def driver(actor: str) -> Driver:
    """Return the driver of this run and attempt; a retried run is another driver."""
    return Driver(actor=actor, id=str(uuid.uuid4()), flow_run_id=flow_run.id)
