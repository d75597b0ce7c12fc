"""Kills a process at each point of a provisioning; recovery neither loses nor duplicates an avatar."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from models.provisioning import Status
from simulator.responses import not_json
from simulator.scenarios import CreateResponse
from tests.chaos.deterministic_scheduler import ClockStep
from tests.chaos.invariants import InvariantViolations, all_terminal, check_invariants
from tests.chaos.simulation import LEASE_SECONDS, SCHEDULES, TICK_SECONDS, Job, Simulation, provision
from tests.chaos.totals import CRASH_POINTS, LONG_RUN, TIMEOUT_SECONDS, ChaosTotals

pytestmark = [pytest.mark.usefixtures("deterministic"), pytest.mark.timeout(TIMEOUT_SECONDS)]

STRIDE = 1 if LONG_RUN else 50
"""Every STRIDE-th point is tested as a crash point."""
SECOND_STRIDE = 16
SECOND_CRASHES_PER_POINT = 3
"""In the long run, every SECOND_STRIDE-th crash point gets so many second crashes during its recovery."""
MAX_RUNS = 30
IDLE_RUNS = 2
"""One leaves nothing in flight; one re-opens a provisioning that timed out after its last poll failed."""
OPERATOR_RETRIES = 3
MAX_REPORTED = 5


@dataclass(frozen=True)
class Scenario:
    """A scenario of the simulator, and the status it ends in with and without crashes."""

    simulator_scenario: str
    expected_status: Status = Status.READY
    retrain_limit: int = 0
    alternative_outcome: Status | None = None
    """Another status that a crash may lead to."""
    is_retrained: bool = False
    """Whether a person retrains it afterwards."""
    clone_faults: tuple[CreateResponse, ...] | None = None
    """The responses to the first requests to clone its voice; None for a video request."""

    def __str__(self) -> str:
        return (
            (self.simulator_scenario or "ready")
            + (f" with {self.retrain_limit} retrain" if self.retrain_limit else "")
            + (", retrained" if self.is_retrained else "")
            + (f", cloned {list(map(_describe, self.clone_faults))}" if self.clone_faults is not None else "")
        )


def _describe(fault: CreateResponse) -> str:
    return f"{fault.status or 'cut'} {'after' if fault.creates_avatar else 'before'}"


SCENARIOS = (
    Scenario(""),
    Scenario("refuse", Status.REFUSED),
    Scenario("fail", Status.TRAINING_FAILED),
    Scenario("fail", Status.TRAINING_FAILED, retrain_limit=1),
    Scenario("cut-after-create"),
    Scenario("error-after-create"),
    Scenario("garbled"),
    Scenario("cut-before-create"),
    Scenario("unavailable"),
    Scenario("unavailable-bare"),
    Scenario("rate-limited"),
    Scenario("cut-after-create,list-lag"),
    Scenario("late-get"),
    Scenario("flaky-polls"),
    # Reconcile polls once per scheduled run and cannot tell a lasting 404 from a passing one; the deadline ends it.
    Scenario("vanish", Status.VANISHED, alternative_outcome=Status.TIMED_OUT),
    Scenario("never", Status.TIMED_OUT),
    Scenario("unknown-status"),
    Scenario("invalid", Status.SUBMISSION_FAILED),
    Scenario("gateway-page"),
    Scenario("gateway-page-after-create"),
    Scenario("error-in-success", Status.SUBMISSION_FAILED),
    Scenario("empty-success,numeric-id"),
    Scenario("other-avatar,paged-list"),
    Scenario("other-polls"),
    Scenario("no-path"),
    Scenario("payment-required", Status.ACCEPTED),
    Scenario("cut-after-create,fail", Status.TRAINING_FAILED, retrain_limit=1),
    Scenario("image:"),
    Scenario("image:refuse", Status.REFUSED),
    Scenario("image:fail", Status.TRAINING_FAILED, is_retrained=True),
    Scenario("image:cut-after-create,list-lag"),
    Scenario("image:error-after-create"),
    Scenario("fail", Status.TRAINING_FAILED, is_retrained=True),
    Scenario("invalid", Status.SUBMISSION_FAILED, is_retrained=True),
    Scenario("vanish", Status.VANISHED, alternative_outcome=Status.TIMED_OUT, is_retrained=True),
    Scenario("", clone_faults=()),
    Scenario("", clone_faults=(CreateResponse(None, creates_avatar=True),)),
    Scenario("", clone_faults=(CreateResponse(None),)),
    Scenario("", clone_faults=(CreateResponse(500, creates_avatar=True),)),
    Scenario("", clone_faults=(CreateResponse(503), CreateResponse(201, creates_avatar=True, form=not_json))),
    Scenario("cut-before-create", clone_faults=()),
    Scenario("fail", Status.TRAINING_FAILED, retrain_limit=1, clone_faults=()),
    Scenario("fail", Status.TRAINING_FAILED, is_retrained=True, clone_faults=()),
)


@dataclass(frozen=True)
class RunRecord:
    """The result of one provisioning after its crashes and its recovery."""

    points: Sequence[str]
    """The points passed since the last crash."""
    kill_after: tuple[int, ...]
    """The numbers of points after which it was to be killed, each counted from the previous crash."""
    crashes: Sequence[str]
    """The labels of the points at which it was killed."""
    statuses: Sequence[Status]
    violations: InvariantViolations


async def recover_by_retry(simulation: Simulation, work: Job) -> None:
    """Recover by sending the same request again after the lease of the killed process has expired."""
    for job in (work, *[SCHEDULES[0]] * IDLE_RUNS):
        await simulation.scheduler.advance_time(LEASE_SECONDS + 1)
        while (await simulation.finish(job)).is_dead:
            await simulation.scheduler.advance_time(LEASE_SECONDS + 1)


async def recover_immediately(simulation: Simulation, work: Job) -> None:
    """Recover by sending the same request at once; it waits until the lease of the killed process expires."""
    while (await simulation.finish(work)).is_dead:
        pass
    for job in [SCHEDULES[0]] * IDLE_RUNS:
        # A scheduled run does not wait for leases, and leaves those alone that were released a moment ago.
        await simulation.scheduler.advance_time(TICK_SECONDS)
        while (await simulation.finish(job)).is_dead:
            await simulation.scheduler.advance_time(TICK_SECONDS)


async def recover_by_schedules(simulation: Simulation, _work: Job) -> None:
    """Recover through the two schedules only."""
    idle_runs = 0
    for _ in range(MAX_RUNS):
        crashed = await simulation.run_schedules()
        idle_runs = 0 if crashed or not await all_terminal(simulation.reader) else idle_runs + 1
        if idle_runs == IDLE_RUNS:
            return


Recovery = Callable[[Simulation, Job], Awaitable[None]]
RECOVERIES: tuple[Recovery, ...] = (recover_by_retry, recover_by_schedules, recover_immediately)


def run_with_crashes(
    ledger: Path,
    scenario: Scenario,
    kill_after: tuple[int, ...] = (),
    recover: Recovery | None = None,
    clock_step: ClockStep | None = None,
) -> RunRecord:
    """Provision once, retrain if the scenario says so, crash after the given numbers of points, and recover.

    Args:
        ledger: An empty ledger.
        scenario: The scenario of the request.
        kill_after: See DeterministicScheduler.
        recover: How to recover after a crash; None if no crash is injected.
        clock_step: See DeterministicScheduler.

    """

    async def history() -> RunRecord:
        simulation = Simulation(
            ledger, kill_after=kill_after, clock_step=clock_step, retrain_limit=scenario.retrain_limit
        )
        try:
            work = provision(
                simulation.request("ada", scenario.simulator_scenario)
                if scenario.clone_faults is None
                else simulation.image_request("ada", scenario.simulator_scenario, scenario.clone_faults)
            )
            await simulation.finish(work)
            if recover is not None:
                await recover(simulation, work)
            if scenario.is_retrained:
                work = simulation.retrain("ada")
                await simulation.finish(work)
                if recover is not None:
                    await recover(simulation, work)
            for _ in range(OPERATOR_RETRIES):
                statuses = await simulation.statuses()
                if statuses == [scenario.expected_status] or Status.ACCEPTED not in statuses:
                    break
                crashed = (await simulation.finish(work)).is_dead  # the operator retries the ACCEPTED request
                if recover is not None and (crashed or clock_step is not None):  # the step may be in the retry
                    await recover(simulation, work)
            return RunRecord(
                simulation.scheduler.points,
                kill_after,
                simulation.scheduler.crashes,
                statuses,
                await check_invariants(simulation.reader, simulation.account, simulation.retrains),
            )
        finally:
            await simulation.close()

    return asyncio.run(history())


@functools.cache
def run_without_crash(ledger: Path, scenario: Scenario) -> RunRecord:
    """Provision once without a crash, or return the record of the last time: it is always the same."""
    return run_with_crashes(ledger, scenario)


def violations(scenario: Scenario, record: RunRecord, totals: ChaosTotals) -> list[str]:
    """Add the run to the totals; return descriptions of everything that went wrong."""
    totals.crash_points += len(record.crashes)
    totals.lost += len(record.violations.lost)
    totals.duplicated += len(record.violations.duplicated)
    problems = [*record.violations.lost, *record.violations.duplicated, *record.violations.other]
    if len(record.crashes) != len(record.kill_after):
        problems.append(f"{len(record.crashes)} crashes instead of {len(record.kill_after)}")
    never_recorded = not record.statuses and record.crashes[0].startswith("get_or_create: not")
    if record.statuses not in ([scenario.expected_status], [scenario.alternative_outcome]) and not never_recorded:
        problems.append(f"ended as {', '.join(record.statuses)}")
    points = ",".join(map(str, record.kill_after))
    where = f"killed at {' and '.join(map(repr, record.crashes))} (AVATARS_CHAOS_POINTS={points})"
    return [f"{where}: {problem}" for problem in problems]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_scenario_without_crash_ends_as_expected(
    scenario: Scenario, fresh_ledger_file: Callable[[], Path], totals: ChaosTotals
) -> None:
    record = run_without_crash(fresh_ledger_file(), scenario)
    assert violations(scenario, record, totals) == []
    assert len(record.points) > 20


def crashing_runs(
    scenario: Scenario, recover: Recovery, fresh_ledger_file: Callable[[], Path]
) -> Iterator[RunRecord]:
    """Crash at every STRIDE-th point, in the long run some histories twice; or only at CRASH_POINTS."""
    if CRASH_POINTS:
        yield run_with_crashes(fresh_ledger_file(), scenario, CRASH_POINTS, recover)
        return
    rng = random.Random(f"{scenario} {recover.__name__}")  # noqa: S311  # seeded: repeatable
    points = len(run_without_crash(fresh_ledger_file(), scenario).points)
    for point in range(1 + rng.randrange(STRIDE), points + 1, STRIDE):
        record = run_with_crashes(fresh_ledger_file(), scenario, (point,), recover)
        yield record
        if LONG_RUN and point % SECOND_STRIDE == 0 and record.points:
            for second in rng.sample(
                range(1, len(record.points) + 1), min(SECOND_CRASHES_PER_POINT, len(record.points))
            ):
                yield run_with_crashes(fresh_ledger_file(), scenario, (point, second), recover)


@pytest.mark.system
@pytest.mark.parametrize(
    "recover", RECOVERIES if LONG_RUN or CRASH_POINTS else RECOVERIES[:2], ids=lambda recover: recover.__name__
)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_crash_at_any_point_loses_and_duplicates_nothing(
    scenario: Scenario, recover: Recovery, fresh_ledger_file: Callable[[], Path], totals: ChaosTotals
) -> None:
    problems = [
        problem
        for record in crashing_runs(scenario, recover, fresh_ledger_file)
        for problem in violations(scenario, record, totals)
    ]
    assert not problems, "\n".join([f"{len(problems)} problems, the first:", *problems[:MAX_REPORTED]])


def test_problem_names_the_points_that_reproduce_it(
    fresh_ledger_file: Callable[[], Path], totals: ChaosTotals
) -> None:
    ready = SCENARIOS[0]
    record = run_with_crashes(fresh_ledger_file(), ready, (9, 5), recover_by_retry)
    [problem] = violations(dataclasses.replace(ready, expected_status=Status.REFUSED), record, totals)
    first, second = record.crashes
    assert problem == f"killed at {first!r} and {second!r} (AVATARS_CHAOS_POINTS=9,5): ended as READY"
