"""`avatars cancel`: stop provisionings at an operator's request."""

from __future__ import annotations

import asyncio
import uuid

from cli.console import print_status
from cli.ledger_actions import run_on_ledger
from cli.options import JsonFlag
from cli.selection import BatchOption, ProvisioningKeys, Selection, StatusOption, select_ids
from models.provisioning import TRANSITIONS, LeaseOwner, Provisioning, Status
from services.cancellation import cancel_provisioning
from services.store import Store

_CANCELLABLE_STATUSES = frozenset(status for status, targets in TRANSITIONS.items() if Status.CANCELLED in targets)


def cancel(
    *provisionings: ProvisioningKeys, status: StatusOption = None, batch: BatchOption = None, json: JsonFlag = False
) -> int:
    """Cancel provisionings; a training that has started at Argil continues.

    Nothing is submitted after this. The next reconciliation sets the flow runs of the provisionings to Cancelled.
    """
    selection = Selection(provisionings, status, batch)
    owner = LeaseOwner(actor="cancel", id=str(uuid.uuid4()))

    async def cancel_one(store: Store, provisioning: Provisioning) -> Provisioning:
        return await cancel_provisioning(store.ledger, provisioning, owner, "a person cancelled it")

    return run_on_ledger(
        asyncio.run(select_ids(selection, _CANCELLABLE_STATUSES)),
        cancel_one,
        is_one=selection.names_one,
        as_json=json,
        on_printed=lambda cancelled: print_status(cancelled.reasons[0].message),
    )
