"""Many watches at once: one list call a tick, a GET for what it does not show. Hours pass in no time."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from clients.argil import ArgilClient
from clients.training_news import FALLBACK_GETS
from clients.training_watch import CROWD, TrainingWatch, Watched, WatchEnd, seconds_to_tick
from models.avatar import Avatar
from models.errors import ArgilUnauthorized
from tests.fakes import FakeClock

FLOOR, CEILING = 5.0, 60.0
MANY = 300
TURNS = 60
"""Turns of the event loop in which everybody has done what is to be done now."""


class CrowdClock(FakeClock):
    """Time that passes to the next who sleeps, once nobody has anything to do."""

    def __init__(self) -> None:
        super().__init__()
        self._sleeping: list[tuple[float, int, asyncio.Event]] = []
        self._order = itertools.count()

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        heapq.heappush(self._sleeping, (self.monotonic() + seconds, next(self._order), woken))
        await woken.wait()

    async def run(self, seconds: float) -> None:
        until = self.monotonic() + seconds
        while True:
            for _ in range(TURNS):
                await asyncio.sleep(0)
            if not self._sleeping or self._sleeping[0][0] > until:
                self.pass_(max(until - self.monotonic(), 0))
                return
            due = self._sleeping[0][0]
            self.pass_(max(due - self.monotonic(), 0))
            while self._sleeping and self._sleeping[0][0] <= due:
                heapq.heappop(self._sleeping)[2].set()


class Account:
    """Shows its avatars in a list, but for the hidden ones, and one by one; notes when it was asked what."""

    def __init__(self, clock: CrowdClock) -> None:
        self._clock = clock
        self.statuses: dict[str, str] = {}
        self.hidden: set[str] = set()
        self.list_answer: httpx.Response | None = None
        self.lists: list[float] = []
        self.gets: list[tuple[float, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        now = self._clock.monotonic()
        if request.url.path.endswith("/avatars"):
            self.lists.append(now)
            shown = [{"id": k, "status": v} for k, v in self.statuses.items() if k not in self.hidden]
            return self.list_answer or httpx.Response(200, json=shown)
        avatar_id = request.url.path.rpartition("/")[2]
        self.gets.append((now, avatar_id))
        if self.list_answer is not None and self.list_answer.status_code == httpx.codes.UNAUTHORIZED:
            return self.list_answer
        if avatar_id not in self.statuses:
            return httpx.Response(404, json={})
        return httpx.Response(200, json={"id": avatar_id, "status": self.statuses[avatar_id]})


@pytest.fixture
def clock() -> CrowdClock:
    return CrowdClock()


@pytest.fixture
def account(clock: CrowdClock) -> Account:
    found = Account(clock)
    found.statuses = {f"a-{number}": "TRAINING" for number in range(MANY)}
    return found


@pytest.fixture
async def watch(clock: CrowdClock, account: Account) -> AsyncIterator[TrainingWatch]:
    async with ArgilClient(
        "https://argil.example/v1",
        "key",
        clock=clock,
        requests_per_second=1e6,
        transport=httpx.MockTransport(account),
    ) as client:
        yield TrainingWatch(client, clock, floor=FLOOR, ceiling=CEILING, gone_after=30.0)


class Crowd:
    """Watches every avatar of the account."""

    def __init__(self, watch: TrainingWatch, account: Account, clock: CrowdClock, *, age_seconds: float) -> None:
        since = clock.now() - timedelta(seconds=age_seconds)

        async def ignore(_avatar: Avatar) -> None: ...

        self.held = [
            asyncio.create_task(watch.until_end(one, since, since + timedelta(days=1), ignore))
            for one in account.statuses
        ]

    async def leave(self) -> None:
        for one in self.held:
            one.cancel()
        await asyncio.wait(self.held)

    def ends(self) -> list[Watched]:
        return [one.result() for one in self.held]


@pytest.mark.parametrize(
    ("now", "interval", "wait"),
    [(0.0, 5.0, 2.5), (3.0, 5.0, 2.0), (3.0, 9.9, 2.0), (6.0, 10.0, 4.0), (45.0, 60.0, 15.0), (1.0, 2.0, 1.5)],
)
def test_those_of_a_longer_interval_look_when_those_of_a_shorter_one_do(
    now: float, interval: float, wait: float
) -> None:
    assert seconds_to_tick(now, interval, FLOOR) == wait


async def test_an_hour_of_many_costs_one_list_call_a_tick_and_a_get_for_what_it_does_not_show(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    account.hidden = {"a-1", "a-2"}
    crowd = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(3600)
    assert 179 <= len(account.lists) <= 182  # once at first, then each 20 seconds
    assert {avatar_id for _, avatar_id in account.gets[CROWD:]} == account.hidden
    assert len(account.gets) <= CROWD + 2 * len(account.lists)
    await crowd.leave()


async def test_the_young_and_the_old_share_their_list_calls(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    crowds = [Crowd(watch, account, clock, age_seconds=age) for age in (1.0, 120.0, 7200.0)]
    await clock.run(40)
    assert len(account.lists) <= 18  # each 2.5 seconds
    assert len(account.gets) <= CROWD
    for crowd in crowds:
        await crowd.leave()


async def test_every_end_is_noticed_within_an_interval(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    crowd = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(300)
    account.statuses = dict.fromkeys(account.statuses, "IDLE")
    await clock.run(CEILING)
    assert {one.end for one in crowd.ends()} == {WatchEnd.SETTLED}


async def test_an_avatar_that_neither_list_nor_get_shows_is_gone_after_its_grace(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    crowd = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(100)
    del account.statuses["a-7"]
    await clock.run(200)
    assert [one.done() for one in crowd.held].count(True) == 1
    assert crowd.held[7].result().end is WatchEnd.VANISHED
    await crowd.leave()


async def test_a_list_that_fails_costs_a_bounded_number_of_gets_a_tick_and_ends_nothing(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    account.list_answer = httpx.Response(500)
    crowd = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(400)
    assert len(account.gets) <= CROWD + FALLBACK_GETS * len(account.lists)
    assert not any(one.done() for one in crowd.held)
    account.list_answer = None
    account.statuses = dict.fromkeys(account.statuses, "IDLE")
    await clock.run(CEILING)
    assert {one.end for one in crowd.ends()} == {WatchEnd.SETTLED}


async def test_a_wish_to_be_left_alone_is_obeyed_by_all(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    crowd = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(41)
    account.list_answer = httpx.Response(429, headers={"retry-after": "100"})
    await clock.run(40)
    before, gets = len(account.lists), len(account.gets)
    await clock.run(59)  # the last tick was 20 seconds ago at most
    assert (len(account.lists), len(account.gets)) == (before, gets)
    await crowd.leave()


async def test_a_key_that_is_refused_ends_every_watch(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    crowd = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(10)
    account.list_answer = httpx.Response(401, json={"message": "no"})
    await clock.run(CEILING)
    assert all(isinstance(one.exception(), ArgilUnauthorized) for one in crowd.held)
