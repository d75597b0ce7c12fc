"""A driver dies at each point between accepted and settled: whoever comes next loses nothing, pays once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from models.provisioning import Status
from tests.chaos.audit import Verdict, audit, is_settled
from tests.chaos.counts import LONG, TIMEOUT_SECONDS, Counts
from tests.chaos.world import LEASE_SECONDS, TICKS, Work, World, provision

pytestmark = [pytest.mark.usefixtures("in_turns"), pytest.mark.timeout(TIMEOUT_SECONDS)]

STRIDE = 1 if LONG else 20
"""One of so many points is a crash point."""
SECOND_STRIDE = 4
SECONDS_EACH = 3
"""The long form lets one of so many crash points, and so many points of its recovery, be a double crash."""
MOST_TICKS = 30
QUIET_TICKS = 2
"""One that leaves nothing in flight, and one that re-opens what timed out too soon, its last look having failed."""
OPERATOR_TRIES = 3
SHOWN = 5


@dataclass(frozen=True)
class Plot:
    """A scenario of the simulator, and how it ends, with crashes or without."""

    scenario: str
    end: Status = Status.READY
    retrain_limit: int = 0
    or_else: Status | None = None
    """Another end that a crash may lead to."""

    def __str__(self) -> str:
        return (self.scenario or "ready") + (f" with {self.retrain_limit} retrain" if self.retrain_limit else "")


PLOTS = (
    Plot(""),
    Plot("refuse", Status.REFUSED),
    Plot("fail", Status.TRAINING_FAILED),
    Plot("fail", Status.TRAINING_FAILED, retrain_limit=1),
    Plot("cut-after-create"),
    Plot("error-after-create"),
    Plot("garbled"),
    Plot("cut-before-create"),
    Plot("unavailable"),
    Plot("unavailable-bare"),
    Plot("rate-limited"),
    Plot("cut-after-create,list-lag"),
    Plot("late-get"),
    Plot("flaky-polls"),
    # Reconcile looks once a tick, which tells no 404 that stays from one that does not: the deadline ends it.
    Plot("vanish", Status.VANISHED, or_else=Status.TIMED_OUT),
    Plot("never", Status.TIMED_OUT),
    Plot("unknown-status"),
    Plot("invalid", Status.SUBMISSION_FAILED),
    Plot("payment-required", Status.ACCEPTED),
    Plot("cut-after-create,fail", Status.TRAINING_FAILED, retrain_limit=1),
)


@dataclass(frozen=True)
class Life:
    """What came of one provisioning, its crashes and its recovery."""

    points: Sequence[str]
    """Those passed since the last death."""
    deaths: Sequence[str]
    statuses: Sequence[Status]
    verdict: Verdict


async def by_the_same_request(world: World, work: Work) -> None:
    """Recover as a caller does who asks again, once the lease of the dead driver has run out."""
    for each in (work, *[TICKS[0]] * QUIET_TICKS):
        await world.conductor.pass_(LEASE_SECONDS + 1)
        while (await world.finish(each)).is_dead:
            await world.conductor.pass_(LEASE_SECONDS + 1)


async def at_once(world: World, work: Work) -> None:
    """Recover as a caller does who asks again at once, and follows the dead driver until its lease runs out."""
    while (await world.finish(work)).is_dead:
        pass
    for tick in [TICKS[0]] * QUIET_TICKS:
        while (await world.finish(tick)).is_dead:
            await world.conductor.pass_(LEASE_SECONDS + 1)  # a tick follows nobody


async def by_schedule(world: World, _work: Work) -> None:
    """Recover by nothing but the two schedules."""
    quiet = 0
    for _ in range(MOST_TICKS):
        died = await world.tick()
        quiet = 0 if died or not await is_settled(world.reader) else quiet + 1
        if quiet == QUIET_TICKS:
            return


Recovery = Callable[[World, Work], Awaitable[None]]
RECOVERIES: tuple[Recovery, ...] = (by_the_same_request, by_schedule, at_once)


def live(ledger: Path, plot: Plot, kill_after: tuple[int, ...] = (), recover: Recovery | None = None) -> Life:
    """Provision once, with crashes after so many points each, and recover."""

    async def history() -> Life:
        world = World(ledger, kill_after=kill_after, retrain_limit=plot.retrain_limit)
        try:
            work = provision(world.ask("ada", plot.scenario))
            await world.finish(work)
            if recover is not None:
                await recover(world, work)
            for _ in range(OPERATOR_TRIES):
                statuses = await world.statuses()
                if statuses == [plot.end] or Status.ACCEPTED not in statuses:
                    break
                died = (await world.finish(work)).is_dead  # it waits for its operator, who asks again
                if died and recover is not None:
                    await recover(world, work)
            return Life(
                world.conductor.points,
                world.conductor.deaths,
                statuses,
                await audit(world.reader, world.account),
            )
        finally:
            await world.close()

    return asyncio.run(history())


def judged(plot: Plot, life: Life, crashes: int, counts: Counts) -> list[str]:
    """Count the crashes of a life; return what went wrong in it."""
    counts.crash_points += len(life.deaths)
    counts.lost += len(life.verdict.lost)
    counts.duplicated += len(life.verdict.duplicated)
    wrong = [*life.verdict.lost, *life.verdict.duplicated, *life.verdict.other]
    if len(life.deaths) != crashes:
        wrong.append(f"it died {len(life.deaths)} times, not {crashes} times")
    never_asked = not life.statuses and life.deaths[0].startswith("open: not")
    if life.statuses not in ([plot.end], [plot.or_else]) and not never_asked:
        wrong.append(f"it ended as {life.statuses}")
    return [f"killed at {' and '.join(map(repr, life.deaths))}: {each}" for each in wrong]


@pytest.mark.parametrize("plot", PLOTS, ids=str)
def test_without_a_crash_each_plot_has_its_end(plot: Plot, new_ledger: Callable[[], Path], counts: Counts) -> None:
    life = live(new_ledger(), plot)
    assert judged(plot, life, 0, counts) == []
    assert len(life.points) > 20


@pytest.mark.parametrize("recover", RECOVERIES if LONG else RECOVERIES[:2], ids=lambda each: each.__name__)
@pytest.mark.parametrize("plot", PLOTS, ids=str)
def test_a_crash_at_any_point_loses_nothing_and_pays_nothing_twice(
    plot: Plot, recover: Recovery, new_ledger: Callable[[], Path], counts: Counts
) -> None:
    wrong: list[str] = []
    chance = random.Random(f"{plot} {recover.__name__}")  # noqa: S311  # it is to be repeatable
    points = len(live(new_ledger(), plot).points)
    for point in range(1 + chance.randrange(STRIDE), points + 1, STRIDE):
        life = live(new_ledger(), plot, (point,), recover)
        wrong += judged(plot, life, 1, counts)
        if LONG and point % SECOND_STRIDE == 0 and life.points:
            for second in chance.sample(range(1, len(life.points) + 1), min(SECONDS_EACH, len(life.points))):
                wrong += judged(plot, live(new_ledger(), plot, (point, second), recover), 2, counts)
    assert not wrong, "\n".join([f"{len(wrong)} things went wrong, the first:", *wrong[:SHOWN]])
