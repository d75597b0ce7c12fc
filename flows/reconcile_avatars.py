"""The flow `reconcile-avatars`: one reconciliation pass over orphaned provisionings and suspended runs."""

from __future__ import annotations

from collections import Counter

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.engine.final_state import final_state_for_error
from flows.engine.pool import acquire_each, run_many
from flows.engine.run_context import lease_owner_for_run
from models.errors import AvatarsError
from models.reconciliation import ReconcileResult
from services.context import app_context
from services.prefect_options import FLOW_OPTIONS
from services.reconciliation import find_orphaned
from services.unknown_avatars import report_undecided
from tasks.record_cancellations import record_cancellations
from tasks.resume_finished_runs import resume_finished_runs
from tasks.resume_suspended_runs import resume_suspended_runs
from tasks.skip_overdue_runs import skip_overdue_runs


@flow(name="reconcile-avatars", **FLOW_OPTIONS)
async def reconcile_avatars() -> State:
    """Resolve unknown submissions, resume runs whose training has ended, and advance orphaned provisionings.

    Level-triggered: each run reads only the ledger and Argil. Missed, repeated or overlapping runs are harmless.

    Returns:
        Completed with a ReconcileResult as its data, or Failed named after the error.

    """
    owner = lease_owner_for_run("reconcile-avatars")
    try:
        async with app_context() as context:
            await skip_overdue_runs()
            cancelled = await record_cancellations(owner)
            resumed, counts_by_status = 0, Counter[str]()
            async for provisionings in find_orphaned(owner):
                without_run = await resume_suspended_runs(provisionings) if provisionings else []
                resumed += len(provisionings) - len(without_run)
                counts_by_status += await run_many(acquire_each(without_run, owner), owner, timeout_seconds=0)
            resumed += await resume_finished_runs()
            unknown = await report_undecided(context.unknown_avatars)
    except AvatarsError as error:
        return final_state_for_error(error)
    result = ReconcileResult(resumed, counts_by_status.total(), cancelled, dict(counts_by_status), unknown)
    return Completed(message=result.summary, data=result)
