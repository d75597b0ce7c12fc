"""The flow `provision-pending`: submits what waits in ACCEPTED."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.drive_many import drive_many
from flows.final_state import state_of_error
from flows.run_facts import driver
from models.errors import AvatarsError
from tasks.find_unattended import find_pending
from tasks.options import FLOW
from tasks.record_cancellations import record_cancellations
from tasks.runtime import runtime


@flow(name="provision-pending", **FLOW)
async def provision_pending() -> State:
    """Check and submit what was queued (`avatars enqueue`) or could not be sent; reconcile sees it through."""
    me = driver("provision-pending")
    try:
        async with runtime():
            await record_cancellations(me)  # what was cancelled before its create must not be created
            found = await find_pending()
            told = await drive_many(found, me, patience_seconds=0)
    except AvatarsError as error:
        return state_of_error(error)
    return Completed(message=f"{len(found)} waited{told}")
