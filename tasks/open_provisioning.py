"""Records a request in the ledger, or attaches to what is there under its reference."""

from __future__ import annotations

import logging

from prefect import task

from models.provisioning import Driver, Provisioning
from models.request import ADVISED_EXTRAS, ProvisioningRequest
from tasks.narrate import narrate
from tasks.options import TASK
from tasks.runtime import runtime


@task(**TASK)
async def open_provisioning(request: ProvisioningRequest, reference: str, driver: Driver) -> Provisioning:
    """Return the provisioning of this reference. Raises ReferenceConflict and DatabaseError."""
    async with runtime() as active:
        provisioning, is_new = await active.ledger.open(request, reference, driver)
    if not is_new:
        narrate("attached to provisioning %s, which is %s", provisioning.id, provisioning.status)
    elif len(request.extras) >= ADVISED_EXTRAS:
        narrate(
            "Argil's prose advises at most %d extras, with ours among them", ADVISED_EXTRAS, level=logging.WARNING
        )
    return provisioning
