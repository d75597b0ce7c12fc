"""The wall clock steps by two hours, in either direction, at each point: no avatar is lost or duplicated."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from models.provisioning import Status
from tests.chaos.deterministic_scheduler import ClockStep, SimulatedProcess
from tests.chaos.invariants import InvariantViolations, check_invariants
from tests.chaos.simulation import Simulation, provision
from tests.chaos.test_crash_points import (
    SCENARIOS,
    RunRecord,
    Scenario,
    recover_by_retry,
    recover_by_schedules,
    run_with_crashes,
    run_without_crash,
    violations,
)
from tests.chaos.totals import LONG_RUN, TIMEOUT_SECONDS, ChaosTotals

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("deterministic"), pytest.mark.timeout(TIMEOUT_SECONDS)]

STEP_SECONDS = 7200.0
STRIDE = 1 if LONG_RUN else 50
"""Every STRIDE-th point is tested as the point of the step."""
LAGGING_STRIDE = 1 if LONG_RUN else 5
"""The same for LAGGING, and for a crash at that point."""
MAX_REPORTED = 5
MAX_RUN_SECONDS = 3600.0
"""No process of these tests takes longer, in simulated time."""
STEPS = [
    pytest.param(STEP_SECONDS, True, id="forward"),
    pytest.param(-STEP_SECONDS, True, id="backward"),
]
if LONG_RUN:
    STEPS += [
        pytest.param(STEP_SECONDS, False, id="forward in one process"),
        pytest.param(-STEP_SECONDS, False, id="backward in one process"),
    ]
LAGGING = Scenario("cut-after-create,list-lag")
"""The response is lost, and the list shows the avatar only after a while: a cut grace period pays for it twice."""
LedgerFactory = Callable[[], Path]


def stepping_runs(
    scenario: Scenario, seconds: float, *, everywhere: bool, fresh_ledger_file: LedgerFactory, stride: int
) -> Iterator[tuple[ClockStep, RunRecord]]:
    """Step the clock at every `stride`-th point, then let the schedules finish the rest."""
    rng = random.Random(f"{scenario} {seconds}")  # noqa: S311  # seeded: repeatable
    points = len(run_without_crash(fresh_ledger_file(), scenario).points)
    for point in range(1 + rng.randrange(stride), points + 1, stride):
        step = ClockStep(point, seconds, everywhere)
        yield step, run_with_crashes(fresh_ledger_file(), scenario, (), recover_by_schedules, step)


def describe(problems: list[str]) -> str:
    return "\n".join([f"{len(problems)} problems, the first:", *problems[:MAX_REPORTED]])


@pytest.mark.parametrize(("seconds", "everywhere"), STEPS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_clock_step_at_any_point_loses_and_duplicates_nothing(
    scenario: Scenario, seconds: float, everywhere: bool, fresh_ledger_file: LedgerFactory, totals: ChaosTotals
) -> None:
    stride = LAGGING_STRIDE if scenario == LAGGING else STRIDE
    problems = [
        f"{step}: {problem}"
        for step, record in stepping_runs(
            scenario, seconds, everywhere=everywhere, fresh_ledger_file=fresh_ledger_file, stride=stride
        )
        for problem in violations(scenario, record, totals)
    ]
    assert not problems, describe(problems)


@pytest.mark.parametrize("seconds", [STEP_SECONDS, -STEP_SECONDS], ids=["forward", "backward"])
def test_clock_step_before_a_crash_loses_and_duplicates_nothing(
    seconds: float, fresh_ledger_file: LedgerFactory, totals: ChaosTotals
) -> None:
    points = len(run_without_crash(fresh_ledger_file(), LAGGING).points)
    problems = []
    for point in range(1, points + 1, LAGGING_STRIDE):
        for step in (ClockStep(point, seconds), ClockStep(max(point - 5, 1), seconds, everywhere=False)):
            record = run_with_crashes(fresh_ledger_file(), LAGGING, (point,), recover_by_retry, step)
            problems += [f"{step}: {problem}" for problem in violations(LAGGING, record, totals)]
    assert not problems, describe(problems)


async def run_until_waiting_at(simulation: Simulation, process: SimulatedProcess, label: str) -> None:
    """Step a process until it is suspended at a point with this label."""
    while label not in [coroutine.label for coroutine in simulation.scheduler.runnable(process)]:
        await simulation.scheduler.step(simulation.scheduler.runnable(process)[0])


async def run_alone(simulation: Simulation, process: SimulatedProcess, seconds: float = float("inf")) -> None:
    """Run one process for so long, or until it is finished; the others wait, unless their time is over."""
    until = simulation.scheduler.time + timedelta(seconds=min(seconds, MAX_RUN_SECONDS))
    while not process.is_finished and simulation.scheduler.time < until:
        if runnable := simulation.scheduler.runnable(process):
            await simulation.scheduler.step(runnable[0])
        else:
            await simulation.scheduler.advance_time(1)


@pytest.mark.parametrize("interrupted_after", [(), (1,), (10,), (5, 5)], ids=str)
@pytest.mark.parametrize("seconds", [STEP_SECONDS, -STEP_SECONDS], ids=["forward", "backward"])
def test_request_in_transit_during_a_clock_step_is_not_repeated(
    seconds: float, interrupted_after: tuple[float, ...], fresh_ledger_file: LedgerFactory
) -> None:
    """The step lets another process take over at once, while the request of the first is still in transit.

    So does a kill of that other process during its lookup, after so many seconds: the next one knows no more.
    """

    async def run() -> tuple[list[Status], InvariantViolations]:
        simulation = Simulation(fresh_ledger_file())
        try:
            work = provision(simulation.request("ada", ""))
            first = await simulation.start(work)
            await run_until_waiting_at(simulation, first, "POST avatars: not sent")
            for interruption in interrupted_after:
                simulation.scheduler.step_clock(seconds)
                interrupted = await simulation.start(work)
                await run_alone(simulation, interrupted, interruption)
                await simulation.scheduler.kill(interrupted)
            simulation.scheduler.step_clock(seconds)
            await run_alone(simulation, await simulation.start(work))
            await simulation.scheduler.run(first)
            await recover_by_schedules(simulation, work)
            statuses = await simulation.statuses()
            return statuses, await check_invariants(simulation.reader, simulation.account)
        finally:
            await simulation.close()

    statuses, violated = asyncio.run(run())
    assert (statuses, bool(violated)) == ([Status.READY], False), violated
