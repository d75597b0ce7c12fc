"""Gives runs the outcome of their provisioning if they lost their process, or failed, after it was reached.

Reconciliation advances provisionings in flight only, so it would never look at such a run again. The run would stay
Crashed or Running although its avatar is ready. It would also stay Failed: Prefect accepts a late report from the
old process of a run that another process took up and completed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from models.clock import SystemClock
from models.errors import InvalidRequest, UnknownProvisioning
from models.outcomes import OUTCOMES
from models.provisioning import Provisioning
from models.request_kinds import parse_fields
from models.run_ownership import FLOWS_WITH_ONE_PROVISIONING
from services.context import AppContext, app_context
from services.run_log import log_to_run
from services.runs.outcome_states import final_state_for
from services.runs.run_listing import RunQuery, list_runs

LOOKBACK = timedelta(days=2)
"""Runs that started earlier are left as they are."""
PAGE_SIZE = 200
MAX_PAGES = 10
"""Pages per tick. Runs that crashed for good fill the newest ones, for example those that recorded nothing."""
REPORT_GRACE = timedelta(minutes=5)
"""A live process ends its run within this time after the outcome of its provisioning, or after its own start."""
LOST_STATES = (StateType.CRASHED, StateType.RUNNING, StateType.PENDING, StateType.FAILED)
_OUTCOME_NAMES = sorted({outcome.state_name for outcome in OUTCOMES.values()})


async def end_lost_runs() -> int:
    """Give crashed, running and failed runs the final state of their provisioning's outcome; return how many.

    Looks at the newest MAX_PAGES * PAGE_SIZE runs.

    Raises:
        DatabaseError: The ledger cannot be read.
        httpx.HTTPError: The Prefect API does not respond.

    """
    query = RunQuery(
        FlowRunFilter(
            state=FlowRunFilterState(
                type=FlowRunFilterStateType(any_=list(LOST_STATES)),
                name=FlowRunFilterStateName(not_any_=_OUTCOME_NAMES),
            ),
            start_time=FlowRunFilterStartTime(after_=SystemClock().now() - LOOKBACK),
        ),
        FlowRunSort.START_TIME_DESC,
        PAGE_SIZE,
        flow_filter=FlowFilter(name=FlowFilterName(any_=list(FLOWS_WITH_ONE_PROVISIONING))),
    )
    count = 0
    async with get_client() as client, app_context() as context:
        for _ in range(MAX_PAGES):
            page = await list_runs(client, query)
            ended = [await _end_if_lost(client, context, run) for run in page.runs].count(True)
            count += ended
            if page.size < query.limit:
                break
            query = replace(query, offset=query.offset + page.size - ended)  # those that ended are not listed again
    return count


async def _end_if_lost(client: PrefectClient, context: AppContext, run: FlowRun) -> bool:
    provisioning = await _find_provisioning(context, run)
    if provisioning is None or not _has_ended(run, provisioning):
        return False
    try:
        await client.set_flow_run_state(run.id, final_state_for(provisioning), force=True)
    except (PrefectHTTPStatusError, ObjectNotFound) as error:
        log_to_run("run %s was not ended: %s", run.id, error)
        return False
    log_to_run("run %s ended as its provisioning %s did: its process is gone", run.id, provisioning.id)
    return True


def _has_ended(run: FlowRun, provisioning: Provisioning) -> bool:
    """Whether the provisioning of this run is terminal, and no live process will report it."""
    if not provisioning.status.is_terminal or provisioning.flow_run_id != str(run.id):
        return False
    if run.state_type is StateType.CRASHED:
        return True
    if run.state_type is StateType.FAILED:  # an earlier error is the result of the run, and it keeps it
        return run.state is not None and run.state.timestamp > provisioning.updated_at
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
    if isinstance(request := parameters.get("request"), dict):
        return parse_fields(request).reference
    key = parameters.get("provisioning_id")
    return key if isinstance(key, str) else None
