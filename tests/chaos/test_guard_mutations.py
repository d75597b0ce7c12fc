"""Mutation tests of the fault-injection tests: without a guard, they report lost or duplicated avatars."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from models.provisioning import Status
from tests.chaos.deterministic_scheduler import SimulatedProcess
from tests.chaos.guard_mutations import (
    disable_caller_record,
    disable_lease_check,
    disable_lookup,
    disable_submission_record,
    disable_version_check,
)
from tests.chaos.invariants import InvariantViolations, check_invariants
from tests.chaos.simulation import LEASE_SECONDS, Simulation, provision
from tests.chaos.test_crash_points import (
    Scenario,
    recover_by_retry,
    recover_by_schedules,
    run_with_crashes,
    violations,
)
from tests.chaos.totals import ChaosTotals

pytestmark = pytest.mark.usefixtures("deterministic")

AFTER_CHECKS = "transition: committed"
AFTER_RESOLUTION = "resolve_submission: committed"
BEFORE_SUBMISSION = ("transition: not begun", "begin_submission: not begun")
STALL_POINTS = (
    *BEFORE_SUBMISSION,
    "renew: not begun",
    "POST avatars: not sent",
    "resolve_submission: not begun",
)
"""Points before and during a submission at which a process may stall for longer than its lease."""
RETRAINED = Scenario("fail", Status.TRAINING_FAILED, is_retrained=True)
LedgerFactory = Callable[[], Path]
Mutation = Callable[[pytest.MonkeyPatch], None]
Inject = Callable[[LedgerFactory, Scenario], Iterator[InvariantViolations]]


def crash(fresh_ledger_file: LedgerFactory, scenario: Scenario) -> Iterator[InvariantViolations]:
    """Crash at each point of the submission and recover; yield the violations."""
    points = run_with_crashes(fresh_ledger_file(), scenario).points
    for number in range(points.index(AFTER_CHECKS) + 1, points.index(AFTER_RESOLUTION) + 2):
        record = run_with_crashes(fresh_ledger_file(), scenario, (number,), recover_by_retry)
        assert len(record.crashes) == 1  # the point was reached
        yield record.violations


def stall(
    fresh_ledger_file: LedgerFactory, scenario: Scenario, points: Sequence[str] = STALL_POINTS
) -> Iterator[InvariantViolations]:
    """Stall one process until another one has finished the work, then let it continue; yield the violations."""

    async def run(stall_point: str) -> InvariantViolations:
        simulation = Simulation(fresh_ledger_file())
        try:
            work = provision(simulation.request("ada", scenario.simulator_scenario))
            stalled = await simulation.start(work)
            while stall_point not in [coroutine.label for coroutine in simulation.scheduler.runnable(stalled)]:
                await simulation.scheduler.step(simulation.scheduler.runnable(stalled)[0])
            await simulation.scheduler.advance_time(LEASE_SECONDS + 1)
            await run_exclusively(simulation, await simulation.start(work))
            await simulation.scheduler.run(stalled)
            await recover_by_schedules(simulation, work)
            return await check_invariants(simulation.reader, simulation.account)
        finally:
            await simulation.close()

    for stall_point in points:
        yield asyncio.run(run(stall_point))


stall_before_submission = functools.partial(stall, points=BEFORE_SUBMISSION)


def press_retry(fresh_ledger_file: LedgerFactory, scenario: Scenario) -> Iterator[InvariantViolations]:
    """Start each run again after it ended, as Retry in Prefect's UI does; yield the violations."""
    yield run_with_crashes(fresh_ledger_file(), scenario, (), recover_by_retry).violations


@functools.cache
def violations_with_all_guards(
    inject: Inject, fresh_ledger_file: LedgerFactory, scenario: Scenario
) -> list[InvariantViolations]:
    """Return the violations of every injection, the same in each test."""
    return list(inject(fresh_ledger_file, scenario))


def is_detected(violations: InvariantViolations) -> bool:
    return bool(violations.lost or violations.duplicated)


async def run_exclusively(simulation: Simulation, process: SimulatedProcess) -> None:
    """Run one process until it is finished, advancing time while the others are paused."""
    while not process.is_finished:
        if runnable := simulation.scheduler.runnable(process):
            await simulation.scheduler.step(runnable[0])
        else:
            await simulation.scheduler.advance_time(1)


@pytest.mark.parametrize(
    ("mutation", "inject", "scenario"),
    [
        pytest.param(disable_submission_record, crash, Scenario(""), id="no submission record"),
        pytest.param(disable_lookup, crash, Scenario(""), id="no lookup"),
        pytest.param(
            disable_lookup, crash, Scenario("cut-after-create"), id="no lookup after a dropped connection"
        ),
        pytest.param(disable_version_check, stall_before_submission, Scenario(""), id="no version check"),
        pytest.param(disable_lease_check, stall, Scenario(""), id="no lease check"),
        pytest.param(disable_caller_record, press_retry, RETRAINED, id="no caller record"),
    ],
)
def test_disabled_guard_is_detected(
    mutation: Mutation,
    inject: Inject,
    scenario: Scenario,
    fresh_ledger_file: LedgerFactory,
) -> None:
    assert not any(map(is_detected, violations_with_all_guards(inject, fresh_ledger_file, scenario)))
    with pytest.MonkeyPatch.context() as patch:
        mutation(patch)
        assert any(map(is_detected, inject(fresh_ledger_file, scenario)))


def test_version_check_needs_no_lookup(fresh_ledger_file: LedgerFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        disable_lookup(patch)
        assert not any(map(is_detected, stall_before_submission(fresh_ledger_file, Scenario(""))))


def test_late_submission_record_is_only_visible_after_crash(fresh_ledger_file: LedgerFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        disable_submission_record(patch)
        assert violations(Scenario(""), run_with_crashes(fresh_ledger_file(), Scenario("")), ChaosTotals()) == []
