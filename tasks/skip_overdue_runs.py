"""The task that cancels the overdue runs of a schedule that have not started, so that they do not queue up."""

from __future__ import annotations

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

from models.clock import SystemClock
from services.prefect_api.prefect_options import TASK_OPTIONS
from services.runs.idle_runs import SKIPPED
from services.runs.run_listing import RunQuery, list_runs

LATE_START_TOLERANCE_SECONDS = 5.0
"""A run that starts within this time of its scheduled start does not look for overdue runs."""
PAGE_SIZE = 200


@task(**TASK_OPTIONS)
async def skip_overdue_runs() -> int:
    """Set the overdue scheduled runs of this deployment to "Skipped", at most PAGE_SIZE; return how many.

    Returns 0 for a run that starts on time or was not scheduled. Without this, a machine that is too slow for its
    schedules, or was off for a while, would spend its time on scheduled runs that find no work.

    Raises:
        httpx.HTTPError: The Prefect API does not respond.

    """
    now, scheduled_at = SystemClock().now(), flow_run.scheduled_start_time
    if (
        deployment.id is None
        or scheduled_at is None
        or (now - scheduled_at).total_seconds() < LATE_START_TOLERANCE_SECONDS
    ):
        return 0
    async with get_client() as client:
        query = RunQuery(
            FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
                expected_start_time=FlowRunFilterExpectedStartTime(before_=now),
            ),
            FlowRunSort.EXPECTED_START_TIME_ASC,
            PAGE_SIZE,
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[UUID(deployment.id)])),
        )
        overdue = await list_runs(client, query)
        skipped = [run for run in overdue.runs if run.auto_scheduled]
        for run in skipped:
            state: State = Cancelled(name=SKIPPED, message="overdue: another run of this schedule does its work")
            await client.set_flow_run_state(run.id, state)
    return len(skipped)
