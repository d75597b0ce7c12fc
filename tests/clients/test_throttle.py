"""Requests never go out faster than their rate."""

from __future__ import annotations

import asyncio

import pytest

from clients.throttle import Throttle
from tests.fakes import FakeClock


class SharedClock(FakeClock):
    """As FakeClock, for sleepers side by side: each wakes at its own time, in that order."""

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)


async def test_the_first_turn_is_free(clock: FakeClock) -> None:
    await Throttle(5, clock).turn()
    assert clock.sleeps == []


@pytest.mark.parametrize(("per_second", "interval"), [(5, 0.2), (0.5, 2.0), (1000, 0.001)])
async def test_turns_are_one_interval_apart(clock: FakeClock, per_second: float, interval: float) -> None:
    throttle = Throttle(per_second, clock)
    for _ in range(4):
        await throttle.turn()
    assert clock.sleeps == pytest.approx([interval] * 3, rel=0.01)


async def test_those_who_ask_at_once_wait_in_the_order_of_asking() -> None:
    clock = SharedClock()
    throttle = Throttle(4, clock)
    await asyncio.gather(*(throttle.turn() for _ in range(5)))
    assert clock.sleeps == pytest.approx([0.25, 0.5, 0.75, 1.0])


async def test_a_turn_asked_for_late_enough_is_free(clock: FakeClock) -> None:
    throttle = Throttle(2, clock)
    await throttle.turn()
    clock.pass_(0.5)
    await throttle.turn()
    assert clock.sleeps == []


async def test_idle_time_is_not_saved_up_for_a_burst(clock: FakeClock) -> None:
    throttle = Throttle(2, clock)
    clock.pass_(3600)
    for _ in range(3):
        await throttle.turn()
    assert clock.sleeps == pytest.approx([0.5, 0.5])


class Counted:
    def __init__(self) -> None:
        self.taken: list[int] = []

    async def take(self, requests: int) -> None:
        self.taken.append(requests)
        await asyncio.sleep(0)


@pytest.mark.parametrize(("per_second", "block"), [(5, 5), (0.5, 1), (7.9, 7)])
async def test_a_shared_budget_is_taken_in_blocks_of_a_second(
    clock: FakeClock, per_second: float, block: int
) -> None:
    budget = Counted()
    throttle = Throttle(per_second, clock, budget=budget)
    await asyncio.gather(*(throttle.turn() for _ in range(2 * block + 1)))
    assert budget.taken == [block] * 3


async def test_nobody_has_a_turn_while_argil_wishes_to_be_left_alone(clock: FakeClock) -> None:
    throttle = Throttle(2, clock)
    throttle.hold(30)
    throttle.hold(10)
    for _ in range(2):
        await throttle.turn()
    assert clock.sleeps == pytest.approx([30, 0.5])
