"""What becomes of a Prefect run whose process is gone."""

from __future__ import annotations

from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import AwaitingRetry, Cancelled, Crashed

MAX_STARTS = 5
"""A run that was started so often and died each time is not started again."""


def state_after_death(run: FlowRun) -> State:
    """Return the state to set: it starts again, from what the ledger tells, if anything would start it.

    A run that was being cancelled is Cancelled; one that no deployment started, or that died MAX_STARTS times, is
    Crashed.
    """
    if run.state_type == StateType.CANCELLING:
        return Cancelled(message="its process was ended")
    if run.deployment_id is None or run.run_count >= MAX_STARTS:
        return Crashed(message=f"its process was ended, for the {run.run_count}th time: reconcile goes on with it")
    return AwaitingRetry(message="its process was ended: it starts again, from what the ledger tells")
