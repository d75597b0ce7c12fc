"""Decides the next state of a Prefect run whose process is gone."""

from __future__ import annotations

from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import AwaitingRetry, Cancelled, Crashed

MAX_RUN_ATTEMPTS = 5
"""A run whose process died this many times is not started again."""


def recovery_state(run: FlowRun) -> State:
    """Return the state to set: AwaitingRetry starts the run again, and it continues from the ledger.

    A run that was being cancelled becomes Cancelled. A run without a deployment, which nothing would start, or with
    MAX_RUN_ATTEMPTS attempts becomes Crashed.
    """
    if run.state_type == StateType.CANCELLING:
        return Cancelled(message="the process of this run ended")
    if run.deployment_id is None or run.run_count >= MAX_RUN_ATTEMPTS:
        return Crashed(
            message=f"the process of this run ended in attempt {run.run_count}: reconcile-avatars takes over"
        )
    return AwaitingRetry(message="the process of this run ended: it starts again and continues from the ledger")
