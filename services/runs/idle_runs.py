"""Deletes the runs of a schedule that found nothing to do or failed, except for the newest ones.

Without this, a schedule that runs each minute leaves half a million runs with their states and logs per year.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
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

from services.runs.housekeeping import keep_house
from services.runs.run_listing import RunQuery, list_runs

IDLE = "Idle"
"""The name of the final state of a run that found nothing to do."""
SKIPPED = "Skipped"
"""The name of the final state of an overdue run that never started."""
KEPT_RUNS = 20
"""Idle and skipped runs per deployment that stay, so that the UI shows that the schedule works."""
KEPT_FAILED_RUNS = 100
"""Failed and crashed runs per deployment that stay: a schedule with a lasting cause adds one each minute."""
MAX_DELETED = 50
"""Runs of each kind that are deleted per tick: more than a schedule adds, so an old surplus goes away."""


_IDLE_STATE = FlowRunFilterState(
    name=FlowRunFilterStateName(any_=[IDLE, SKIPPED]),
    type=FlowRunFilterStateType(any_=[StateType.COMPLETED, StateType.CANCELLED]),
)
_FAILED_STATE = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.FAILED, StateType.CRASHED]))


@contextlib.asynccontextmanager
async def deleting_old_runs() -> AsyncIterator[None]:
    """Delete surplus runs of this deployment after the work, also if the work fails.

    A run that is interrupted ends at once. If the Prefect API fails, that is only logged. Does nothing outside of a
    deployment, for example in `avatars reconcile`.
    """
    try:
        yield
    except Exception:
        await _delete_old_runs()
        raise
    await _delete_old_runs()


async def _delete_old_runs() -> None:
    if deployment.id is not None:
        deployment_id = UUID(deployment.id)
        await keep_house(lambda: delete_surplus(deployment_id), "old scheduled runs were not deleted")


async def delete_surplus(deployment_id: UUID) -> int:
    """Delete idle and skipped runs beyond the newest KEPT_RUNS, and failed ones beyond KEPT_FAILED_RUNS.

    Returns:
        The number of deleted runs.

    Raises:
        httpx.HTTPError: The Prefect API does not respond.

    """
    deleted = 0
    async with get_client() as client:
        for state, kept in ((_IDLE_STATE, KEPT_RUNS), (_FAILED_STATE, KEPT_FAILED_RUNS)):
            query = RunQuery(
                FlowRunFilter(state=state),
                FlowRunSort.END_TIME_DESC,
                MAX_DELETED,
                kept,
                deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id])),
            )
            for run in (await list_runs(client, query)).runs:
                with contextlib.suppress(ObjectNotFound, PrefectHTTPStatusError):  # the next tick tries it again
                    await client.delete_flow_run(run.id)
                    deleted += 1
    return deleted
