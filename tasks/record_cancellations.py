"""Records as CANCELLED what people cancelled in Prefect and nobody drives any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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

from models.errors import LedgerConflict
from models.provisioning import Driver
from tasks.cancel import cancel
from tasks.narrate import narrate
from tasks.options import TASK
from tasks.publish_outcome import publish_artifact
from tasks.runtime import runtime

FLOWS = ["provision-avatar", "resume-provisioning"]
"""Runs that drive one provisioning: who cancels one of them means it."""
LOOK_BACK = timedelta(days=1)
PAGE = 200


@task(**TASK)
async def record_cancellations(driver: Driver) -> int:
    """Return how many were recorded. Raises DatabaseError, and what Prefect's API raises.

    Call it before anything is taken up: what was cancelled before its create must not be created.
    """
    async with get_client() as client, runtime() as active:
        run_ids = await _cancelled_runs(client)
        count = 0
        for provisioning in await active.ledger.open_of_runs(run_ids):
            try:
                ended = await cancel(active.ledger, provisioning, driver, "its run was cancelled in Prefect")
            except LedgerConflict:
                narrate("the run of provisioning %s still writes: left to the next tick", provisioning.id)
                continue
            await publish_artifact.fn(ended.id)
            count += 1
    return count


async def _cancelled_runs(client: PrefectClient) -> list[str]:
    """Return the ids of the runs that were cancelled lately, or are being cancelled."""
    since = datetime.now(UTC) - LOOK_BACK
    ids: list[str] = []
    while True:
        page = await client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=FLOWS)),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(
                    type=FlowRunFilterStateType(any_=[StateType.CANCELLED, StateType.CANCELLING])
                )
            ),
            sort=FlowRunSort.END_TIME_DESC,
            limit=PAGE,
            offset=len(ids),
        )
        ids += [str(run.id) for run in page]
        if len(page) < PAGE or (page[-1].end_time is not None and page[-1].end_time < since):
            return ids
