"""The flow `provision-pending`: submits the provisionings that wait in ACCEPTED."""

from __future__ import annotations

from collections import Counter

from prefect import flow
from prefect.client.schemas.objects import State

from flows.engine.final_state import final_state_for_error, final_state_for_tick
from flows.engine.pool import run_many
from flows.engine.run_context import lease_owner_for_run
from models.errors import AvatarsError
from models.provisioning import LeaseOwner
from models.reconciliation import format_counts
from services.context import AppContext, app_context
from services.pending import PendingProvisionings
from services.prefect_api.prefect_options import FLOW_OPTIONS
from services.runs.housekeeping import keep_house
from services.runs.idle_runs import deleting_old_runs
from services.ticks import BUDGET_SHARE, Tick
from tasks.record_cancellations import record_cancellations
from tasks.skip_overdue_runs import skip_overdue_runs

NAME = "provision-pending"


@flow(name=NAME, **FLOW_OPTIONS)
async def provision_pending() -> State:
    """Check and submit requests that were queued (`avatars enqueue`) or could not be sent before.

    The flow ends once they are submitted; `reconcile-avatars` completes them. Runs on several workers share the
    requests. After AVATARS_PENDING_INTERVAL_SECONDS, the rest is left to the next run. While Argil does not answer,
    nothing is submitted.
    """
    owner = lease_owner_for_run(NAME)
    async with deleting_old_runs():
        try:
            async with app_context() as context:
                # A tick that finds nothing leaves no task runs.
                await keep_house(skip_overdue_runs.fn, "overdue runs were not skipped")
                tick = Tick(context.clock, BUDGET_SHARE * context.settings.avatars_pending_interval_seconds)
                counts_by_status, cancelled = await _provision(context, owner, tick)
        except AvatarsError as error:
            return final_state_for_error(error)
        message = f"{counts_by_status.total()} pending provisionings processed{format_counts(counts_by_status)}"
        if tick.note:
            message = f"{message}; {tick.note}"
        has_news = bool(counts_by_status or cancelled or tick.has_news)
        return final_state_for_tick(message, has_news=has_news)


async def _provision(context: AppContext, owner: LeaseOwner, tick: Tick) -> tuple[Counter[str], int]:
    """Return the provisionings by the status they reached, and how many were cancelled."""
    # First: a provisioning that was cancelled while pending must not be submitted.
    cancelled = await record_cancellations.fn(owner)
    tick.start_budget()
    pending = PendingProvisionings(context, owner, tick)
    counts = await run_many(pending.acquire_next, owner, timeout_seconds=0, on_error=pending.outage.doubt)
    return counts, cancelled
