"""`avatars cancel`: stop provisionings at an operator's request."""

from __future__ import annotations

import asyncio
import uuid

from cli.console import print_status
from cli.ledger_actions import run_on_ledger
from cli.options import JsonFlag
from cli.selection import BatchOption, ProvisioningKeys, Selection, StatusOption, require_changeable, select_ids
from models.clock import SystemClock
from models.provisioning import TRANSITIONS, LeaseOwner, Provisioning, Status
from models.settings import Settings
from services.cancellation import cancel_provisioning
from services.store import Store, open_store

_CANCELLABLE_STATUSES = frozenset(status for status, targets in TRANSITIONS.items() if Status.CANCELLED in targets)


def cancel(
    *provisionings: ProvisioningKeys, status: StatusOption = None, batch: BatchOption = None, json: JsonFlag = False
) -> int:
    """Cancel provisionings; a training that has started at Argil continues.

    Nothing is submitted after this. The next reconciliation sets the flow runs of the provisionings to Cancelled.
    With `--batch`, rows that have not begun never begin, unless `--status` selects some of the batch.
    """
    selection = Selection(provisionings, status, batch)
    require_changeable(selection, _CANCELLABLE_STATUSES | {Status.CANCELLED}, "cancel")
    owner = LeaseOwner(actor="cancel", id=str(uuid.uuid4()))

    async def cancel_one(store: Store, provisioning: Provisioning) -> Provisioning:
        return await cancel_provisioning(
            store.ledger,
            provisioning,
            owner,
            "a person cancelled it",
            is_released=await store.quarantine.is_released(provisioning),
        )

    selected = asyncio.run(select_ids(selection, _CANCELLABLE_STATUSES))
    if batch is not None:
        asyncio.run(_cancel_batch(batch, is_whole=not status))
        if not status:
            selected = asyncio.run(select_ids(selection, _CANCELLABLE_STATUSES))  # also those recorded since
    return run_on_ledger(
        selected,
        cancel_one,
        is_one=selection.names_one,
        as_json=json,
    )


async def _cancel_batch(key: str, *, is_whole: bool) -> None:
    async with open_store(Settings.load(), SystemClock()) as store:
        batch = await store.batches.get(key)
        if is_whole:
            await store.batches.cancel(batch.id)
    if is_whole:
        print_status(f"batch {batch.id}: no further row begins")
    elif batch.ended_at is None and batch.cancelled_at is None:
        print_status("rows that have not begun still begin: cancel the batch without --status to prevent it")
