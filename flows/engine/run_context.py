"""Identifies the current flow run: as a lease owner, and by its name."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from models.provisioning import LeaseOwner, Provisioning
from models.text.escaping import run_name
from models.text.redaction import redact
from services.runs.housekeeping import keep_house


def lease_owner_for_run(actor: str) -> LeaseOwner:
    """Return a new lease owner for this attempt of the current flow run; a retried run is another owner.

    Args:
        actor: The name of the flow; the events in the ledger show it.

    """
    return LeaseOwner(actor=actor, id=str(uuid.uuid4()), flow_run_id=flow_run.id)


def lease_owner_for_batch(actor: str) -> LeaseOwner:
    """Return a new lease owner as above, whose batch is the flow run: its attempts are one batch."""
    owner = lease_owner_for_run(actor)
    return owner.model_copy(update={"batch_id": owner.caller_id})


async def name_run_after(provisioning: Provisioning, verb: str) -> None:
    """Name the current run after the verb and the avatar; its caller only knew an id. A failure is logged.

    Args:
        provisioning: The provisioning that the run is about.
        verb: What the run does.
    """

    async def rename() -> int:
        if flow_run.id is not None:
            async with get_client() as client:
                name = run_name(redact(f"{verb} {provisioning.name}"))
                await client.update_flow_run(UUID(flow_run.id), name=name)
        return 1

    await keep_house(rename, "the run was not renamed")


def run_name_for(verb: str, *, verb_parameter: str = "") -> Callable[[], str]:
    """Return a function that names the current run after the verb and its parameter `provisioning_id`.

    Prefect would put the parameter into the name as it is, and a caller of its API may send any text.

    Args:
        verb: What the flow does.
        verb_parameter: The parameter that holds the verb, if the caller chooses it; `verb` is its default.

    """

    def name_run() -> str:
        parameters = flow_run.parameters
        return run_name(redact(f"{parameters.get(verb_parameter) or verb} {parameters.get('provisioning_id', '')}"))

    return name_run
