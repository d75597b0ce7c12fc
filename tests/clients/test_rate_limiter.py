"""RateLimiter grants permits no faster than its rate."""

from __future__ import annotations

import asyncio

import pytest

from clients.rate_limiter import RateLimiter
from tests.fakes import FakeClock


class ConcurrentClock(FakeClock):
    """Records concurrent sleeps without advancing the time."""

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)


async def test_first_permit_is_immediate(clock: FakeClock) -> None:
    await RateLimiter(5, clock).acquire()
    assert clock.sleeps == []


@pytest.mark.parametrize(("per_second", "interval"), [(5, 0.2), (0.5, 2.0), (1000, 0.001)])
async def test_permits_are_one_interval_apart(clock: FakeClock, per_second: float, interval: float) -> None:
    rate_limiter = RateLimiter(per_second, clock)
    for _ in range(4):
        await rate_limiter.acquire()
    assert clock.sleeps == pytest.approx([interval] * 3, rel=0.01)


async def test_concurrent_callers_are_served_in_order() -> None:
    clock = ConcurrentClock()
    rate_limiter = RateLimiter(4, clock)
    await asyncio.gather(*(rate_limiter.acquire() for _ in range(5)))
    assert clock.sleeps == pytest.approx([0.25, 0.5, 0.75, 1.0])


async def test_permit_after_an_idle_interval_is_immediate(clock: FakeClock) -> None:
    rate_limiter = RateLimiter(2, clock)
    await rate_limiter.acquire()
    clock.advance(0.5)
    await rate_limiter.acquire()
    assert clock.sleeps == []


async def test_idle_time_does_not_allow_a_burst(clock: FakeClock) -> None:
    rate_limiter = RateLimiter(2, clock)
    clock.advance(3600)
    for _ in range(3):
        await rate_limiter.acquire()
    assert clock.sleeps == pytest.approx([0.5, 0.5])


class CountingLimit:
    def __init__(self) -> None:
        self.blocks: list[int] = []

    async def acquire(self, requests: int) -> None:
        self.blocks.append(requests)
        await asyncio.sleep(0)


@pytest.mark.parametrize(("per_second", "block"), [(5, 5), (0.5, 1), (7.9, 7)])
async def test_shared_limit_is_acquired_in_one_second_blocks(
    clock: FakeClock, per_second: float, block: int
) -> None:
    shared_limit = CountingLimit()
    rate_limiter = RateLimiter(per_second, clock, shared_limit=shared_limit)
    await asyncio.gather(*(rate_limiter.acquire() for _ in range(2 * block + 1)))
    assert shared_limit.blocks == [block] * 3


async def test_pause_delays_permits_and_keeps_the_longest(clock: FakeClock) -> None:
    rate_limiter = RateLimiter(2, clock)
    await rate_limiter.pause(30)
    await rate_limiter.pause(10)
    for _ in range(2):
        await rate_limiter.acquire()
    assert clock.sleeps == pytest.approx([30, 0.5])


class FakePause:
    """A shared pause that another process may extend."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._ends_at = 0.0

    async def pause(self, seconds: float) -> None:
        self._ends_at = self._clock.monotonic() + seconds

    async def remaining_seconds(self) -> float:
        return max(self._ends_at - self._clock.monotonic(), 0.0)


async def test_pause_of_one_limiter_delays_the_others(clock: FakeClock) -> None:
    shared = FakePause(clock)
    limiters = [RateLimiter(5, clock, shared_pause=shared) for _ in range(2)]
    await limiters[0].pause(30)
    await limiters[1].acquire()
    assert clock.sleeps == [30]
