"""Reads the facts about a Prefect run, and makes the state of a run that lost its process or cannot start."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import AwaitingRetry, Cancelled, Crashed

from models.clock import SystemClock
from models.run_ownership import NO_DEPLOYMENT, RunAction, RunFacts, RunPhase, decide_action, end_reason

_PHASES = {
    StateType.COMPLETED: RunPhase.ENDED,
    StateType.FAILED: RunPhase.ENDED,
    StateType.CANCELLED: RunPhase.ENDED,
    StateType.CRASHED: RunPhase.CRASHED,
    StateType.PAUSED: RunPhase.SUSPENDED,
    StateType.SCHEDULED: RunPhase.SCHEDULED,
    StateType.PENDING: RunPhase.ACTIVE,
    StateType.RUNNING: RunPhase.ACTIVE,
    StateType.CANCELLING: RunPhase.CANCELLING,
}


def read_facts(
    run: FlowRun, now: datetime, obstacle: str | None, *, has_other_work: bool = False, holds_leases: bool = False
) -> RunFacts | None:
    """Return the facts about a run; None for a run without a state, which no runner or worker starts.

    Args:
        run: The run, as the Prefect API returned it.
        now: The current time.
        obstacle: Why Prefect does not start the run; None if it does.
        has_other_work: Whether the run advances more than one provisioning.
        holds_leases: Whether the run holds a valid lease.

    """
    if (state := run.state) is None:
        return None
    # The scheduled time of the state: `expected_start_time` of a resumed run is the time of its first start.
    scheduled_at = state.state_details.scheduled_time or state.timestamp
    return RunFacts(
        phase=_PHASES[state.type],
        state_age=now - state.timestamp,
        late_by=now - scheduled_at,
        attempts=run.run_count,
        obstacle=obstacle,
        has_other_work=has_other_work,
        holds_leases=holds_leases,
    )


def recovery_state(run: FlowRun) -> State:
    """Return the state to set on a run whose process is known to be gone.

    A run that was being cancelled becomes Cancelled. A run without a deployment, or with MAX_RUN_ATTEMPTS attempts,
    becomes Crashed. Any other is scheduled again.
    """
    facts = read_facts(run, SystemClock().now(), None if run.deployment_id else NO_DEPLOYMENT)
    if facts is None or decide_action(replace(facts, state_age=timedelta.max)) is RunAction.RESTART:
        return restart_state()
    return end_state(facts)


def restart_state() -> State:
    """Return AwaitingRetry: the run starts again and continues from the ledger."""
    return AwaitingRetry(message="the process of this run ended: it starts again and continues from the ledger")


def end_state(run: RunFacts) -> State:
    """Return the final state of a run that stops before its provisioning has an outcome."""
    if run.phase is RunPhase.CANCELLING:
        return Cancelled(message="the process of this run ended")
    return Crashed(message=f"{end_reason(run)}; reconcile-avatars takes over")
