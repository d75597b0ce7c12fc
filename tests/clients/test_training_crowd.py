"""Many watches at once: one list call a tick, a GET for what it does not show. Hours pass in no time."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import httpx
import pytest

from clients.argil import ArgilClient
from clients.intervals import seconds_to_tick
from clients.training_crowd import FALLBACK_GETS, SLOW_SECONDS
from clients.training_watch import CROWD, TrainingWatch, WatchEnd
from clients.watcher import News, Watcher
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
        if seconds <= 0:
            return
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
        self.list_seconds = 0.0
        self.lists: list[float] = []
        self.gets: list[tuple[float, str]] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        now = self._clock.monotonic()
        if request.url.path.endswith("/avatars"):
            self.lists.append(now)
            shown = [{"id": k, "status": v} for k, v in self.statuses.items() if k not in self.hidden]
            await self._clock.sleep(self.list_seconds)
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


class Hints:
    """Calls the hints that a test gives."""

    def __init__(self) -> None:
        self.of: dict[str, Callable[[], None]] = {}

    @contextlib.asynccontextmanager
    async def watching(self, avatar_id: str, hint: Callable[[], None]) -> AsyncIterator[None]:
        self.of[avatar_id] = hint
        yield


@pytest.fixture
def hints() -> Hints:
    return Hints()


@pytest.fixture
async def watch(clock: CrowdClock, account: Account, hints: Hints) -> AsyncIterator[TrainingWatch]:
    async with ArgilClient(
        "https://argil.example/v1",
        "key",
        clock=clock,
        requests_per_second=1e6,
        transport=httpx.MockTransport(account),
    ) as client:
        yield TrainingWatch(client, clock, floor=FLOOR, ceiling=CEILING, gone_after=30.0, hints=hints)


class Crowd:
    """Watches every avatar of the account."""

    def __init__(
        self,
        watch: TrainingWatch,
        account: Account,
        clock: CrowdClock,
        *,
        age_seconds: float,
        seconds: float = 86400.0,
    ) -> None:
        """Watch for so many seconds from now."""
        now = clock.now()
        since, until = now - timedelta(seconds=age_seconds), now + timedelta(seconds=seconds)
        self.changes: list[tuple[str, str]] = []

        async def note(avatar: Avatar) -> None:
            self.changes.append((avatar.id, avatar.status))

        self.held = [asyncio.create_task(watch.until_end(one, since, until, note)) for one in account.statuses]

    async def leave(self) -> None:
        for one in self.held:
            one.cancel()
        await asyncio.wait(self.held)

    def ends(self) -> list[WatchEnd]:
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


@pytest.mark.parametrize(("jitter", "moments"), [(1.0, {0.0}), (0.9, {14.0})])
async def test_crowds_of_several_processes_do_not_ask_in_step(
    clock: CrowdClock, account: Account, jitter: float, moments: set[float]
) -> None:
    clock.jitter = lambda: jitter  # type: ignore[method-assign]  # as SystemClock draws one for each process
    transport = httpx.MockTransport(account)
    async with ArgilClient(
        "https://argil.example/v1", "key", clock=clock, requests_per_second=1e6, transport=transport
    ) as client:
        watch = TrainingWatch(client, clock, floor=FLOOR, ceiling=CEILING, gone_after=30.0)
        crowd = Crowd(watch, account, clock, age_seconds=7200)
        await clock.run(200)
        assert {round(at % 20, 3) for at in account.lists[2:]} == moments
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
    assert set(crowd.ends()) == {WatchEnd.SETTLED}


async def test_an_avatar_that_neither_list_nor_get_shows_is_gone_after_its_grace(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    crowd = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(100)
    del account.statuses["a-7"]
    await clock.run(200)
    assert [one.done() for one in crowd.held].count(True) == 1
    assert crowd.held[7].result() is WatchEnd.VANISHED
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
    assert set(crowd.ends()) == {WatchEnd.SETTLED}


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


async def test_a_list_that_says_nothing_new_wakes_nobody_and_each_change_is_told_once(
    watch: TrainingWatch, account: Account, clock: CrowdClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    news = Watcher.news

    async def counted(self: Watcher) -> News:
        told = await news(self)
        woken.append(self.avatar_id)
        return told

    monkeypatch.setattr(Watcher, "news", counted)
    crowd = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(200)
    woken.clear()
    account.statuses["a-7"] = "PAUSED"
    await clock.run(200)
    account.statuses["a-7"] = "TRAINING"
    await clock.run(200)
    assert woken == ["a-7", "a-7"]
    assert len(crowd.changes) == MANY + 2
    assert crowd.changes[MANY:] == [("a-7", "PAUSED"), ("a-7", "TRAINING")]
    await crowd.leave()


async def test_a_status_that_cannot_be_kept_as_it_is_is_no_news_each_tick(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    account.statuses = dict.fromkeys(account.statuses, "https://a.example/?canary")
    crowd = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(200)
    assert len(crowd.changes) == MANY
    assert all("canary" not in status for _, status in crowd.changes)
    await crowd.leave()


async def test_who_comes_between_two_ticks_does_not_wait_for_the_next(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    crowd = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(102)
    late = Account(clock)
    late.statuses = {"a-7": "TRAINING", "a-8": "TRAINING"}
    lists, gets = len(account.lists), len(account.gets)
    comers = Crowd(watch, late, clock, age_seconds=7200)
    await clock.run(1)
    assert [avatar_id for avatar_id, _ in comers.changes] == ["a-7", "a-8"]
    assert (len(account.lists), len(account.gets)) == (lists + 1, gets)
    await crowd.leave()
    await comers.leave()


async def test_an_old_one_that_no_list_shows_is_looked_at_by_its_own_age_among_young_ones(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    young = Crowd(watch, account, clock, age_seconds=6)
    await clock.run(1)
    alone = Account(clock)
    alone.statuses = {"old": "TRAINING"}
    account.statuses["old"] = "TRAINING"
    account.hidden = {"old"}
    lists = len(account.lists)
    old = Crowd(watch, alone, clock, age_seconds=7200)
    await clock.run(60)
    assert len(account.lists) - lists > 10
    assert 3 <= [avatar_id for _, avatar_id in account.gets].count("old") <= 5
    await young.leave()
    await old.leave()


async def test_one_last_list_serves_all_whose_time_is_over(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    crowd = Crowd(watch, account, clock, age_seconds=7200, seconds=107)
    others = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(106)
    lists, gets = len(account.lists), len(account.gets)
    await clock.run(2)
    assert set(crowd.ends()) == {WatchEnd.TIMED_OUT}
    assert len(account.lists) == lists + 1
    await clock.run(10)
    assert (len(account.lists), len(account.gets)) == (lists + 1, gets)
    await others.leave()


async def test_who_looks_but_once_shares_a_list_with_the_others(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    account.statuses["a-99"] = "IDLE"
    crowd = Crowd(watch, account, clock, age_seconds=7200, seconds=0)
    await clock.run(FLOOR)
    assert crowd.ends() == [WatchEnd.SETTLED if n == 99 else WatchEnd.TIMED_OUT for n in range(MANY)]
    assert len(account.lists) == 1
    assert len(account.gets) <= CROWD


async def test_at_their_end_those_that_a_failing_list_leaves_out_are_not_looked_at(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    account.list_answer = httpx.Response(500)
    crowd = Crowd(watch, account, clock, age_seconds=7200, seconds=10)
    await clock.run(10 + FLOOR)
    assert set(crowd.ends()) == {WatchEnd.TIMED_OUT}
    assert len(account.gets) <= CROWD + FALLBACK_GETS * len(account.lists)


async def test_while_a_list_is_slow_some_look_by_themselves(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    crowd = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(101)
    account.list_seconds = 170.0
    before, gets = len(account.lists), len(account.gets)
    while (lists := len(account.lists)) == before:
        await clock.run(1)
    account.statuses = dict.fromkeys(account.statuses, "IDLE")
    await clock.run(SLOW_SECONDS)
    assert 0 < len(account.gets) - gets <= FALLBACK_GETS
    await clock.run(SLOW_SECONDS * MANY / FALLBACK_GETS)
    assert set(crowd.ends()) == {WatchEnd.SETTLED}
    assert len(account.lists) == lists
    assert len(account.gets) == gets + MANY


async def test_a_list_that_fails_for_long_leaves_nobody_unseen(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    account.list_answer = httpx.Response(500)
    crowd = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(20.0 * (MANY / FALLBACK_GETS + 1))
    assert {avatar_id for _, avatar_id in account.gets} == account.statuses.keys()
    await crowd.leave()


async def test_what_is_left_of_a_crowd_goes_on_with_gets(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    crowd = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(100)
    left = list(account.statuses)[: CROWD - 1]
    account.statuses = {one: "TRAINING" if one in left else "IDLE" for one in account.statuses}
    await clock.run(2 * CEILING)
    assert [one.done() for one in crowd.held].count(False) == len(left)
    lists, gets = len(account.lists), len(account.gets)
    await clock.run(600)
    assert len(account.lists) == lists
    assert len(account.gets) == gets + 10 * len(left)
    await crowd.leave()


async def test_a_hint_in_a_crowd_makes_one_look_of_its_own(
    watch: TrainingWatch, account: Account, clock: CrowdClock, hints: Hints
) -> None:
    crowd = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(101)
    lists, gets = len(account.lists), len(account.gets)
    account.statuses["a-7"] = account.statuses["a-8"] = "IDLE"
    hints.of["a-7"]()
    await clock.run(1)
    assert [avatar_id for _, avatar_id in account.gets[gets:]] == ["a-7"]
    assert [one.done() for one in crowd.held].count(True) == 1
    assert len(account.lists) == lists
    await crowd.leave()


async def test_a_list_asked_for_before_somebody_looked_by_itself_tells_it_nothing(
    watch: TrainingWatch, account: Account, clock: CrowdClock, hints: Hints
) -> None:
    crowd = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(101)
    lists = len(account.lists)
    account.list_seconds = 15.0
    while len(account.lists) == lists:
        await clock.run(1)
    account.statuses["a-7"] = "PAUSED"  # the list that is under way does not say so
    hints.of["a-7"]()
    await clock.run(60)
    assert crowd.changes[MANY:] == [("a-7", "PAUSED")]
    await crowd.leave()


async def test_one_that_is_shown_again_begins_its_grace_anew(
    watch: TrainingWatch, account: Account, clock: CrowdClock
) -> None:
    crowd = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(101)
    del account.statuses["a-7"]
    await clock.run(20)  # one look that finds nothing
    account.statuses["a-7"] = "TRAINING"
    await clock.run(600)
    del account.statuses["a-7"]
    await clock.run(20)
    assert not crowd.held[7].done()
    await clock.run(60)
    assert crowd.held[7].result() is WatchEnd.VANISHED
    await crowd.leave()


async def test_a_fault_of_the_one_task_is_raised_by_every_watch(
    watch: TrainingWatch, account: Account, clock: CrowdClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: object) -> bool:
        raise ZeroDivisionError

    crowd = Crowd(watch, account, clock, age_seconds=7200)
    await clock.run(50)
    monkeypatch.setattr("models.avatar.Listing.says", faulty)
    await clock.run(CEILING)
    assert all(isinstance(one.exception(), ZeroDivisionError) for one in crowd.held)
