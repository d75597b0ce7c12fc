"""Lists the scheduled runs of a runner's deployments, although the Prefect API cannot return some of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterId,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import PrefectHTTPStatusError

from services.run_log import log_to_run
from services.runs.run_listing import RunQuery, is_unreadable, list_runs

PAGE_SIZE = 200
RECHECK_SECONDS = 600.0
"""How long a runner leaves out a run that could not be returned. Each check takes the server several seconds."""

ReadScheduled = Callable[[PrefectClient, list[UUID], datetime], Awaitable[list[FlowRun]]]
"""Prefect's own request: the client, ids of deployments, and the latest time for which a run is scheduled."""


class ScheduledRuns:
    """Reads scheduled runs as Prefect does until a run cannot be returned; then lists them without that run."""

    def __init__(self, read: ReadScheduled, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._monotonic = monotonic
        self._unreadable: dict[UUID, float] = {}  # the time until which each run is left out

    async def poll(
        self, client: PrefectClient, deployment_ids: list[UUID], scheduled_before: datetime
    ) -> list[FlowRun]:
        """Return the runs of the deployments that are scheduled before a time; none if the server is broken.

        Raises:
            httpx.HTTPError: The Prefect API does not respond.
            PrefectHTTPStatusError: It responds with an error other than 500.
        """
        now = self._monotonic()
        self._unreadable = {run_id: until for run_id, until in self._unreadable.items() if until > now}
        try:
            if not self._unreadable:
                return await self._read(client, deployment_ids, scheduled_before)
            # This request returns nothing, but the server notes that the deployments have a runner.
            await self._read(client, deployment_ids, datetime.fromtimestamp(0, UTC))
        except PrefectHTTPStatusError as error:
            if not is_unreadable(error):
                raise
        try:
            page = await list_runs(client, _query(deployment_ids, scheduled_before, self._unreadable))
        except PrefectHTTPStatusError as error:
            if not is_unreadable(error):
                raise
            log_to_run("the Prefect API cannot list scheduled runs: %s", error, level=logging.ERROR)
            return []
        self._unreadable |= dict.fromkeys(page.unreadable, self._monotonic() + RECHECK_SECONDS)
        return page.runs


def _query(deployment_ids: list[UUID], scheduled_before: datetime, excluded: Collection[UUID]) -> RunQuery:
    """Return the query of Prefect's own request, without the excluded runs."""
    return RunQuery(
        FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=deployment_ids),
            id=FlowRunFilterId(not_any_=list(excluded)) if excluded else None,
            next_scheduled_start_time=FlowRunFilterNextScheduledStartTime(before_=scheduled_before),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        ),
        FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC,
        PAGE_SIZE,
    )
