"""The flow `reconcile-avatars`: brings further what nobody drives."""

from __future__ import annotations

from collections import Counter

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.drive_many import claiming, drive_many, told
from flows.final_state import state_of_error
from flows.run_facts import driver
from models.errors import AvatarsError
from tasks.find_unattended import find_unattended
from tasks.options import FLOW
from tasks.record_cancellations import record_cancellations
from tasks.runtime import runtime
from tasks.skip_overdue import skip_overdue
from tasks.wake_runs import wake_runs, wake_sleepers


@flow(name="reconcile-avatars", **FLOW)
async def reconcile_avatars() -> State:
    """Settle creates without an answer, resume runs whose training has ended, and drive what has no run.

    Level-triggered: it looks at the ledger and at Argil alone, so a tick that was missed, came twice or overlaps
    another does no harm.
    """
    me = driver("reconcile-avatars")
    try:
        async with runtime():
            await skip_overdue()
            cancelled = await record_cancellations(me)
            resumed, stand = 0, Counter[str]()
            async for found in find_unattended(me):
                orphans = await wake_runs(found) if found else []
                resumed += len(found) - len(orphans)
                stand += await drive_many(claiming(orphans, me), me, patience_seconds=0)
            resumed += await wake_sleepers()
    except AvatarsError as error:
        return state_of_error(error)
    return Completed(
        message=f"{resumed} runs resumed; {stand.total()} driven without a run; {cancelled} cancelled{told(stand)}"
    )
