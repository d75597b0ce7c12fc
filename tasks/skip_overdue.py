"""Lets one tick of a schedule stand for all that are overdue: else work waits behind the ticks that piled up."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from prefect import task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.runtime import deployment, flow_run
from prefect.states import Cancelled

from tasks.options import TASK

ON_TIME_SECONDS = 5.0
"""A tick that begins no later than this after it was due has none behind it that matters."""
PAGE = 200


@task(**TASK)
async def skip_overdue() -> int:
    """End this deployment's scheduled runs that are due already and have not begun, in state "Skipped".

    Returns how many, 0 for a run that begins on time or was started by a person. A machine that is too slow for
    its schedules, or was off for a while, then still comes to what the ticks have found. Raises what Prefect's API
    raises.
    """
    now, due = datetime.now(UTC), flow_run.scheduled_start_time
    if deployment.id is None or due is None or (now - due).total_seconds() < ON_TIME_SECONDS:
        return 0
    async with get_client() as client:
        overdue = await client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[UUID(deployment.id)])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
                expected_start_time=FlowRunFilterExpectedStartTime(before_=now),
            ),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=PAGE,
        )
        skipped = [run for run in overdue if run.auto_scheduled]
        for run in skipped:
            state: State = Cancelled(name="Skipped", message="a tick that began late stood for this one, too")
            await client.set_flow_run_state(run.id, state)
    return len(skipped)
