"""The flow `reconcile-avatars`: one reconciliation pass over orphaned provisionings and suspended runs."""

from __future__ import annotations

from collections import Counter

from prefect import flow
from prefect.client.schemas.objects import State

from flows.engine.final_state import final_state_for_error, final_state_for_tick
from flows.engine.pool import acquire_each, run_many
from flows.engine.run_context import lease_owner_for_run
from flows.engine.voice_announcement import announce_voices
from models.errors import AvatarsError, TickRunning
from models.provisioning import LeaseOwner
from models.reconciliation import ReconcileResult
from models.text.plural import counted
from services.account.argil_outages import OutageCheck
from services.account.unknown_avatars import report_undecided
from services.context import AppContext, app_context
from services.prefect_api.prefect_options import FLOW_OPTIONS
from services.reconciliation import find_orphaned
from services.recordings.uploads import delete_finished_uploads
from services.run_log import log_to_run
from services.runs.ended_runs import end_lost_runs
from services.runs.housekeeping import keep_house
from services.runs.idle_runs import deleting_old_runs
from services.ticks import Tick, exclusive_tick
from tasks.find_voices import find_voices
from tasks.record_cancellations import record_cancellations
from tasks.resume_finished_runs import resume_finished_runs
from tasks.resume_suspended_runs import resume_suspended_runs
from tasks.skip_overdue_runs import skip_overdue_runs

NAME = "reconcile-avatars"


@flow(name=NAME, **FLOW_OPTIONS)
async def reconcile_avatars() -> State:
    """Resolve unknown submissions, resume runs whose training has ended, and advance orphaned provisionings.

    Level-triggered: each run reads only the ledger and Argil, so a missed run is harmless. Only one run at a time
    works on a ledger; another one ends at once. After AVATARS_RECONCILE_INTERVAL_SECONDS, the rest of the ledger is
    left to the next run.

    Returns:
        Completed with a ReconcileResult as its data, named Idle if nothing changed; or Failed, named after the
        error.

    """
    owner = lease_owner_for_run(NAME)
    async with deleting_old_runs():
        try:
            async with app_context() as context:
                # A tick that finds nothing leaves no task runs.
                await keep_house(skip_overdue_runs.fn, "overdue runs were not skipped")
                interval = context.settings.avatars_reconcile_interval_seconds
                async with exclusive_tick(context, NAME, owner, interval) as tick:
                    result = await _reconcile(context, owner, tick)
        except TickRunning as error:
            return final_state_for_tick(error.message, has_news=False, data=ReconcileResult(note=error.message))
        except AvatarsError as error:
            return final_state_for_error(error)
        return final_state_for_tick(result.summary, has_news=result.has_changes or tick.has_news, data=result)


async def _reconcile(context: AppContext, owner: LeaseOwner, tick: Tick) -> ReconcileResult:
    cancelled = await record_cancellations.fn(owner)
    resumed, counts_by_status = await advance_orphaned(context, owner, tick)
    resumed += await resume_finished_runs.fn()
    resumed += await keep_house(end_lost_runs, "runs without a process were not ended")
    if deleted := await delete_finished_uploads(context.uploads, context.settings):
        log_to_run("%s deleted, no longer needed", counted(deleted, "upload"))
    voices = await announce_voices(await find_voices.fn(owner))
    unknown = await report_undecided(context.unknown_avatars)
    return ReconcileResult(
        resumed, counts_by_status.total(), cancelled, dict(counts_by_status), tick.note, unknown, voices
    )


async def advance_orphaned(context: AppContext, owner: LeaseOwner, tick: Tick) -> tuple[int, Counter[str]]:
    """Resume the runs of orphaned provisionings, and advance those without a run until Argil stops answering.

    Returns:
        The number of resumed runs, and the advanced provisionings by the status they reached.
    """
    resumed, counts_by_status = 0, Counter[str]()
    outage = OutageCheck(context, tick, has_answered=True)  # `find_orphaned` yields nothing otherwise
    async for provisionings in find_orphaned(owner, tick):
        without_run = await resume_suspended_runs(provisionings) if provisionings else []
        resumed += len(provisionings) - len(without_run)
        counts_by_status += await run_many(
            acquire_each(without_run, owner, outage.is_answering), owner, timeout_seconds=0, on_error=outage.doubt
        )
        await outage.is_answering()  # the tick ends here if the last errors were those of an outage
    return resumed, counts_by_status
