"""Ends the runs that lost their process after their provisioning had reached its outcome.

Reconciliation advances provisionings in flight only, so it would never look at such a run again. The run would stay
Crashed or Running although its avatar is ready.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from models.clock import SystemClock
from models.errors import InvalidRequest, UnknownProvisioning
from models.provisioning import Provisioning
from models.request_kinds import parse_fields
from models.run_ownership import FLOWS_WITH_ONE_PROVISIONING
from services.context import AppContext, app_context
from services.outcome_states import final_state_for
from services.run_listing import RunQuery, list_runs
from services.run_log import log_to_run

LOOKBACK = timedelta(days=2)
"""Runs that started earlier are left as they are."""
PAGE_SIZE = 200
REPORT_GRACE = timedelta(minutes=5)
"""A live process ends its run within this time after the outcome of its provisioning, or after its own start."""
LOST_STATES = (StateType.CRASHED, StateType.RUNNING, StateType.PENDING)


async def end_lost_runs() -> int:
    """Give the newest crashed and running runs the final state of their provisioning's outcome; return how many.

    Raises:
        DatabaseError: The ledger cannot be read.
        httpx.HTTPError: The Prefect API does not respond.

    """
    query = RunQuery(
        FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(LOST_STATES))),
            start_time=FlowRunFilterStartTime(after_=SystemClock().now() - LOOKBACK),
        ),
        FlowRunSort.START_TIME_DESC,
        PAGE_SIZE,
        flow_filter=FlowFilter(name=FlowFilterName(any_=list(FLOWS_WITH_ONE_PROVISIONING))),
    )
    count = 0
    async with get_client() as client, app_context() as context:
        for run in (await list_runs(client, query)).runs:
            provisioning = await _find_provisioning(context, run)
            if provisioning is None or not _has_ended(run, provisioning):
                continue
            try:
                await client.set_flow_run_state(run.id, final_state_for(provisioning), force=True)
            except (PrefectHTTPStatusError, ObjectNotFound) as error:
                log_to_run("run %s was not ended: %s", run.id, error)
                continue
            log_to_run("run %s ended as its provisioning %s did: its process is gone", run.id, provisioning.id)
            count += 1
    return count


def _has_ended(run: FlowRun, provisioning: Provisioning) -> bool:
    """Whether the provisioning of this run is terminal, and no live process will report it."""
    if not provisioning.status.is_terminal or provisioning.flow_run_id != str(run.id):
        return False
    if run.state_type is StateType.CRASHED:
        return True
    # A run that was retried or resumed starts after the outcome, and may be about to open the provisioning again.
    started_at = run.state.timestamp if run.state is not None else provisioning.updated_at
    return SystemClock().now() - max(provisioning.updated_at, started_at) > REPORT_GRACE


async def _find_provisioning(context: AppContext, run: FlowRun) -> Provisioning | None:
    """Return the provisioning that the parameters of a run name."""
    try:
        return await context.ledger.get(_key(run.parameters) or str(run.id))
    except (
        UnknownProvisioning,
        InvalidRequest,
    ):  # it crashed before it recorded anything, or has other parameters
        return None


def _key(parameters: dict[str, Any]) -> str | None:
    if "request" in parameters:
        return parse_fields(parameters["request"]).reference
    key = parameters.get("provisioning_id")
    return key if isinstance(key, str) else None
