"""The task that records as CANCELLED the provisionings whose runs were cancelled in Prefect."""

from __future__ import annotations

from datetime import timedelta

from prefect import task
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort

from models.clock import SystemClock
from models.errors import ConcurrencyError
from models.provisioning import LeaseOwner
from models.run_ownership import FLOWS_WITH_ONE_PROVISIONING
from services.cancellation import cancel_provisioning
from services.context import app_context
from services.prefect_api.prefect_options import TASK_OPTIONS
from services.run_log import log_to_run
from services.runs.run_listing import RunQuery, list_runs
from tasks.publish_artifact import publish_artifact

LOOKBACK_WINDOW = timedelta(days=1)
PAGE_SIZE = 200


@task(**TASK_OPTIONS)
async def record_cancellations(owner: LeaseOwner) -> int:
    """Record cancelled runs in the ledger and return how many.

    Call it before pending provisionings are acquired: one that was cancelled must not be submitted afterwards.

    Raises:
        DatabaseError: The ledger cannot be read or written.
        httpx.HTTPError: The Prefect API does not respond.

    """
    async with get_client() as client, app_context() as context:
        run_ids = await _list_cancelled_runs(client)
        count = 0
        for provisioning in await context.ledger.find_open_by_flow_run_ids(run_ids):
            try:
                cancelled = await cancel_provisioning(
                    context.ledger, provisioning, owner, "its run was cancelled in Prefect"
                )
            except ConcurrencyError:
                log_to_run(
                    "the run of provisioning %s is still writing: left to the next scheduled run", provisioning.id
                )
                continue
            await publish_artifact.fn(cancelled.id)
            count += 1
    return count


async def _list_cancelled_runs(client: PrefectClient) -> list[str]:
    """Return the ids of the runs that are being cancelled or were cancelled within LOOKBACK_WINDOW."""
    since = SystemClock().now() - LOOKBACK_WINDOW
    run_ids: list[str] = []
    offset = 0
    while True:
        query = RunQuery(
            FlowRunFilter(
                state=FlowRunFilterState(
                    type=FlowRunFilterStateType(any_=[StateType.CANCELLED, StateType.CANCELLING])
                )
            ),
            FlowRunSort.END_TIME_DESC,
            PAGE_SIZE,
            offset,
            # Cancelling a run with one provisioning means cancelling that provisioning.
            flow_filter=FlowFilter(name=FlowFilterName(any_=list(FLOWS_WITH_ONE_PROVISIONING))),
        )
        page = await list_runs(client, query)
        # A run that the API cannot return was cancelled, too: the server selected it by its state.
        run_ids += [*(str(run.id) for run in page.runs), *map(str, page.unreadable)]
        offset += page.size
        end_times = [run.end_time for run in page.runs if run.end_time is not None]
        if page.size < PAGE_SIZE or (end_times and min(end_times) < since):
            return run_ids
