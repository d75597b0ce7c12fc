"""TrainingMonitor with individual polls: when it polls, what ends it, and what does not. Time is virtual."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from clients.argil import ArgilClient
from clients.poll_schedule import poll_interval
from clients.training_monitor import MonitorResult, TrainingMonitor
from models.argil.avatar import Avatar, CreateAvatarRequest, RecordingSource
from models.errors import ArgilUnauthorized, StaleVersion
from simulator.server import ArgilSimulator, run_argil
from tests.fakes import FakeClock

MIN_INTERVAL = 5.0
MAX_INTERVAL = 60.0
NOT_FOUND_GRACE = 30.0
TIMEOUT = timedelta(hours=6)
RATE = 1e6
STEPS = (7200.0, -7200.0)
"""Steps of the wall clock, in seconds."""


@pytest.mark.parametrize(
    ("age", "interval"),
    [(-10, 5), (0, 5), (49, 5), (50, 5), (51, 5.1), (100, 10), (600, 60), (601, 60), (21600, 60)],
)
def test_interval_is_a_tenth_of_the_age_within_bounds(age: float, interval: float) -> None:
    assert poll_interval(age, MIN_INTERVAL, MAX_INTERVAL) == pytest.approx(interval)


class Argil:
    """Answers each poll with the next response, repeats the last one, and records the time of each poll.

    A response is an avatar's status, an HTTP status, an httpx.Response, or a transport error to raise.
    """

    def __init__(self, clock: FakeClock, *responses: str | int | httpx.Response | Exception) -> None:
        self._clock = clock
        self._responses = list(responses)
        self._started_at = clock.now()
        self.polls: list[float] = []

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        self.polls.append((self._clock.now() - self._started_at).total_seconds())
        response = self._responses.pop(0) if len(self._responses) > 1 else self._responses[0]
        if isinstance(response, Exception):
            raise response
        if isinstance(response, httpx.Response):
            return response
        if isinstance(response, int):
            return httpx.Response(response, json={"code": response, "message": "simulated"})
        return httpx.Response(200, json={"id": "a-1", "status": response})


class SteppingArgil(Argil):
    """Steps the wall clock after the second poll, and records the monotonic time of each poll."""

    def __init__(self, clock: FakeClock, step: float, *responses: str | int) -> None:
        super().__init__(clock, *responses)
        self._step = step
        self._first_at = clock.monotonic()
        self.monotonic_polls: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.monotonic_polls.append(self._clock.monotonic() - self._first_at)
        if len(self.monotonic_polls) == 2:
            self._clock.step(self._step)
        return super().__call__(request)


class RecordedChanges:
    """Records the status of every change."""

    def __init__(self) -> None:
        self.statuses: list[str] = []

    async def __call__(self, avatar: Avatar) -> None:
        self.statuses.append(avatar.status)


async def monitor_avatar(
    clock: FakeClock,
    argil: Argil,
    *,
    duration: timedelta = TIMEOUT,
    since: datetime | None = None,
    changes: Callable[[Avatar], Awaitable[None]] | None = None,
    min_interval_seconds: float | None = None,
) -> MonitorResult:
    since = since or clock.now()
    async with ArgilClient(
        "https://argil.example/v1",
        "key",
        clock=clock,
        requests_per_second=RATE,
        transport=httpx.MockTransport(argil),
    ) as client:
        monitor = TrainingMonitor(
            client,
            clock,
            min_interval_seconds=MIN_INTERVAL,
            max_interval_seconds=MAX_INTERVAL,
            not_found_grace_seconds=NOT_FOUND_GRACE,
        )
        return await monitor.wait_until_terminal(
            "a-1", since, since + duration, changes or RecordedChanges(), min_interval_seconds=min_interval_seconds
        )


# When it polls


async def test_first_poll_is_immediate_and_intervals_grow(clock: FakeClock) -> None:
    argil = Argil(clock, "TRAINING")
    await monitor_avatar(clock, argil, duration=timedelta(seconds=70))
    assert argil.polls == pytest.approx([0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60.5, 66.55, 70])


async def test_training_with_a_minimum_of_its_own_is_polled_at_it(clock: FakeClock) -> None:
    argil = Argil(clock, "TRAINING")
    await monitor_avatar(clock, argil, duration=timedelta(seconds=27), min_interval_seconds=2.0)
    assert argil.polls == pytest.approx([0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24.2, 26.62, 27])


async def test_old_training_is_polled_at_the_max_interval(clock: FakeClock) -> None:
    argil = Argil(clock, "TRAINING")
    await monitor_avatar(
        clock, argil, since=clock.now() - timedelta(hours=5), duration=timedelta(hours=5, seconds=170)
    )
    assert argil.polls == pytest.approx([0, 60, 120, 170])


async def test_jitter_shortens_intervals() -> None:
    class JitteredClock(FakeClock):
        def jitter(self) -> float:
            return 0.8

    clock = JitteredClock()
    argil = Argil(clock, "TRAINING")
    await monitor_avatar(clock, argil, duration=timedelta(seconds=14))
    assert argil.polls == pytest.approx([0, 4, 8, 12, 14])


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "next_poll"),
    [("40", 40), ("1", 5), ("0", 5), ("soon", 5), ("Mon, 23 Nov 2026 09:00:30 GMT", 30)],
)
async def test_retry_after_delays_the_next_poll(
    clock: FakeClock, status: int, retry_after: str, next_poll: float
) -> None:
    argil = Argil(clock, httpx.Response(status, headers={"retry-after": retry_after}), "IDLE")
    assert await monitor_avatar(clock, argil) is MonitorResult.TERMINAL
    assert argil.polls == [0, next_poll]


@pytest.mark.parametrize(("status", "next_poll"), [(503, 120), (429, 900)])
async def test_long_retry_after_is_bounded(clock: FakeClock, status: int, next_poll: float) -> None:
    argil = Argil(clock, httpx.Response(status, headers={"retry-after": "3600"}), "IDLE")
    assert await monitor_avatar(clock, argil) is MonitorResult.TERMINAL
    assert argil.polls == [0, next_poll]


@pytest.mark.parametrize(("status", "last"), [(503, 20), (429, 100)])
async def test_last_poll_is_at_the_deadline_or_after_a_429_pause(
    clock: FakeClock, status: int, last: float
) -> None:
    argil = Argil(clock, httpx.Response(status, headers={"retry-after": "100"}), "IDLE")
    result = await monitor_avatar(clock, argil, duration=timedelta(seconds=20))
    assert argil.polls == [0, last]
    assert result is MonitorResult.TERMINAL


# What ends it


@pytest.mark.parametrize("status", ["IDLE", "TRAINING_FAILED", "REFUSED"])
async def test_terminal_status_ends_monitoring_at_once(clock: FakeClock, status: str) -> None:
    argil, changes = Argil(clock, "NOT_TRAINED", "TRAINING", status), RecordedChanges()
    result = await monitor_avatar(clock, argil, changes=changes)
    assert result is MonitorResult.TERMINAL
    assert changes.statuses[-1] == status
    assert argil.polls == [0, 5, 10]


async def test_unknown_status_does_not_end_monitoring(clock: FakeClock) -> None:
    argil, changes = Argil(clock, "QUEUED_FOR_REVIEW", "QUEUED_FOR_REVIEW", "READY?", "IDLE"), RecordedChanges()
    assert await monitor_avatar(clock, argil, changes=changes) is MonitorResult.TERMINAL
    assert changes.statuses == ["QUEUED_FOR_REVIEW", "READY?", "IDLE"]


async def test_timeout_is_at_the_deadline_after_a_last_poll(clock: FakeClock) -> None:
    argil, changes = Argil(clock, "NOT_TRAINED", "TRAINING"), RecordedChanges()
    started_at = clock.now()
    result = await monitor_avatar(clock, argil, changes=changes)
    assert result is MonitorResult.TIMED_OUT
    assert changes.statuses == ["NOT_TRAINED", "TRAINING"]
    assert clock.now() == started_at + TIMEOUT
    assert argil.polls[-1] == TIMEOUT.total_seconds()


async def test_terminal_status_at_the_deadline_is_detected(clock: FakeClock) -> None:
    argil = Argil(clock, "TRAINING", "TRAINING", "TRAINING", "IDLE")
    assert await monitor_avatar(clock, argil, duration=timedelta(seconds=15)) is MonitorResult.TERMINAL
    assert argil.polls == [0, 5, 10, 15]


@pytest.mark.parametrize(
    ("status", "result"),
    [("TRAINING", MonitorResult.TIMED_OUT), ("IDLE", MonitorResult.TERMINAL), (500, MonitorResult.TIMED_OUT)],
)
async def test_expired_subscription_is_polled_once(
    clock: FakeClock, status: str | int, result: MonitorResult
) -> None:
    argil = Argil(clock, status)
    assert await monitor_avatar(clock, argil, since=clock.now() - 2 * TIMEOUT) is result
    assert argil.polls == [0]


async def test_deadline_counts_from_the_start_of_the_training(clock: FakeClock) -> None:
    argil = Argil(clock, "TRAINING")
    since = clock.now() - timedelta(seconds=90)
    assert (
        await monitor_avatar(clock, argil, since=since, duration=timedelta(seconds=100)) is MonitorResult.TIMED_OUT
    )
    assert argil.polls == pytest.approx([0, 9, 10])


# What does not


@pytest.mark.parametrize(
    "failure",
    [
        400,
        402,
        408,
        429,
        500,
        502,
        503,
        504,
        httpx.ReadTimeout(""),
        httpx.ConnectError("refused"),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"id": "a-1"}),
    ],
)
async def test_failed_poll_is_skipped_and_not_a_failed_training(
    clock: FakeClock, failure: int | httpx.Response | Exception
) -> None:
    argil, changes = Argil(clock, failure, "TRAINING", failure, failure, "IDLE"), RecordedChanges()
    assert await monitor_avatar(clock, argil, changes=changes) is MonitorResult.TERMINAL
    assert changes.statuses == ["TRAINING", "IDLE"]
    assert argil.polls == [0, 5, 10, 15, 20]


async def test_only_failed_polls_end_in_a_timeout(clock: FakeClock) -> None:
    assert await monitor_avatar(clock, Argil(clock, 500)) is MonitorResult.TIMED_OUT


async def test_404_of_a_new_avatar_is_tolerated_for_the_grace(clock: FakeClock) -> None:
    argil = Argil(clock, 404, 404, 404, 404, 404, 404, "NOT_TRAINED", "IDLE")
    assert await monitor_avatar(clock, argil) is MonitorResult.TERMINAL
    assert argil.polls[6] == NOT_FOUND_GRACE


async def test_lasting_404_ends_in_not_found(clock: FakeClock) -> None:
    argil = Argil(clock, "TRAINING", 404)
    result = await monitor_avatar(clock, argil)
    assert result is MonitorResult.NOT_FOUND
    assert argil.polls[-1] == 5 + NOT_FOUND_GRACE


async def test_404_from_the_start_ends_in_not_found(clock: FakeClock) -> None:
    argil = Argil(clock, 404)
    assert await monitor_avatar(clock, argil) is MonitorResult.NOT_FOUND
    assert argil.polls[-1] == NOT_FOUND_GRACE


async def test_avatar_between_two_404s_restarts_the_grace_period(clock: FakeClock) -> None:
    argil = Argil(clock, *[404] * 5, "TRAINING", *[404] * 5, "IDLE")
    assert await monitor_avatar(clock, argil) is MonitorResult.TERMINAL


async def test_failed_poll_between_404s_keeps_the_grace_period(clock: FakeClock) -> None:
    argil = Argil(clock, *[404] * 3, 500, 404)
    assert await monitor_avatar(clock, argil) is MonitorResult.NOT_FOUND
    assert argil.polls[-1] == NOT_FOUND_GRACE


@pytest.mark.parametrize("step", STEPS)
async def test_clock_step_neither_ends_nor_extends_the_404_grace(clock: FakeClock, step: float) -> None:
    argil = SteppingArgil(clock, step, 404)
    assert await monitor_avatar(clock, argil) is MonitorResult.NOT_FOUND
    assert argil.monotonic_polls[-1] == NOT_FOUND_GRACE


@pytest.mark.parametrize("step", STEPS)
async def test_clock_step_neither_ends_nor_extends_the_deadline(clock: FakeClock, step: float) -> None:
    argil = SteppingArgil(clock, step, "TRAINING")
    assert await monitor_avatar(clock, argil, duration=timedelta(seconds=20)) is MonitorResult.TIMED_OUT
    assert argil.monotonic_polls == [0, 5, 10, 15, 20]


async def test_404_within_grace_at_the_deadline_is_a_timeout(clock: FakeClock) -> None:
    assert await monitor_avatar(clock, Argil(clock, 404), duration=timedelta(seconds=10)) is MonitorResult.TIMED_OUT


@pytest.mark.parametrize("status", [401, 403])
async def test_rejected_key_raises_argil_unauthorized(clock: FakeClock, status: int) -> None:
    argil, changes = Argil(clock, "TRAINING", status), RecordedChanges()
    with pytest.raises(ArgilUnauthorized, match=str(status)):
        await monitor_avatar(clock, argil, changes=changes)
    assert changes.statuses == ["TRAINING"]
    assert argil.polls == [0, 5]


# What it reports


async def test_each_change_is_reported_once(clock: FakeClock) -> None:
    statuses = ["NOT_TRAINED", "NOT_TRAINED", "TRAINING", "TRAINING", "PAUSED", "TRAINING", "TRAINING", "IDLE"]
    argil, changes = Argil(clock, *statuses), RecordedChanges()
    await monitor_avatar(clock, argil, changes=changes)
    assert changes.statuses == ["NOT_TRAINED", "TRAINING", "PAUSED", "TRAINING", "IDLE"]
    assert len(argil.polls) == len(statuses)


async def test_change_is_reported_with_the_whole_response(clock: FakeClock) -> None:
    raw: dict[str, Any] = {"id": "a-1", "status": "IDLE", "width": 1920, "new": [1]}
    reported: list[Avatar] = []

    async def note(avatar: Avatar) -> None:
        reported.append(avatar)

    await monitor_avatar(clock, Argil(clock, httpx.Response(200, json=raw)), changes=note)
    assert [avatar.raw for avatar in reported] == [raw]


async def test_error_in_on_change_ends_monitoring(clock: FakeClock) -> None:
    async def raise_stale(_avatar: Avatar) -> None:
        raise StaleVersion("another lease owner was faster")

    argil = Argil(clock, "TRAINING")
    with pytest.raises(StaleVersion):
        await monitor_avatar(clock, argil, changes=raise_stale)
    assert argil.polls == [0]


# Against the simulator, whose avatars age by the monitor's clock. Few polls: each is a real request.

TRAINING_SECONDS = 100.0
POLL_SECONDS = 10.0
SIMULATOR_GRACE = 25.0
SIMULATOR_TIMEOUT = timedelta(seconds=150)


@pytest.fixture(scope="module")
def module_clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="module")
def argil(module_clock: FakeClock) -> Iterator[ArgilSimulator]:
    with run_argil(
        clock=module_clock.monotonic, training_seconds=TRAINING_SECONDS, get_lag_seconds=SIMULATOR_GRACE - 1
    ) as running:
        yield running


@pytest.fixture
async def client(argil: ArgilSimulator, module_clock: FakeClock) -> AsyncIterator[ArgilClient]:
    async with ArgilClient(argil.api_url, argil.api_key, clock=module_clock, requests_per_second=RATE) as client:
        yield client


@pytest.mark.parametrize(
    ("scenario", "expected", "statuses"),
    [
        ("", MonitorResult.TERMINAL, ["NOT_TRAINED", "TRAINING", "IDLE"]),
        ("fail", MonitorResult.TERMINAL, ["NOT_TRAINED", "TRAINING", "TRAINING_FAILED"]),
        ("refuse", MonitorResult.TERMINAL, ["NOT_TRAINED", "TRAINING", "REFUSED"]),
        ("unknown-status", MonitorResult.TERMINAL, ["QUEUED_FOR_REVIEW", "IDLE"]),
        ("flaky-polls", MonitorResult.TERMINAL, ["NOT_TRAINED", "TRAINING", "IDLE"]),
        ("late-get", MonitorResult.TERMINAL, ["TRAINING", "IDLE"]),
        ("late-get,flaky-polls,fail", MonitorResult.TERMINAL, ["TRAINING", "TRAINING_FAILED"]),
        ("vanish", MonitorResult.NOT_FOUND, ["NOT_TRAINED", "TRAINING"]),
        ("never", MonitorResult.TIMED_OUT, ["NOT_TRAINED", "TRAINING"]),
    ],
)
async def test_training_at_the_simulator_is_monitored_to_its_end(
    client: ArgilClient, module_clock: FakeClock, scenario: str, expected: MonitorResult, statuses: list[str]
) -> None:
    started_at, changes = module_clock.now(), RecordedChanges()
    avatar = await client.create_avatar(
        CreateAvatarRequest(
            name="Ada",
            dataset_video=RecordingSource(url="https://videos.example/d.mp4"),
            consent_video=RecordingSource(url="https://videos.example/c.mp4"),
            extras={"simulator": scenario, "submission_id": str(uuid4())},
        )
    )
    monitor = TrainingMonitor(
        client,
        module_clock,
        min_interval_seconds=POLL_SECONDS,
        max_interval_seconds=POLL_SECONDS,
        not_found_grace_seconds=SIMULATOR_GRACE,
    )
    result = await monitor.wait_until_terminal(avatar.id, started_at, started_at + SIMULATOR_TIMEOUT, changes)
    assert result is expected
    assert changes.statuses == statuses
    elapsed = (module_clock.now() - started_at).total_seconds()
    if expected is MonitorResult.TIMED_OUT:
        assert elapsed == SIMULATOR_TIMEOUT.total_seconds()
    else:
        due = TRAINING_SECONDS if expected is MonitorResult.TERMINAL else TRAINING_SECONDS / 2 + SIMULATOR_GRACE
        assert due <= elapsed <= due + 2 * POLL_SECONDS
