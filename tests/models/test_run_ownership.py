"""Which runs own their provisionings: the table of the rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from models.lease_duration import LEASE_DURATION
from models.run_ownership import DEPLOYMENT_DELETED as DELETED
from models.run_ownership import (
    LATE_AFTER,
    MAX_RUN_ATTEMPTS,
    STARTUP_GRACE,
    RunAction,
    RunFacts,
    RunPhase,
    decide_action,
    end_reason,
)

SECOND = timedelta(seconds=1)
PAUSED = "its work pool 'p' is paused"
ENDED, CRASHED, SUSPENDED = RunPhase.ENDED, RunPhase.CRASHED, RunPhase.SUSPENDED
SCHEDULED, ACTIVE, CANCELLING = RunPhase.SCHEDULED, RunPhase.ACTIVE, RunPhase.CANCELLING
LEAVE, RESUME, RESTART = RunAction.LEAVE, RunAction.RESUME, RunAction.RESTART
TAKE_OVER, END = RunAction.TAKE_OVER, RunAction.TAKE_OVER_AND_END


def late(by: timedelta, obstacle: str | None = None) -> RunFacts:
    return RunFacts(SCHEDULED, late_by=by, obstacle=obstacle)


def aged(phase: RunPhase, age: timedelta, attempts: int = 1, obstacle: str | None = None) -> RunFacts:
    return RunFacts(phase, state_age=age, attempts=attempts, obstacle=obstacle)


@pytest.mark.parametrize(
    ("run", "action"),
    [
        (None, TAKE_OVER),
        (RunFacts(ENDED), TAKE_OVER),
        (RunFacts(ENDED, obstacle=DELETED), TAKE_OVER),
        (RunFacts(SUSPENDED), RESUME),
        (RunFacts(SUSPENDED, state_age=timedelta(days=9), attempts=MAX_RUN_ATTEMPTS), RESUME),
        (RunFacts(SUSPENDED, obstacle=DELETED), END),
        (late(timedelta(0)), LEAVE),
        (late(-timedelta(days=1)), LEAVE),
        (late(LATE_AFTER - SECOND), LEAVE),
        (late(LATE_AFTER), END),
        (late(timedelta(0), DELETED), END),
        (late(-timedelta(days=1), DELETED), END),
        (aged(ACTIVE, STARTUP_GRACE - SECOND), LEAVE),
        (aged(ACTIVE, STARTUP_GRACE - SECOND, obstacle=DELETED), LEAVE),
        (aged(ACTIVE, STARTUP_GRACE), RESTART),
        (aged(ACTIVE, STARTUP_GRACE, obstacle=DELETED), END),
        (aged(ACTIVE, STARTUP_GRACE, MAX_RUN_ATTEMPTS - 1), RESTART),
        (aged(ACTIVE, STARTUP_GRACE, MAX_RUN_ATTEMPTS), END),
        (aged(ACTIVE, -STARTUP_GRACE), LEAVE),
        (aged(ACTIVE, -STARTUP_GRACE - SECOND), RESTART),
        (aged(CANCELLING, STARTUP_GRACE - SECOND), LEAVE),
        (aged(CANCELLING, STARTUP_GRACE), END),
        (aged(CANCELLING, STARTUP_GRACE, obstacle=DELETED), END),
        (aged(CRASHED, timedelta(0)), RESTART),
        (aged(CRASHED, timedelta(0), obstacle=DELETED), TAKE_OVER),
        (aged(CRASHED, timedelta(0), MAX_RUN_ATTEMPTS), TAKE_OVER),
    ],
)
def test_run_owns_its_provisioning_only_while_it_can(run: RunFacts | None, action: RunAction) -> None:
    assert decide_action(run) is action


@pytest.mark.parametrize(
    ("run", "action"),
    [
        (late(LATE_AFTER), TAKE_OVER),
        (late(timedelta(0), PAUSED), TAKE_OVER),
        (late(timedelta(0), DELETED), END),
        (RunFacts(SUSPENDED, obstacle=PAUSED), TAKE_OVER),
        (aged(ACTIVE, STARTUP_GRACE, obstacle=PAUSED), RESTART),
        (aged(CRASHED, timedelta(0), obstacle=PAUSED), RESTART),
        (aged(ACTIVE, STARTUP_GRACE, obstacle=DELETED), END),
        (aged(ACTIVE, STARTUP_GRACE, MAX_RUN_ATTEMPTS), END),
        (replace(aged(ACTIVE, STARTUP_GRACE), holds_leases=True), TAKE_OVER),
        (replace(aged(ACTIVE, STARTUP_GRACE, obstacle=DELETED), holds_leases=True), TAKE_OVER),
        (replace(late(timedelta(0)), holds_leases=True), LEAVE),
    ],
)
def test_batch_that_may_start_later_is_not_ended(run: RunFacts, action: RunAction) -> None:
    assert decide_action(replace(run, has_other_work=True)) is action


def test_startup_grace_covers_one_lease() -> None:
    assert STARTUP_GRACE >= LEASE_DURATION


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (RunFacts(SUSPENDED, obstacle=DELETED), "Prefect does not start this run: its deployment was deleted"),
        (late(LATE_AFTER), "this run did not start within 30 minutes of its scheduled time"),
        (aged(ACTIVE, STARTUP_GRACE, 5), "the process of this run ended in attempt 5"),
    ],
)
def test_end_reason_names_the_evidence(run: RunFacts, reason: str) -> None:
    assert end_reason(run) == reason
