"""List polling: one list call per tick, and a GET for each avatar that the list omits. Time is virtual."""

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
from clients.list_poller import MAX_FALLBACK_POLLS, SLOW_LIST_SECONDS
from clients.poll_schedule import seconds_until_next_tick
from clients.training_monitor import LIST_POLLING_THRESHOLD, MonitorResult, TrainingMonitor
from clients.training_subscription import PollSignal, PollUpdate, Subscription
from models.argil.avatar import Avatar
from models.errors import ArgilUnauthorized
from tests.fakes import FakeClock

MIN_INTERVAL, MAX_INTERVAL = 5.0, 60.0
MANY = 150
LOOP_ITERATIONS = 60
"""Iterations of the event loop after which all coroutines are waiting."""


class VirtualClock(FakeClock):
    """Advances to the end of the next sleep once all coroutines are waiting."""

    def __init__(self) -> None:
        super().__init__()
        self._sleeps: list[tuple[float, int, asyncio.Event]] = []
        self._order = itertools.count()

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        elapsed = asyncio.Event()
        heapq.heappush(self._sleeps, (self.monotonic() + seconds, next(self._order), elapsed))
        await elapsed.wait()

    async def run(self, seconds: float) -> None:
        end = self.monotonic() + seconds
        while True:
            for _ in range(LOOP_ITERATIONS):
                await asyncio.sleep(0)
            if not self._sleeps or self._sleeps[0][0] > end:
                self.advance(max(end - self.monotonic(), 0))
                return
            due = self._sleeps[0][0]
            self.advance(max(due - self.monotonic(), 0))
            while self._sleeps and self._sleeps[0][0] <= due:
                heapq.heappop(self._sleeps)[2].set()


class Account:
    """An account whose list omits the hidden avatars; records the time of each request."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.statuses: dict[str, str] = {}
        self.hidden: set[str] = set()
        self.list_response: httpx.Response | None = None
        self.list_seconds = 0.0
        self.lists: list[float] = []
        self.gets: list[tuple[float, str]] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        now = self._clock.monotonic()
        if request.url.path.endswith("/avatars"):
            self.lists.append(now)
            listed = [{"id": k, "status": v} for k, v in self.statuses.items() if k not in self.hidden]
            await self._clock.sleep(self.list_seconds)
            return self.list_response or httpx.Response(200, json=listed)
        avatar_id = request.url.path.rpartition("/")[2]
        self.gets.append((now, avatar_id))
        if self.list_response is not None and self.list_response.status_code == httpx.codes.UNAUTHORIZED:
            return self.list_response
        if avatar_id not in self.statuses:
            return httpx.Response(404, json={"code": 404, "message": "no such avatar"})
        return httpx.Response(200, json={"id": avatar_id, "status": self.statuses[avatar_id]})


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def account(clock: VirtualClock) -> Account:
    account = Account(clock)
    account.statuses = {f"a-{number}": "TRAINING" for number in range(MANY)}
    return account


class ManualWakeups:
    """Keeps the callbacks by avatar id, for a test to call."""

    def __init__(self) -> None:
        self.callbacks: dict[str, Callable[[], None]] = {}

    @contextlib.asynccontextmanager
    async def subscribe(self, avatar_id: str, on_wakeup: Callable[[], None]) -> AsyncIterator[None]:
        self.callbacks[avatar_id] = on_wakeup
        yield


@pytest.fixture
def wakeups() -> ManualWakeups:
    return ManualWakeups()


@pytest.fixture
async def monitor(clock: VirtualClock, account: Account, wakeups: ManualWakeups) -> AsyncIterator[TrainingMonitor]:
    async with ArgilClient(
        "https://argil.example/v1",
        "key",
        clock=clock,
        requests_per_second=1e6,
        transport=httpx.MockTransport(account),
    ) as client:
        yield TrainingMonitor(
            client,
            clock,
            min_interval_seconds=MIN_INTERVAL,
            max_interval_seconds=MAX_INTERVAL,
            not_found_grace_seconds=30.0,
            wakeups=wakeups,
        )


class WatchGroup:
    """Monitors every avatar of the account."""

    def __init__(
        self,
        monitor: TrainingMonitor,
        account: Account,
        clock: VirtualClock,
        *,
        age_seconds: float,
        seconds: float = 86400.0,
        min_interval_seconds: float | None = None,
    ) -> None:
        """Start monitoring trainings of this age, with a deadline in `seconds`."""
        now = clock.now()
        since, deadline = now - timedelta(seconds=age_seconds), now + timedelta(seconds=seconds)
        self.changes: list[tuple[str, str]] = []

        async def note(avatar: Avatar) -> None:
            self.changes.append((avatar.id, avatar.status))

        self.tasks = [
            asyncio.create_task(
                monitor.wait_until_terminal(
                    avatar_id, since, deadline, note, min_interval_seconds=min_interval_seconds
                )
            )
            for avatar_id in account.statuses
        ]

    async def cancel(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)

    def results(self) -> list[MonitorResult]:
        return [task.result() for task in self.tasks]


@pytest.mark.parametrize(
    ("now", "interval", "wait"),
    [(0.0, 5.0, 2.5), (3.0, 5.0, 2.0), (3.0, 9.9, 2.0), (6.0, 10.0, 4.0), (45.0, 60.0, 15.0), (1.0, 2.0, 1.5)],
)
def test_ticks_of_long_intervals_are_ticks_of_short_ones(now: float, interval: float, wait: float) -> None:
    assert seconds_until_next_tick(now, interval, MIN_INTERVAL) == wait


async def test_each_tick_costs_one_list_call_and_gets_of_omitted_avatars(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock
) -> None:
    account.hidden = {"a-1", "a-2"}
    group = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(1200)
    assert 59 <= len(account.lists) <= 62  # one at the start, then one every 20 seconds
    assert {avatar_id for _, avatar_id in account.gets[LIST_POLLING_THRESHOLD:]} == account.hidden
    assert len(account.gets) <= LIST_POLLING_THRESHOLD + 2 * len(account.lists)
    await group.cancel()


@pytest.mark.parametrize(("jitter", "offsets"), [(1.0, {0.0}), (0.9, {14.0})])
async def test_processes_do_not_list_in_lockstep(
    clock: VirtualClock, account: Account, jitter: float, offsets: set[float]
) -> None:
    clock.jitter = lambda: jitter  # type: ignore[method-assign]  # SystemClock draws one per process
    transport = httpx.MockTransport(account)
    async with ArgilClient(
        "https://argil.example/v1", "key", clock=clock, requests_per_second=1e6, transport=transport
    ) as client:
        monitor = TrainingMonitor(
            client,
            clock,
            min_interval_seconds=MIN_INTERVAL,
            max_interval_seconds=MAX_INTERVAL,
            not_found_grace_seconds=30.0,
        )
        group = WatchGroup(monitor, account, clock, age_seconds=7200)
        await clock.run(200)
        assert {round(at % 20, 3) for at in account.lists[2:]} == offsets
        await group.cancel()


async def test_young_and_old_trainings_share_list_calls(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock
) -> None:
    groups = [WatchGroup(monitor, account, clock, age_seconds=age) for age in (1.0, 120.0, 7200.0)]
    await clock.run(40)
    assert len(account.lists) <= 18  # one every 2.5 seconds
    assert len(account.gets) <= LIST_POLLING_THRESHOLD
    for group in groups:
        await group.cancel()


async def test_trainings_of_images_are_listed_at_their_own_interval(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock
) -> None:
    videos = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(100)
    before = len(account.lists)
    account.statuses |= {f"image-{number}": "TRAINING" for number in range(MANY)}
    images = WatchGroup(monitor, account, clock, age_seconds=0.0, min_interval_seconds=2.0)
    await clock.run(20)
    assert 18 <= len(account.lists) - before <= 22  # one every second: twice per interval
    account.statuses = {avatar_id: "IDLE" for avatar_id in account.statuses if avatar_id.startswith("image-")}
    await clock.run(2)
    assert {avatar_id for avatar_id, status in images.changes if status == "IDLE"} == set(account.statuses)
    for group in (videos, images):
        await group.cancel()


async def test_every_terminal_status_is_detected_within_an_interval(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock
) -> None:
    group = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(300)
    account.statuses = dict.fromkeys(account.statuses, "IDLE")
    await clock.run(MAX_INTERVAL)
    assert set(group.results()) == {MonitorResult.TERMINAL}


async def test_avatar_missing_everywhere_is_not_found_after_grace(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock
) -> None:
    group = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(100)
    del account.statuses["a-7"]
    await clock.run(200)
    assert [task.done() for task in group.tasks].count(True) == 1
    assert group.tasks[7].result() is MonitorResult.NOT_FOUND
    await group.cancel()


@pytest.mark.parametrize("status", [404, 500])
async def test_failing_list_costs_bounded_gets_and_ends_nothing(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock, status: int
) -> None:
    account.list_response = httpx.Response(status)
    group = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(400)
    assert len(account.gets) <= LIST_POLLING_THRESHOLD + MAX_FALLBACK_POLLS * len(account.lists)
    assert not any(task.done() for task in group.tasks)
    account.list_response = None
    account.statuses = dict.fromkeys(account.statuses, "IDLE")
    await clock.run(MAX_INTERVAL)
    assert set(group.results()) == {MonitorResult.TERMINAL}


async def test_retry_after_of_a_list_pauses_all_polls(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock
) -> None:
    group = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(41)
    account.list_response = httpx.Response(429, headers={"retry-after": "100"})
    await clock.run(40)
    before, gets = len(account.lists), len(account.gets)
    await clock.run(59)  # the last tick was at most 20 seconds ago
    assert (len(account.lists), len(account.gets)) == (before, gets)
    await group.cancel()


async def test_rejected_key_ends_every_subscription(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock
) -> None:
    group = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(10)
    account.list_response = httpx.Response(401, json={"message": "no"})
    await clock.run(MAX_INTERVAL)
    assert all(isinstance(task.exception(), ArgilUnauthorized) for task in group.tasks)


async def test_only_changes_are_notified_and_each_once(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    notified: list[str] = []
    wait = Subscription.wait

    async def counted_wait(self: Subscription) -> PollUpdate | PollSignal:
        update = await wait(self)
        notified.append(self.avatar_id)
        return update

    monkeypatch.setattr(Subscription, "wait", counted_wait)
    group = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(200)
    notified.clear()
    account.statuses["a-7"] = "PAUSED"
    await clock.run(200)
    account.statuses["a-7"] = "TRAINING"
    await clock.run(200)
    assert notified == ["a-7", "a-7"]
    assert len(group.changes) == MANY + 2
    assert group.changes[MANY:] == [("a-7", "PAUSED"), ("a-7", "TRAINING")]
    await group.cancel()


async def test_redacted_status_is_notified_only_once(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock
) -> None:
    account.statuses = dict.fromkeys(account.statuses, "https://a.example/?canary")
    group = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(200)
    assert len(group.changes) == MANY
    assert all("canary" not in status for _, status in group.changes)
    await group.cancel()


async def test_new_subscription_does_not_wait_for_the_next_tick(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock
) -> None:
    group = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(102)
    two_avatars = Account(clock)
    two_avatars.statuses = {"a-7": "TRAINING", "a-8": "TRAINING"}
    lists, gets = len(account.lists), len(account.gets)
    added = WatchGroup(monitor, two_avatars, clock, age_seconds=7200)
    await clock.run(1)
    assert [avatar_id for avatar_id, _ in added.changes] == ["a-7", "a-8"]
    assert (len(account.lists), len(account.gets)) == (lists + 1, gets)
    await group.cancel()
    await added.cancel()


async def test_omitted_old_avatar_keeps_its_own_interval(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock
) -> None:
    young = WatchGroup(monitor, account, clock, age_seconds=6)
    await clock.run(1)
    one_avatar = Account(clock)
    one_avatar.statuses = {"old": "TRAINING"}
    account.statuses["old"] = "TRAINING"
    account.hidden = {"old"}
    lists = len(account.lists)
    old = WatchGroup(monitor, one_avatar, clock, age_seconds=7200)
    await clock.run(60)
    assert len(account.lists) - lists > 10
    assert 3 <= [avatar_id for _, avatar_id in account.gets].count("old") <= 5
    await young.cancel()
    await old.cancel()


async def test_one_list_call_serves_all_deadlines(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock
) -> None:
    group = WatchGroup(monitor, account, clock, age_seconds=7200, seconds=107)
    others = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(106)
    lists, gets = len(account.lists), len(account.gets)
    await clock.run(2)
    assert set(group.results()) == {MonitorResult.TIMED_OUT}
    assert len(account.lists) == lists + 1
    await clock.run(10)
    assert (len(account.lists), len(account.gets)) == (lists + 1, gets)
    await others.cancel()


async def test_expired_subscriptions_share_one_list_call(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock
) -> None:
    account.statuses["a-99"] = "IDLE"
    group = WatchGroup(monitor, account, clock, age_seconds=7200, seconds=0)
    await clock.run(MIN_INTERVAL)
    assert group.results() == [MonitorResult.TERMINAL if n == 99 else MonitorResult.TIMED_OUT for n in range(MANY)]
    assert len(account.lists) == 1
    assert len(account.gets) <= LIST_POLLING_THRESHOLD


async def test_failing_list_at_the_deadline_costs_bounded_gets(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock
) -> None:
    account.list_response = httpx.Response(500)
    group = WatchGroup(monitor, account, clock, age_seconds=7200, seconds=10)
    await clock.run(10 + MIN_INTERVAL)
    assert set(group.results()) == {MonitorResult.TIMED_OUT}
    assert len(account.gets) <= LIST_POLLING_THRESHOLD + MAX_FALLBACK_POLLS * len(account.lists)


async def test_slow_list_falls_back_to_bounded_gets(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock
) -> None:
    group = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(101)
    account.list_seconds = 170.0
    before, gets = len(account.lists), len(account.gets)
    while (lists := len(account.lists)) == before:
        await clock.run(1)
    account.statuses = dict.fromkeys(account.statuses, "IDLE")
    await clock.run(SLOW_LIST_SECONDS)
    assert 0 < len(account.gets) - gets <= MAX_FALLBACK_POLLS
    await clock.run(SLOW_LIST_SECONDS * MANY / MAX_FALLBACK_POLLS)
    assert set(group.results()) == {MonitorResult.TERMINAL}
    assert len(account.lists) == lists
    assert len(account.gets) == gets + MANY


async def test_lasting_list_failure_still_polls_every_avatar(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock
) -> None:
    account.list_response = httpx.Response(500)
    group = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(20.0 * (MANY / MAX_FALLBACK_POLLS + 1))
    assert {avatar_id for _, avatar_id in account.gets} == account.statuses.keys()
    await group.cancel()


async def test_below_threshold_polling_continues_with_gets(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock
) -> None:
    group = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(100)
    unfinished = list(account.statuses)[: LIST_POLLING_THRESHOLD - 1]
    account.statuses = {k: "TRAINING" if k in unfinished else "IDLE" for k in account.statuses}
    await clock.run(2 * MAX_INTERVAL)
    assert [task.done() for task in group.tasks].count(False) == len(unfinished)
    lists, gets = len(account.lists), len(account.gets)
    await clock.run(600)
    assert len(account.lists) == lists
    assert len(account.gets) == gets + 10 * len(unfinished)
    await group.cancel()


async def test_wakeup_in_list_mode_sends_one_get(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock, wakeups: ManualWakeups
) -> None:
    group = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(101)
    lists, gets = len(account.lists), len(account.gets)
    account.statuses["a-7"] = account.statuses["a-8"] = "IDLE"
    wakeups.callbacks["a-7"]()
    await clock.run(1)
    assert [avatar_id for _, avatar_id in account.gets[gets:]] == ["a-7"]
    assert [task.done() for task in group.tasks].count(True) == 1
    assert len(account.lists) == lists
    await group.cancel()


async def test_list_older_than_an_individual_poll_is_ignored(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock, wakeups: ManualWakeups
) -> None:
    group = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(101)
    lists = len(account.lists)
    account.list_seconds = 15.0
    while len(account.lists) == lists:
        await clock.run(1)
    account.statuses["a-7"] = "PAUSED"  # the list call in progress returns the old status
    wakeups.callbacks["a-7"]()
    await clock.run(60)
    assert group.changes[MANY:] == [("a-7", "PAUSED")]
    await group.cancel()


async def test_avatar_found_again_restarts_its_grace_period(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock
) -> None:
    group = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(101)
    del account.statuses["a-7"]
    await clock.run(20)  # one poll, answered with 404
    account.statuses["a-7"] = "TRAINING"
    await clock.run(600)
    del account.statuses["a-7"]
    await clock.run(20)
    assert not group.tasks[7].done()
    await clock.run(60)
    assert group.tasks[7].result() is MonitorResult.NOT_FOUND
    await group.cancel()


async def test_error_in_the_poll_task_reaches_every_subscription(
    monitor: TrainingMonitor, account: Account, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: object) -> bool:
        raise ZeroDivisionError

    group = WatchGroup(monitor, account, clock, age_seconds=7200)
    await clock.run(50)
    monkeypatch.setattr("models.argil.avatar_list.AvatarList.has_status", faulty)
    await clock.run(MAX_INTERVAL)
    assert all(isinstance(task.exception(), ZeroDivisionError) for task in group.tasks)
