"""Decides whether a flow run still owns its provisioning, or whether reconciliation advances it instead.

The rule in one sentence: a run owns its provisioning while Prefect can start it and has had no more than
LATE_AFTER to do so, or while its process is alive and has not left the provisioning for others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

FLOWS_WITH_ONE_PROVISIONING = ("provision-avatar", "provision-image-avatar", "resume-provisioning")
"""Flows whose runs advance one provisioning: such a run has no other work once its provisioning is advanced."""
NO_DEPLOYMENT = "it has no deployment"
DEPLOYMENT_DELETED = "its deployment was deleted"
PERMANENT_OBSTACLES = frozenset({NO_DEPLOYMENT, DEPLOYMENT_DELETED})
"""A run with one of these never starts again. One of a paused deployment or pool starts when it is resumed."""
MAX_RUN_ATTEMPTS = 5
"""A run whose process died this many times is not started again."""
STARTUP_GRACE = timedelta(seconds=30)
"""A live process acquires its lease within this time of the start of its run: the duration of one lease."""
LATE_AFTER = timedelta(minutes=30)
"""How long after its scheduled time a run of a working deployment may start.

A busy runner with a limit of 4 starts about one resumed run per second (300 within 5 minutes), so 1,000 of them
wait for 17 minutes. A run that starts later than this still attaches to its provisioning and reports the outcome.
"""


class RunPhase(StrEnum):
    """The type of a run's Prefect state, as far as the rule distinguishes them."""

    ENDED = "ended"
    """Completed, Failed or Cancelled."""
    CRASHED = "crashed"
    SUSPENDED = "suspended"
    """Suspended or Paused."""
    SCHEDULED = "scheduled"
    """Scheduled, Late, Resuming, AwaitingRetry."""
    ACTIVE = "active"
    """Pending or Running."""
    CANCELLING = "cancelling"


class RunAction(StrEnum):
    """What reconciliation does with the run of a provisioning that has no valid lease."""

    LEAVE = "leave"
    """The run advances the provisioning, or starts soon."""
    RESUME = "resume"
    RESTART = "restart"
    """Its process is gone: schedule the run again."""
    TAKE_OVER = "take over"
    """Reconciliation advances the provisioning and leaves the run alone, usually because it has ended."""
    TAKE_OVER_AND_END = "take over and end"
    """As TAKE_OVER, and the run needs a final state because it would never reach one itself."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The facts about a run that the rule reads.

    Attributes:
        phase: The type of its state.
        state_age: How long it has been in this state.
        late_by: How long ago it was scheduled to start; negative if that lies ahead.
        attempts: How many times it was started.
        obstacle: Why Prefect does not start the run, for example DEPLOYMENT_DELETED; None if it does.
        has_other_work: Whether the run advances further provisionings, as a batch does. It is not ended while it
            may start later: the rows that it has not recorded would be lost.
        holds_leases: Whether it holds a valid lease on another provisioning, which only a live process renews. A
            batch without `wait` has left this one, and goes on with others.
    """

    phase: RunPhase
    state_age: timedelta = timedelta(0)
    late_by: timedelta = timedelta(0)
    attempts: int = 1
    obstacle: str | None = None
    has_other_work: bool = False
    holds_leases: bool = False

    @property
    def may_start_for_other_work(self) -> bool:
        """Whether to leave the run to a later start, although its provisionings are advanced elsewhere."""
        return self.has_other_work and self.obstacle not in PERMANENT_OBSTACLES


def decide_action(run: RunFacts | None) -> RunAction:
    """Return what to do with the run of a provisioning that has no valid lease.

    Args:
        run: The facts about the run; None if the provisioning has no run or the run was deleted.

    """
    if run is None or run.phase is RunPhase.ENDED or (run.phase is RunPhase.ACTIVE and run.holds_leases):
        return RunAction.TAKE_OVER
    take_over = RunAction.TAKE_OVER if run.may_start_for_other_work else RunAction.TAKE_OVER_AND_END
    if run.phase is RunPhase.SUSPENDED:
        return take_over if run.obstacle else RunAction.RESUME
    if run.phase is RunPhase.SCHEDULED:
        return RunAction.LEAVE if run.obstacle is None and run.late_by < LATE_AFTER else take_over
    # A state that lies further ahead than the grace was set before the clock was set back: it is old.
    if run.phase is not RunPhase.CRASHED and -STARTUP_GRACE <= run.state_age < STARTUP_GRACE:
        return RunAction.LEAVE
    can_start = run.obstacle is None or run.may_start_for_other_work
    if run.phase is not RunPhase.CANCELLING and can_start and run.attempts < MAX_RUN_ATTEMPTS:
        return RunAction.RESTART
    return RunAction.TAKE_OVER if run.phase is RunPhase.CRASHED else RunAction.TAKE_OVER_AND_END


def end_reason(run: RunFacts) -> str:
    """Return why a run is ended, as the first clause of its state message."""
    if run.obstacle:
        return f"Prefect does not start this run: {run.obstacle}"
    if run.phase is RunPhase.SCHEDULED:
        return f"this run did not start within {LATE_AFTER.total_seconds() / 60:.0f} minutes of its scheduled time"
    return f"the process of this run ended in attempt {run.attempts}"
