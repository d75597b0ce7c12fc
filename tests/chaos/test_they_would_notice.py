"""The chaos tests tested: with a guard taken out they tell of something lost or made twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.audit import audit
from tests.chaos.conductor import Process
from tests.chaos.counts import Counts
from tests.chaos.sabotage import (
    without_the_lease_check,
    without_the_lookup,
    without_the_row,
    without_the_version,
)
from tests.chaos.test_crash_points import Plot, by_schedule, by_the_same_request, judged, live
from tests.chaos.world import LEASE_SECONDS, World, provision

pytestmark = pytest.mark.usefixtures("in_turns")

CHECKED = "record: committed"
SETTLED = "settle_submission: committed"
HELD_UP_AT = ("record: not begun", "renew: not begun", "POST avatars: not sent", "settle_submission: not begun")
"""Where a driver that creates may stand still for longer than its lease."""
NewLedger = Callable[[], Path]
Sabotage = Callable[[pytest.MonkeyPatch], None]


def crash(new_ledger: NewLedger, plot: Plot) -> Counts:
    """Let the driver die at each point of the create, and count what breaks."""
    counts = Counts()  # not the fixture: what is meant to break is not told with the rest
    points = live(new_ledger(), plot).points
    numbers = range(points.index(CHECKED) + 1, points.index(SETTLED) + 2)
    for number in numbers:
        judged(plot, live(new_ledger(), plot, (number,), by_the_same_request), 1, counts)
    assert counts.crash_points == len(numbers)  # each was reached
    return counts


def hold_up(new_ledger: NewLedger, plot: Plot) -> Counts:
    """Let the driver stand still until another one has done its work, and then go on; count what breaks."""
    counts = Counts()

    async def history(at: str) -> None:
        world = World(new_ledger())
        try:
            work = provision(world.ask("ada", plot.scenario))
            late = await world.start(work)
            while at not in [one.what for one in world.conductor.of(late)]:
                await world.conductor.turn(world.conductor.of(late)[0])
            await world.conductor.pass_(LEASE_SECONDS + 1)
            await alone(world, await world.start(work))
            await world.conductor.run(late)
            await by_schedule(world, work)
            verdict = await audit(world.reader, world.account)
            counts.lost += len(verdict.lost)
            counts.duplicated += len(verdict.duplicated)
        finally:
            await world.close()

    for at in HELD_UP_AT:
        asyncio.run(history(at))
    return counts


async def alone(world: World, process: Process) -> None:
    """Let one process go on to its end as time passes, while every other one stands still."""
    while not process.has_ended:
        if could := world.conductor.of(process):
            await world.conductor.turn(could[0])
        else:
            await world.conductor.pass_(1)


@pytest.mark.parametrize(
    ("sabotage", "chaos", "plot"),
    [
        pytest.param(without_the_row, crash, Plot(""), id="without the row"),
        pytest.param(without_the_lookup, crash, Plot(""), id="without the lookup"),
        pytest.param(without_the_lookup, crash, Plot("cut-after-create"), id="without the lookup after a cut line"),
        pytest.param(without_the_version, hold_up, Plot(""), id="without the version"),
        pytest.param(without_the_lease_check, hold_up, Plot(""), id="without the lease check"),
    ],
)
def test_a_guard_taken_out_shows_as_lost_or_made_twice(
    sabotage: Sabotage, chaos: Callable[[NewLedger, Plot], Counts], plot: Plot, new_ledger: NewLedger
) -> None:
    whole = chaos(new_ledger, plot)
    assert (whole.lost, whole.duplicated) == (0, 0)
    with pytest.MonkeyPatch.context() as patch:
        sabotage(patch)
        hurt = chaos(new_ledger, plot)
    assert hurt.lost + hurt.duplicated > 0


def test_only_a_crash_tells_that_the_row_comes_too_late(new_ledger: NewLedger) -> None:
    with pytest.MonkeyPatch.context() as patch:
        without_the_row(patch)
        assert judged(Plot(""), live(new_ledger(), Plot("")), 0, Counts()) == []
