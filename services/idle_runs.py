"""Deletes the runs of a schedule that found nothing to do, except for the newest ones.

Without this, a schedule that runs each minute leaves half a million runs with their states and logs per year.
"""

from __future__ import annotations

import contextlib
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.runtime import deployment

from services.run_listing import RunQuery, list_runs

IDLE = "Idle"
"""The name of the final state of a run that found nothing to do."""
SKIPPED = "Skipped"
"""The name of the final state of an overdue run that never started."""
KEPT_RUNS = 20
"""Idle and skipped runs per deployment that stay, so that the UI shows that the schedule works."""
MAX_DELETED = 50
"""Runs that are deleted per tick: more than a schedule adds between two ticks, so an old surplus goes away."""


async def delete_idle_runs() -> int:
    """Delete the idle and skipped runs of this deployment beyond the newest KEPT_RUNS; return how many.

    Returns 0 outside of a deployment, for example in `avatars reconcile`.

    Raises:
        httpx.HTTPError: The Prefect API does not respond.

    """
    if deployment.id is None:
        return 0
    deleted = 0
    async with get_client() as client:
        state = FlowRunFilterState(
            name=FlowRunFilterStateName(any_=[IDLE, SKIPPED]),
            type=FlowRunFilterStateType(any_=[StateType.COMPLETED, StateType.CANCELLED]),
        )
        query = RunQuery(
            FlowRunFilter(state=state),
            FlowRunSort.END_TIME_DESC,
            MAX_DELETED,
            KEPT_RUNS,
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[UUID(deployment.id)])),
        )
        for run in (await list_runs(client, query)).runs:
            with contextlib.suppress(ObjectNotFound, PrefectHTTPStatusError):  # the next tick tries it again
                await client.delete_flow_run(run.id)
                deleted += 1
    return deleted
