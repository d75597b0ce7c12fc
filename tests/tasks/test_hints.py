"""Hints cut the pauses of the watches they are meant for, and nothing else; here no pause ends but by a hint."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import httpx
import pytest

from clients.argil import ArgilClient
from clients.training_watch import TrainingWatch, WatchEnd
from models.avatar import Avatar
from models.errors import DatabaseError
from models.provisioning import Provisioning
from models.webhook import Delivery
from simulator.server import ArgilSimulator
from store.database import Database
from store.deliveries import Deliveries
from tasks import follow_hint as module
from tasks.follow_hint import follow_hint
from tasks.hints import Hints
from tests.fakes import FakeClock
from tests.tasks.conftest import TRAINING_SECONDS, Desk, EventfulClock

HOUR = 3600.0
PATIENCE_SECONDS = 20.0


class EndlessClock(FakeClock):
    """No sleep ends by itself, but for the throttle's."""

    async def sleep(self, seconds: float) -> None:
        await (asyncio.Event().wait() if seconds > 0.1 else super().sleep(seconds))


class Ticks:
    """The pauses of the poller, each of which the test ends."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._begun = asyncio.Queue[asyncio.Event]()
        self._now: asyncio.Event | None = None

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        ended = asyncio.Event()
        self._begun.put_nowait(ended)
        await ended.wait()

    async def tick(self) -> None:
        """End this pause, and wait until the poller has asked and pauses again."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            pause = self._now or await self._begun.get()
            pause.set()
            self._now = await self._begun.get()


class CountedDeliveries(Deliveries):
    """Counts what pollers ask, and fails when told to."""

    asked = 0
    failing = False

    async def newest_id(self) -> int:
        self._count()
        return await super().newest_id()

    async def since(self, delivery_id: int) -> list[tuple[int, str]]:
        self._count()
        return await super().since(delivery_id)

    def _count(self) -> None:
        self.asked += 1
        if self.failing:
            raise DatabaseError("the ledger is away")


class Argil:
    """Says what the test has it say of every avatar; remembers who was looked at."""

    def __init__(self) -> None:
        self.answer: str | int = "TRAINING"
        self.looks: list[str] = []
        self.in_answer: asyncio.Event | None = None
        self._looked = asyncio.Condition()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        avatar_id = request.url.path.rpartition("/")[2]
        answer = self.answer
        async with self._looked:
            self.looks.append(avatar_id)
            self._looked.notify_all()
        if self.in_answer is not None:
            await self.in_answer.wait()
        if isinstance(answer, int):
            return httpx.Response(answer, headers={"retry-after": "60"})
        return httpx.Response(200, json={"id": avatar_id, "status": answer})

    async def looked_at(self, count: int) -> list[str]:
        """Wait until there were so many looks."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._looked:
            await self._looked.wait_for(lambda: len(self.looks) >= count)
        return self.looks


def told(avatar_id: str, event: str = "AVATAR_TRAINING_SUCCESS", number: int = 0) -> Delivery:
    body = {"event": event, "data": {"avatarId": avatar_id, "extras": number}}
    delivery = Delivery.read(json.dumps(body).encode())
    assert delivery is not None
    return delivery


@pytest.fixture
def endless() -> EndlessClock:
    return EndlessClock()


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def argil_says() -> Argil:
    return Argil()


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: object) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/{request.param}.db"


@pytest.fixture
def deliveries(database: Database, endless: EndlessClock) -> CountedDeliveries:
    return CountedDeliveries(database, endless)


@pytest.fixture
async def watch(
    deliveries: CountedDeliveries, endless: EndlessClock, ticks: Ticks, argil_says: Argil
) -> AsyncIterator[TrainingWatch]:
    async with ArgilClient(
        "https://argil.example/v1",
        "key",
        clock=endless,
        requests_per_second=1e6,
        transport=httpx.MockTransport(argil_says),
    ) as client:
        hints = Hints(deliveries, between_polls=ticks)
        yield TrainingWatch(client, endless, floor=HOUR, ceiling=HOUR, gone_after=HOUR, hints=hints)


def started(watch: TrainingWatch, clock: FakeClock, avatar_id: str) -> asyncio.Task[WatchEnd]:
    async def ignore(_avatar: Avatar) -> None:
        pass

    since = clock.now()
    return asyncio.create_task(watch.until_end(avatar_id, since, since + timedelta(days=1), ignore))


async def ended(task: asyncio.Task[WatchEnd]) -> WatchEnd:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await task


async def given_up(*tasks: asyncio.Task[WatchEnd]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# The watch


async def test_the_end_of_a_training_is_noticed_by_a_delivery_within_one_poll(
    watch: TrainingWatch, endless: EndlessClock, ticks: Ticks, argil_says: Argil, deliveries: Deliveries
) -> None:
    held = started(watch, endless, "a-1")
    await argil_says.looked_at(1)
    argil_says.answer = "IDLE"
    await deliveries.add(told("a-1"))
    await ticks.tick()
    assert await ended(held) is WatchEnd.SETTLED
    assert argil_says.looks == ["a-1", "a-1"]
    assert set(ticks.seconds) == {1.0}


@pytest.mark.parametrize("event", ["AVATAR_TRAINING_SUCCESS", "AVATAR_TRAINING_FAILED", "AVATAR_GENERATION_FAILED"])
async def test_a_delivery_that_lies_makes_one_look_and_ends_nothing(
    watch: TrainingWatch, endless: EndlessClock, ticks: Ticks, argil_says: Argil, deliveries: Deliveries, event: str
) -> None:
    held = started(watch, endless, "a-1")
    await argil_says.looked_at(1)
    await deliveries.add(told("a-1", event))
    await ticks.tick()
    await argil_says.looked_at(2)
    await ticks.tick()
    assert argil_says.looks == ["a-1", "a-1"]
    assert not held.done()
    await given_up(held)


async def test_exactly_the_watch_of_that_avatar_is_woken_by_one_question_for_all(
    watch: TrainingWatch, endless: EndlessClock, ticks: Ticks, argil_says: Argil, deliveries: CountedDeliveries
) -> None:
    held = [started(watch, endless, f"a-{number}") for number in range(15)]
    await argil_says.looked_at(15)
    assert deliveries.asked == 1
    for avatar_id in ("a-7", "a-9", "unknown"):
        await deliveries.add(told(avatar_id))
    await ticks.tick()
    assert sorted((await argil_says.looked_at(17))[15:]) == ["a-7", "a-9"]
    for _ in range(3):
        await ticks.tick()
    assert deliveries.asked == 5
    assert len(argil_says.looks) == 17
    await given_up(*held)


async def test_two_watches_of_one_avatar_are_both_woken(
    watch: TrainingWatch, endless: EndlessClock, ticks: Ticks, argil_says: Argil, deliveries: Deliveries
) -> None:
    held = [started(watch, endless, "a-1") for _ in range(2)]
    await argil_says.looked_at(2)
    argil_says.answer = "REFUSED"
    await deliveries.add(told("a-1"))
    await ticks.tick()
    assert [await ended(one) for one in held] == [WatchEnd.SETTLED] * 2


async def test_a_hint_that_comes_during_a_look_is_followed_after_it(
    watch: TrainingWatch, endless: EndlessClock, ticks: Ticks, argil_says: Argil, deliveries: Deliveries
) -> None:
    argil_says.in_answer = asyncio.Event()
    held = started(watch, endless, "a-1")
    await argil_says.looked_at(1)  # it will hear that the avatar still trains
    argil_says.answer = "IDLE"
    await deliveries.add(told("a-1"))
    await ticks.tick()
    argil_says.in_answer.set()
    assert await ended(held) is WatchEnd.SETTLED


async def test_what_came_before_the_watch_is_no_hint(
    watch: TrainingWatch, endless: EndlessClock, ticks: Ticks, argil_says: Argil, deliveries: Deliveries
) -> None:
    await deliveries.add(told("a-1"))
    held = started(watch, endless, "a-1")
    await argil_says.looked_at(1)
    await ticks.tick()
    await ticks.tick()
    assert argil_says.looks == ["a-1"]
    await given_up(held)


async def test_a_hint_does_not_shorten_what_argil_wished(
    watch: TrainingWatch, endless: EndlessClock, ticks: Ticks, argil_says: Argil, deliveries: Deliveries
) -> None:
    argil_says.answer = 429
    held = started(watch, endless, "a-1")
    await argil_says.looked_at(1)
    await deliveries.add(told("a-1"))
    await ticks.tick()
    await ticks.tick()
    assert argil_says.looks == ["a-1"]
    await given_up(held)


# The poller


async def test_nobody_is_asked_while_nobody_watches(
    watch: TrainingWatch, endless: EndlessClock, ticks: Ticks, argil_says: Argil, deliveries: CountedDeliveries
) -> None:
    argil_says.answer = "IDLE"
    for number in range(2):
        assert await ended(started(watch, endless, f"a-{number}")) is WatchEnd.SETTLED
    assert deliveries.asked == 2  # where each poller was to begin
    assert len(ticks.seconds) == 2
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_a_database_that_fails_costs_hints_and_is_told_once(
    watch: TrainingWatch,
    endless: EndlessClock,
    ticks: Ticks,
    argil_says: Argil,
    deliveries: CountedDeliveries,
    caplog: pytest.LogCaptureFixture,
) -> None:
    deliveries.failing = True
    held = started(watch, endless, "a-1")
    await argil_says.looked_at(1)
    await ticks.tick()
    await ticks.tick()
    assert [message for message in caplog.messages if "deliveries cannot be read" in message] == [
        "deliveries cannot be read, watches go on by their intervals: the ledger is away"
    ]
    deliveries.failing = False
    await ticks.tick()
    argil_says.answer = "IDLE"
    await deliveries.add(told("a-1"))
    await ticks.tick()
    assert await ended(held) is WatchEnd.SETTLED
    assert caplog.records[-1].levelno >= logging.WARNING


# Where nobody watches


class Waking:
    """Stands in for the task that speaks to Prefect: what it does there is tested with it."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    async def fn(self, found: Sequence[Provisioning]) -> list[Provisioning]:
        self.woken.extend(one.id for one in found)
        return []


@pytest.fixture
def waking(monkeypatch: pytest.MonkeyPatch) -> Waking:
    waking = Waking()
    monkeypatch.setattr(module, "wake_runs", waking)
    return waking


async def test_a_hint_at_a_training_that_has_ended_wakes_its_run(
    desk: Desk, clock: EventfulClock, waking: Waking
) -> None:
    submitted = await desk.submitted()
    assert submitted.avatar_id is not None
    await desk.active.leases.release(submitted.id, desk.driver)
    clock.pass_(TRAINING_SECONDS)
    await follow_hint(submitted.avatar_id)
    assert waking.woken == [submitted.id]
    assert (await desk.now(submitted)).version == submitted.version


@pytest.mark.parametrize("scenario", ["never", "vanish", "flaky-polls"])
async def test_a_hint_that_lies_makes_one_look_and_wakes_nobody(
    desk: Desk, clock: EventfulClock, waking: Waking, scenario: str
) -> None:
    submitted = await desk.submitted(scenario)
    assert submitted.avatar_id is not None
    await desk.active.leases.release(submitted.id, desk.driver)
    clock.pass_(TRAINING_SECONDS - 1)
    await follow_hint(submitted.avatar_id)
    assert waking.woken == []
    assert (await desk.now(submitted)).version == submitted.version


async def test_a_hint_at_an_avatar_that_is_unknown_or_watched_makes_no_look(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock, waking: Waking
) -> None:
    submitted = await desk.submitted()
    assert submitted.avatar_id is not None
    clock.pass_(TRAINING_SECONDS / 10)
    await follow_hint(submitted.avatar_id)
    await follow_hint("unknown")
    assert argil.world.count("GET /avatars/{id}") == 0
    assert waking.woken == []
