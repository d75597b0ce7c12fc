"""Cleans up after an earlier embedded stack: reschedules orphaned runs and deletes missed scheduled runs.

Applies to runs of the embedded stack only. Runs of a work pool belong to its workers.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from deployments.catalog import TAG
from models.clock import SystemClock
from services.orphaned_runs import recovery_state

ORPHANED_STATE_TYPES = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING, StateType.CRASHED)
PAGE_SIZE = 200


async def reschedule_orphaned_runs() -> int:
    """Reschedule every run that Prefect records as running, pending or crashed.

    Runs that were being cancelled become Cancelled. Runs whose process died MAX_RUN_ATTEMPTS times stay Crashed.
    Call this only while no process of the stack is alive.

    Returns:
        The number of runs whose state was changed.
    """
    count = 0
    async with get_client() as client:
        while runs := [
            run
            for run in await _list_runs(client, *ORPHANED_STATE_TYPES)
            if recovery_state(run).type != run.state_type
        ]:
            for run in runs:
                await client.set_flow_run_state(run.id, recovery_state(run), force=True)
                count += 1
    return count


async def delete_missed_runs() -> int:
    """Delete scheduled runs whose start time has passed. The next scheduled run does their work.

    Returns:
        The number of runs deleted.
    """
    missed_before = SystemClock().now() - timedelta(seconds=1)
    count = 0
    async with get_client() as client:
        runs = await _list_runs(client, StateType.SCHEDULED)
        for run in runs:
            if run.auto_scheduled and run.expected_start_time and run.expected_start_time < missed_before:
                await client.delete_flow_run(run.id)
                count += 1
    return count


async def _list_runs(client: PrefectClient, *types: StateType) -> list[FlowRun]:
    runs = await client.read_flow_runs(
        deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))),
        sort=FlowRunSort.START_TIME_DESC,
        limit=PAGE_SIZE,
    )
    return [run for run in runs if run.work_pool_name is None]


if __name__ == "__main__":
    asyncio.run(reschedule_orphaned_runs())
