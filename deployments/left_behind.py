"""Runs that a stack left behind: those whose process was ended start again, missed ticks are skipped.

For the runs of the embedded stack alone: those of a work pool belong to its workers.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

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
from tasks.dead_runs import state_after_death

DEAD = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING, StateType.CRASHED)
PAGE = 200


async def take_up_dead_runs() -> int:
    """Set every run that claims to run, or could just say that it was ended, to start again; return how many.

    Call it when no process of the stack lives.
    """
    count = 0
    async with get_client() as client:
        while runs := [run for run in await _runs(client, *DEAD) if state_after_death(run).type != run.state_type]:
            for run in runs:
                await client.set_flow_run_state(run.id, state_after_death(run), force=True)
                count += 1
    return count


async def skip_missed_ticks() -> int:
    """Delete scheduled ticks whose time has passed: the next one does their work. Returns how many."""
    missed_before = datetime.now(UTC) - timedelta(seconds=1)
    count = 0
    async with get_client() as client:
        runs = await _runs(client, StateType.SCHEDULED)
        for run in runs:
            if run.auto_scheduled and run.expected_start_time and run.expected_start_time < missed_before:
                await client.delete_flow_run(run.id)
                count += 1
    return count


async def _runs(client: PrefectClient, *types: StateType) -> list[FlowRun]:
    found = await client.read_flow_runs(
        deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))),
        sort=FlowRunSort.START_TIME_DESC,
        limit=PAGE,
    )
    return [run for run in found if run.work_pool_name is None]


if __name__ == "__main__":
    asyncio.run(take_up_dead_runs())
