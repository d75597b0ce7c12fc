"""The flow `provision-pending`: submits what waits in ACCEPTED."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.drive_many import drive_many, told
from flows.final_state import state_of_error
from flows.run_facts import driver
from models.errors import AvatarsError
from tasks.claim_pending import claim_pending
from tasks.options import FLOW
from tasks.record_cancellations import record_cancellations
from tasks.runtime import runtime
from tasks.skip_overdue import skip_overdue


@flow(name="provision-pending", **FLOW)
async def provision_pending() -> State:
    """Check and submit what was queued (`avatars enqueue`) or could not be sent; reconcile sees it through.

    Runs that overlap, on any number of machines, share what waits.
    """
    me = driver("provision-pending")
    try:
        async with runtime() as active:
            await skip_overdue()
            await record_cancellations(me)  # what was cancelled before its create must not be created
            began = active.clock.now()
            stand = await drive_many(lambda: claim_pending(me, began), me, patience_seconds=0)
    except AvatarsError as error:
        return state_of_error(error)
    return Completed(message=f"{stand.total()} waited{told(stand)}")
