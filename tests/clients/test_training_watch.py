"""The watch over a training: when it looks, what ends it, and what does not. Hours pass in no time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from clients.argil import ArgilClient
from clients.intervals import interval_seconds
from clients.training_watch import TrainingWatch, WatchEnd
from models.avatar import Avatar, CreateAvatar, VideoSource
from models.errors import ArgilUnauthorized, StaleVersion
from simulator.server import ArgilSimulator, running_argil
from tests.fakes import FakeClock

FLOOR = 5.0
CEILING = 60.0
GONE_AFTER = 30.0
TIMEOUT = timedelta(hours=6)
RATE = 1e6


@pytest.mark.parametrize(
    ("age", "interval"),
    [(-10, 5), (0, 5), (49, 5), (50, 5), (51, 5.1), (100, 10), (600, 60), (601, 60), (21600, 60)],
)
def test_the_interval_is_a_tenth_of_the_age_between_floor_and_ceiling(age: float, interval: float) -> None:
    assert interval_seconds(age, FLOOR, CEILING) == pytest.approx(interval)


class Argil:
    """Answers each look with the next of its answers, the last one ever after; notes when each look was.

    An answer is an avatar's status, an HTTP status, a response, or a failure of the transport.
    """

    def __init__(self, clock: FakeClock, *answers: str | int | httpx.Response | Exception) -> None:
        self._clock = clock
        self._answers = list(answers)
        self._began = clock.now()
        self.looks: list[float] = []

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        self.looks.append((self._clock.now() - self._began).total_seconds())
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        if isinstance(answer, int):
            return httpx.Response(answer, json={"code": answer, "message": "simulated"})
        return httpx.Response(200, json={"id": "a-1", "status": answer})


class Notes:
    """Remembers every change it is told of."""

    def __init__(self) -> None:
        self.statuses: list[str] = []

    async def __call__(self, avatar: Avatar) -> None:
        self.statuses.append(avatar.status)


async def watched(
    clock: FakeClock,
    argil: Argil,
    *,
    lasting: timedelta = TIMEOUT,
    since: datetime | None = None,
    notes: Callable[[Avatar], Awaitable[None]] | None = None,
) -> WatchEnd:
    since = since or clock.now()
    async with ArgilClient(
        "https://argil.example/v1",
        "key",
        clock=clock,
        requests_per_second=RATE,
        transport=httpx.MockTransport(argil),
    ) as client:
        watch = TrainingWatch(client, clock, floor=FLOOR, ceiling=CEILING, gone_after=GONE_AFTER)
        return await watch.until_end("a-1", since, since + lasting, notes or Notes())


# When it looks


async def test_the_first_look_is_at_once_and_the_next_grow_apart_with_the_age(clock: FakeClock) -> None:
    argil = Argil(clock, "TRAINING")
    await watched(clock, argil, lasting=timedelta(seconds=70))
    assert argil.looks == pytest.approx([0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60.5, 66.55, 70])


async def test_an_old_training_is_looked_at_once_a_ceiling(clock: FakeClock) -> None:
    argil = Argil(clock, "TRAINING")
    await watched(clock, argil, since=clock.now() - timedelta(hours=5), lasting=timedelta(hours=5, seconds=170))
    assert argil.looks == pytest.approx([0, 60, 120, 170])


async def test_intervals_are_shortened_by_chance_so_that_watches_do_not_march_in_step() -> None:
    class Hasty(FakeClock):
        def jitter(self) -> float:
            return 0.8

    clock = Hasty()
    argil = Argil(clock, "TRAINING")
    await watched(clock, argil, lasting=timedelta(seconds=14))
    assert argil.looks == pytest.approx([0, 4, 8, 12, 14])


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("wish", "next_look"),
    [("40", 40), ("1", 5), ("0", 5), ("3600", 120), ("soon", 5), ("Mon, 23 Nov 2026 09:00:30 GMT", 30)],
)
async def test_argils_wish_to_be_left_alone_is_respected(
    clock: FakeClock, status: int, wish: str, next_look: float
) -> None:
    argil = Argil(clock, httpx.Response(status, headers={"retry-after": wish}), "IDLE")
    assert await watched(clock, argil) is WatchEnd.SETTLED
    assert argil.looks == [0, next_look]


@pytest.mark.parametrize(("status", "last"), [(503, 20), (429, 100)])
async def test_the_last_look_is_at_the_deadline_or_once_the_account_may_ask_again(
    clock: FakeClock, status: int, last: float
) -> None:
    argil = Argil(clock, httpx.Response(status, headers={"retry-after": "100"}), "IDLE")
    seen = await watched(clock, argil, lasting=timedelta(seconds=20))
    assert argil.looks == [0, last]
    assert seen is WatchEnd.SETTLED


# What ends it


@pytest.mark.parametrize("end", ["IDLE", "TRAINING_FAILED", "REFUSED"])
async def test_each_end_settles_it_at_the_look_that_sees_it(clock: FakeClock, end: str) -> None:
    argil, notes = Argil(clock, "NOT_TRAINED", "TRAINING", end), Notes()
    seen = await watched(clock, argil, notes=notes)
    assert seen is WatchEnd.SETTLED
    assert notes.statuses[-1] == end
    assert argil.looks == [0, 5, 10]


async def test_an_unknown_status_is_watched_on(clock: FakeClock) -> None:
    argil, notes = Argil(clock, "QUEUED_FOR_REVIEW", "QUEUED_FOR_REVIEW", "READY?", "IDLE"), Notes()
    assert await watched(clock, argil, notes=notes) is WatchEnd.SETTLED
    assert notes.statuses == ["QUEUED_FOR_REVIEW", "READY?", "IDLE"]


async def test_it_times_out_exactly_at_the_deadline_after_a_last_look(clock: FakeClock) -> None:
    argil, notes = Argil(clock, "NOT_TRAINED", "TRAINING"), Notes()
    began = clock.now()
    seen = await watched(clock, argil, notes=notes)
    assert seen is WatchEnd.TIMED_OUT
    assert notes.statuses == ["NOT_TRAINED", "TRAINING"]
    assert clock.now() == began + TIMEOUT
    assert argil.looks[-1] == TIMEOUT.total_seconds()


async def test_a_training_that_ends_at_the_deadline_is_still_seen(clock: FakeClock) -> None:
    argil = Argil(clock, "TRAINING", "TRAINING", "TRAINING", "IDLE")
    assert await watched(clock, argil, lasting=timedelta(seconds=15)) is WatchEnd.SETTLED
    assert argil.looks == [0, 5, 10, 15]


@pytest.mark.parametrize(
    ("status", "end"), [("TRAINING", WatchEnd.TIMED_OUT), ("IDLE", WatchEnd.SETTLED), (500, WatchEnd.TIMED_OUT)]
)
async def test_past_its_deadline_it_is_looked_at_once_more(
    clock: FakeClock, status: str | int, end: WatchEnd
) -> None:
    argil = Argil(clock, status)
    assert await watched(clock, argil, since=clock.now() - 2 * TIMEOUT) is end
    assert argil.looks == [0]


async def test_a_deadline_counts_from_the_creation_and_not_from_the_start_of_the_watch(clock: FakeClock) -> None:
    argil = Argil(clock, "TRAINING")
    since = clock.now() - timedelta(seconds=90)
    assert await watched(clock, argil, since=since, lasting=timedelta(seconds=100)) is WatchEnd.TIMED_OUT
    assert argil.looks == pytest.approx([0, 9, 10])


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
async def test_a_look_that_fails_is_missed_and_no_failed_training(
    clock: FakeClock, failure: int | httpx.Response | Exception
) -> None:
    argil, notes = Argil(clock, failure, "TRAINING", failure, failure, "IDLE"), Notes()
    assert await watched(clock, argil, notes=notes) is WatchEnd.SETTLED
    assert notes.statuses == ["TRAINING", "IDLE"]
    assert argil.looks == [0, 5, 10, 15, 20]


async def test_looks_that_fail_to_the_end_are_a_timeout_without_an_avatar(clock: FakeClock) -> None:
    assert await watched(clock, Argil(clock, 500)) is WatchEnd.TIMED_OUT


async def test_a_404_just_after_the_create_means_not_yet(clock: FakeClock) -> None:
    argil = Argil(clock, 404, 404, 404, 404, 404, 404, "NOT_TRAINED", "IDLE")
    assert await watched(clock, argil) is WatchEnd.SETTLED
    assert argil.looks[6] == GONE_AFTER


async def test_a_404_that_stays_means_gone(clock: FakeClock) -> None:
    argil = Argil(clock, "TRAINING", 404)
    seen = await watched(clock, argil)
    assert seen is WatchEnd.VANISHED
    assert argil.looks[-1] == 5 + GONE_AFTER


async def test_a_404_that_was_there_from_the_start_means_gone_too(clock: FakeClock) -> None:
    argil = Argil(clock, 404)
    assert await watched(clock, argil) is WatchEnd.VANISHED
    assert argil.looks[-1] == GONE_AFTER


async def test_one_answer_between_two_404s_starts_the_grace_period_anew(clock: FakeClock) -> None:
    argil = Argil(clock, *[404] * 5, "TRAINING", *[404] * 5, "IDLE")
    assert await watched(clock, argil) is WatchEnd.SETTLED


async def test_a_missed_look_between_two_404s_proves_nothing(clock: FakeClock) -> None:
    argil = Argil(clock, *[404] * 3, 500, 404)
    assert await watched(clock, argil) is WatchEnd.VANISHED
    assert argil.looks[-1] == GONE_AFTER


async def test_a_404_at_the_deadline_is_a_timeout_while_it_is_young(clock: FakeClock) -> None:
    assert await watched(clock, Argil(clock, 404), lasting=timedelta(seconds=10)) is WatchEnd.TIMED_OUT


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_stops_the_watch_with_a_clear_error(clock: FakeClock, status: int) -> None:
    argil, notes = Argil(clock, "TRAINING", status), Notes()
    with pytest.raises(ArgilUnauthorized, match=str(status)):
        await watched(clock, argil, notes=notes)
    assert notes.statuses == ["TRAINING"]
    assert argil.looks == [0, 5]


# What it tells


async def test_each_change_is_told_once(clock: FakeClock) -> None:
    statuses = ["NOT_TRAINED", "NOT_TRAINED", "TRAINING", "TRAINING", "PAUSED", "TRAINING", "TRAINING", "IDLE"]
    argil, notes = Argil(clock, *statuses), Notes()
    await watched(clock, argil, notes=notes)
    assert notes.statuses == ["NOT_TRAINED", "TRAINING", "PAUSED", "TRAINING", "IDLE"]
    assert len(argil.looks) == len(statuses)


async def test_the_change_is_told_with_the_whole_answer(clock: FakeClock) -> None:
    raw: dict[str, Any] = {"id": "a-1", "status": "IDLE", "width": 1920, "new": [1]}
    told: list[Avatar] = []

    async def note(avatar: Avatar) -> None:
        told.append(avatar)

    await watched(clock, Argil(clock, httpx.Response(200, json=raw)), notes=note)
    assert [avatar.raw for avatar in told] == [raw]


async def test_who_cannot_note_a_change_stops_the_watch(clock: FakeClock) -> None:
    async def overtaken(_avatar: Avatar) -> None:
        raise StaleVersion("another driver was faster")

    argil = Argil(clock, "TRAINING")
    with pytest.raises(StaleVersion):
        await watched(clock, argil, notes=overtaken)
    assert argil.looks == [0]


# Against the simulator, whose avatars age by the clock of the watch. Few looks: each is a real request.

TRAINING_SECONDS = 100.0
LOOK_SECONDS = 10.0
GONE_SECONDS = 25.0
PATIENCE = timedelta(seconds=150)


@pytest.fixture(scope="module")
def module_clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="module")
def argil(module_clock: FakeClock) -> Iterator[ArgilSimulator]:
    with running_argil(
        clock=module_clock.monotonic, training_seconds=TRAINING_SECONDS, late_get_seconds=GONE_SECONDS - 1
    ) as running:
        yield running


@pytest.fixture
async def client(argil: ArgilSimulator, module_clock: FakeClock) -> AsyncIterator[ArgilClient]:
    async with ArgilClient(argil.api_url, argil.api_key, clock=module_clock, requests_per_second=RATE) as opened:
        yield opened


@pytest.mark.parametrize(
    ("scenario", "end", "told"),
    [
        ("", WatchEnd.SETTLED, ["NOT_TRAINED", "TRAINING", "IDLE"]),
        ("fail", WatchEnd.SETTLED, ["NOT_TRAINED", "TRAINING", "TRAINING_FAILED"]),
        ("refuse", WatchEnd.SETTLED, ["NOT_TRAINED", "TRAINING", "REFUSED"]),
        ("unknown-status", WatchEnd.SETTLED, ["QUEUED_FOR_REVIEW", "IDLE"]),
        ("flaky-polls", WatchEnd.SETTLED, ["NOT_TRAINED", "TRAINING", "IDLE"]),
        ("late-get", WatchEnd.SETTLED, ["TRAINING", "IDLE"]),
        ("late-get,flaky-polls,fail", WatchEnd.SETTLED, ["TRAINING", "TRAINING_FAILED"]),
        ("vanish", WatchEnd.VANISHED, ["NOT_TRAINED", "TRAINING"]),
        ("never", WatchEnd.TIMED_OUT, ["NOT_TRAINED", "TRAINING"]),
    ],
)
async def test_a_training_at_the_simulator_is_watched_to_its_end(
    client: ArgilClient, module_clock: FakeClock, scenario: str, end: WatchEnd, told: list[str]
) -> None:
    began, notes = module_clock.now(), Notes()
    avatar = await client.create(
        CreateAvatar(
            name="Ada",
            dataset_video=VideoSource(url="https://videos.example/d.mp4"),
            consent_video=VideoSource(url="https://videos.example/c.mp4"),
            extras={"simulator": scenario, "submission_id": str(uuid4())},
        )
    )
    watch = TrainingWatch(client, module_clock, floor=LOOK_SECONDS, ceiling=LOOK_SECONDS, gone_after=GONE_SECONDS)
    seen = await watch.until_end(avatar.id, began, began + PATIENCE, notes)
    assert seen is end
    assert notes.statuses == told
    took = (module_clock.now() - began).total_seconds()
    if end is WatchEnd.TIMED_OUT:
        assert took == PATIENCE.total_seconds()
    else:
        due = TRAINING_SECONDS if end is WatchEnd.SETTLED else TRAINING_SECONDS / 2 + GONE_SECONDS
        assert due <= took <= due + 2 * LOOK_SECONDS
