"""The flow `provision-pending`: submits the provisionings that wait in ACCEPTED."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.engine.final_state import final_state_for_error
from flows.engine.pool import run_many
from flows.engine.run_context import lease_owner_for_run
from models.errors import AvatarsError
from models.reconciliation import format_counts
from services.context import app_context
from services.pending import acquire_next_pending
from services.prefect_options import FLOW_OPTIONS
from tasks.record_cancellations import record_cancellations
from tasks.skip_overdue_runs import skip_overdue_runs


@flow(name="provision-pending", **FLOW_OPTIONS)
async def provision_pending() -> State:
    """Check and submit requests that were queued (`avatars enqueue`) or could not be sent before.

    The flow ends once they are submitted; `reconcile-avatars` completes them.
    Overlapping runs share the pending provisionings, also across machines.
    """
    owner = lease_owner_for_run("provision-pending")
    try:
        async with app_context() as context:
            await skip_overdue_runs()
            await record_cancellations(owner)  # first: a provisioning cancelled while pending must not be submitted
            started_at = context.clock.now()
            counts_by_status = await run_many(
                lambda: acquire_next_pending(owner, started_at), owner, timeout_seconds=0
            )
    except AvatarsError as error:
        return final_state_for_error(error)
    return Completed(
        message=f"{counts_by_status.total()} pending provisionings processed{format_counts(counts_by_status)}"
    )
