"""Cleans up after an earlier embedded stack: reschedules orphaned runs and deletes missed scheduled runs.

Applies to runs of the embedded stack only. Runs of a work pool belong to its workers.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Collection
from datetime import timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from deployments.catalog import TAG
from deployments.embedded.stack import STACK_ID_VARIABLE
from deployments.embedded.stack_lease import StackLease
from models.clock import SystemClock
from services.runs.orphaned_runs import recovery_state
from services.runs.run_listing import RunPage, RunQuery, list_runs

ORPHANED_STATE_TYPES = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING, StateType.CRASHED)
PAGE_SIZE = 200

logger = logging.getLogger("deployments.embedded.orphaned_runs")  # __name__ can be "__main__"


async def reschedule_orphaned_runs() -> int:
    """Reschedule every run that Prefect records as running, pending or crashed.

    Runs that were being cancelled become Cancelled. Runs whose process died MAX_RUN_ATTEMPTS times stay Crashed.
    A run that the Prefect API cannot read or change is logged and skipped.
    Call this only while no process of the stack is alive.

    Returns:
        The number of runs whose state was changed.
    """
    count = 0
    seen: set[UUID] = set()
    async with get_client() as client:
        while True:
            page = await _list_runs(client, *ORPHANED_STATE_TYPES, excluded=seen)
            new = {*(run.id for run in page.runs), *page.unreadable} - seen
            if not new:
                return count
            seen |= new
            for run in page.runs:
                state = recovery_state(run)
                if run.work_pool_name is None and state.type != run.state_type:
                    change = client.set_flow_run_state(run.id, state, force=True)
                    count += await _was_accepted(run, change)


async def delete_missed_runs() -> int:
    """Delete scheduled runs whose start time has passed. The next scheduled run does their work.

    Returns:
        The number of runs deleted.
    """
    missed_before = SystemClock().now() - timedelta(seconds=1)
    count = 0
    async with get_client() as client:
        page = await _list_runs(client, StateType.SCHEDULED)
        for run in page.runs:
            is_missed = run.expected_start_time is not None and run.expected_start_time < missed_before
            if run.work_pool_name is None and run.auto_scheduled and is_missed:
                count += await _was_accepted(run, client.delete_flow_run(run.id))
    return count


async def _was_accepted(run: FlowRun, change: Awaitable[object]) -> bool:
    """Send a change of one run; return False if the API does not accept it, which must not stop the others."""
    try:
        await change
    except (PrefectHTTPStatusError, ObjectNotFound) as error:
        logger.warning("the run %s was not changed: %s", run.id, error)
        return False
    return True


async def _list_runs(client: PrefectClient, *types: StateType, excluded: Collection[UUID] = ()) -> RunPage:
    return await list_runs(
        client,
        RunQuery(
            FlowRunFilter(
                id=FlowRunFilterId(not_any_=list(excluded)) if excluded else None,
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types))),
            ),
            FlowRunSort.START_TIME_DESC,
            PAGE_SIZE,
            deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG])),
        ),
    )


async def _clean_up_after(stack_id: str) -> None:
    """Reschedule the runs of a stack that has ended, and release its lease; do nothing without the lease.

    A stack that was refused, or whose lease another stack has taken, must not touch the runs of the other one.
    """
    async with get_client() as client:
        lease = StackLease(client, stack_id, SystemClock())
        if await lease.is_held():
            await reschedule_orphaned_runs()
            await lease.release()


if __name__ == "__main__":
    asyncio.run(_clean_up_after(os.environ[STACK_ID_VARIABLE]))
