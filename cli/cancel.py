"""`avatars cancel`: stop a provisioning at an operator's request."""

from __future__ import annotations

import asyncio
import uuid

from cli.console import print_json, print_status
from cli.options import JsonFlag, ProvisioningKey
from cli.rendering import print_outcome
from models.clock import SystemClock
from models.errors import StaleVersion
from models.exit_codes import EXIT_OK
from models.json_views import provisioning_summary
from models.provisioning import LeaseOwner, Provisioning, Submission
from models.settings import Settings
from services.cancellation import cancel_provisioning
from services.store import open_store


def cancel(provisioning: ProvisioningKey, /, *, json: JsonFlag = False) -> int:
    """Cancel a provisioning; a training that has started at Argil continues.

    Nothing is submitted after this. The next reconciliation sets the flow run of the provisioning to Cancelled.
    """
    cancelled, submissions = asyncio.run(_cancel(provisioning))
    if json:
        print_json(provisioning_summary(cancelled, submissions))
    else:
        print_outcome(cancelled)
        print_status(cancelled.reasons[0].message)
    return EXIT_OK


async def _cancel(key: str) -> tuple[Provisioning, list[Submission]]:
    owner = LeaseOwner(actor="cancel", id=str(uuid.uuid4()))
    async with open_store(Settings.load(), SystemClock()) as store:
        while True:
            provisioning = await store.ledger.get(key)
            try:
                cancelled = await cancel_provisioning(store.ledger, provisioning, owner, "a person cancelled it")
            except StaleVersion:
                continue  # the lease owner wrote in between: decide again on the current version
            return cancelled, await store.ledger.list_submissions(cancelled.id)
