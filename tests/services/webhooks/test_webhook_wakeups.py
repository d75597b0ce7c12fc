"""Wake-ups shorten the poll intervals of their subscribers; in these tests no interval ends without a wake-up."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import httpx
import pytest

from clients.argil import ArgilClient
from clients.training_monitor import MonitorResult, TrainingMonitor
from models.argil.avatar import Avatar
from models.argil.webhook import WebhookDelivery
from models.errors import DatabaseError
from models.provisioning import Provisioning
from services.webhooks import webhook_handler as module
from services.webhooks.webhook_handler import handle_webhook_wakeup
from services.webhooks.webhook_wakeups import WebhookWakeups
from simulator.server import ArgilSimulator
from store.database import Database
from store.webhook_deliveries import WebhookDeliveryRepository
from tests.fakes import FakeClock
from tests.provisioning_harness import TRAINING_SECONDS, ProvisioningHarness, ScriptedClock

HOUR = 3600.0
TIMEOUT_SECONDS = 20.0


class NeverWakingClock(FakeClock):
    """A clock whose sleeps never end, except for those of the rate limiter."""

    async def sleep(self, seconds: float) -> None:
        await (asyncio.Event().wait() if seconds > 0.1 else super().sleep(seconds))


class ManualPoller:
    """The sleep function of the poller; the test ends each sleep."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._sleeps = asyncio.Queue[asyncio.Event]()
        self._current: asyncio.Event | None = None

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        sleep_over = asyncio.Event()
        self._sleeps.put_nowait(sleep_over)
        await sleep_over.wait()

    async def tick(self) -> None:
        """End the current sleep and wait until the poller has read the deliveries and sleeps again."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            sleep_over = self._current or await self._sleeps.get()
            sleep_over.set()
            self._current = await self._sleeps.get()


class CountedDeliveries(WebhookDeliveryRepository):
    """Counts the reads, and fails while `is_failing` is set."""

    reads = 0
    is_failing = False

    async def latest_id(self) -> int:
        self._count()
        return await super().latest_id()

    async def list_after(self, delivery_id: int) -> list[tuple[int, str]]:
        self._count()
        return await super().list_after(delivery_id)

    def _count(self) -> None:
        self.reads += 1
        if self.is_failing:
            raise DatabaseError("the database is unavailable")


class FakeArgil:
    """Returns the configured status for every avatar and records the polls."""

    def __init__(self) -> None:
        self.response: str | int = "TRAINING"
        self.polls: list[str] = []
        self.response_gate: asyncio.Event | None = None
        self._polled = asyncio.Condition()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        avatar_id = request.url.path.rpartition("/")[2]
        response = self.response
        async with self._polled:
            self.polls.append(avatar_id)
            self._polled.notify_all()
        if self.response_gate is not None:
            await self.response_gate.wait()
        if isinstance(response, int):
            return httpx.Response(response, headers={"retry-after": "60"})
        return httpx.Response(200, json={"id": avatar_id, "status": response})

    async def wait_for_polls(self, count: int) -> list[str]:
        """Wait until there were this many polls."""
        async with asyncio.timeout(TIMEOUT_SECONDS), self._polled:
            await self._polled.wait_for(lambda: len(self.polls) >= count)
        return self.polls


def delivery_for(avatar_id: str, event: str = "AVATAR_TRAINING_SUCCESS", number: int = 0) -> WebhookDelivery:
    body = {"event": event, "data": {"avatarId": avatar_id, "extras": number}}
    delivery = WebhookDelivery.parse(json.dumps(body).encode())
    assert delivery is not None
    return delivery


@pytest.fixture
def never_waking_clock() -> NeverWakingClock:
    return NeverWakingClock()


@pytest.fixture
def manual_poller() -> ManualPoller:
    return ManualPoller()


@pytest.fixture
def fake_argil() -> FakeArgil:
    return FakeArgil()


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: object) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/{request.param}.db"


@pytest.fixture
def deliveries(database: Database, never_waking_clock: NeverWakingClock) -> CountedDeliveries:
    return CountedDeliveries(database, never_waking_clock)


@pytest.fixture
async def monitor(
    deliveries: CountedDeliveries,
    never_waking_clock: NeverWakingClock,
    manual_poller: ManualPoller,
    fake_argil: FakeArgil,
) -> AsyncIterator[TrainingMonitor]:
    async with ArgilClient(
        "https://argil.example/v1",
        "key",
        clock=never_waking_clock,
        requests_per_second=1e6,
        transport=httpx.MockTransport(fake_argil),
    ) as client:
        wakeups = WebhookWakeups(deliveries, sleep=manual_poller)
        yield TrainingMonitor(
            client,
            never_waking_clock,
            min_interval_seconds=HOUR,
            max_interval_seconds=HOUR,
            not_found_grace_seconds=HOUR,
            wakeups=wakeups,
        )


def start(monitor: TrainingMonitor, clock: FakeClock, avatar_id: str) -> asyncio.Task[MonitorResult]:
    async def ignore(_avatar: Avatar) -> None:
        pass

    since = clock.now()
    return asyncio.create_task(monitor.wait_until_terminal(avatar_id, since, since + timedelta(days=1), ignore))


async def wait_for_result(task: asyncio.Task[MonitorResult]) -> MonitorResult:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        return await task


async def cancel(*tasks: asyncio.Task[MonitorResult]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# Subscriptions


async def test_delivery_reveals_the_end_of_a_training_in_one_tick(
    monitor: TrainingMonitor,
    never_waking_clock: NeverWakingClock,
    manual_poller: ManualPoller,
    fake_argil: FakeArgil,
    deliveries: WebhookDeliveryRepository,
) -> None:
    watch = start(monitor, never_waking_clock, "a-1")
    await fake_argil.wait_for_polls(1)
    fake_argil.response = "IDLE"
    await deliveries.add(delivery_for("a-1"))
    await manual_poller.tick()
    assert await wait_for_result(watch) is MonitorResult.TERMINAL
    assert fake_argil.polls == ["a-1", "a-1"]
    assert set(manual_poller.seconds) == {1.0}


@pytest.mark.parametrize("event", ["AVATAR_TRAINING_SUCCESS", "AVATAR_TRAINING_FAILED", "AVATAR_GENERATION_FAILED"])
async def test_false_delivery_causes_one_poll_and_no_result(
    monitor: TrainingMonitor,
    never_waking_clock: NeverWakingClock,
    manual_poller: ManualPoller,
    fake_argil: FakeArgil,
    deliveries: WebhookDeliveryRepository,
    event: str,
) -> None:
    watch = start(monitor, never_waking_clock, "a-1")
    await fake_argil.wait_for_polls(1)
    await deliveries.add(delivery_for("a-1", event))
    await manual_poller.tick()
    await fake_argil.wait_for_polls(2)
    await manual_poller.tick()
    assert fake_argil.polls == ["a-1", "a-1"]
    assert not watch.done()
    await cancel(watch)


async def test_one_read_wakes_only_subscribers_of_the_delivery(
    monitor: TrainingMonitor,
    never_waking_clock: NeverWakingClock,
    manual_poller: ManualPoller,
    fake_argil: FakeArgil,
    deliveries: CountedDeliveries,
) -> None:
    watch = [start(monitor, never_waking_clock, f"a-{number}") for number in range(15)]
    await fake_argil.wait_for_polls(15)
    assert deliveries.reads == 1
    for avatar_id in ("a-7", "a-9", "unknown"):
        await deliveries.add(delivery_for(avatar_id))
    await manual_poller.tick()
    assert sorted((await fake_argil.wait_for_polls(17))[15:]) == ["a-7", "a-9"]
    for _ in range(3):
        await manual_poller.tick()
    assert deliveries.reads == 5
    assert len(fake_argil.polls) == 17
    await cancel(*watch)


async def test_all_subscribers_of_an_avatar_are_notified(
    monitor: TrainingMonitor,
    never_waking_clock: NeverWakingClock,
    manual_poller: ManualPoller,
    fake_argil: FakeArgil,
    deliveries: WebhookDeliveryRepository,
) -> None:
    watch = [start(monitor, never_waking_clock, "a-1") for _ in range(2)]
    await fake_argil.wait_for_polls(2)
    fake_argil.response = "REFUSED"
    await deliveries.add(delivery_for("a-1"))
    await manual_poller.tick()
    assert [await wait_for_result(task) for task in watch] == [MonitorResult.TERMINAL] * 2


async def test_wakeup_during_a_poll_causes_another_poll(
    monitor: TrainingMonitor,
    never_waking_clock: NeverWakingClock,
    manual_poller: ManualPoller,
    fake_argil: FakeArgil,
    deliveries: WebhookDeliveryRepository,
) -> None:
    fake_argil.response_gate = asyncio.Event()
    watch = start(monitor, never_waking_clock, "a-1")
    await fake_argil.wait_for_polls(1)  # the response will be that the avatar is still training
    fake_argil.response = "IDLE"
    await deliveries.add(delivery_for("a-1"))
    await manual_poller.tick()
    fake_argil.response_gate.set()
    assert await wait_for_result(watch) is MonitorResult.TERMINAL


async def test_delivery_before_the_subscription_is_ignored(
    monitor: TrainingMonitor,
    never_waking_clock: NeverWakingClock,
    manual_poller: ManualPoller,
    fake_argil: FakeArgil,
    deliveries: WebhookDeliveryRepository,
) -> None:
    await deliveries.add(delivery_for("a-1"))
    watch = start(monitor, never_waking_clock, "a-1")
    await fake_argil.wait_for_polls(1)
    await manual_poller.tick()
    await manual_poller.tick()
    assert fake_argil.polls == ["a-1"]
    await cancel(watch)


async def test_wakeup_does_not_shorten_retry_after(
    monitor: TrainingMonitor,
    never_waking_clock: NeverWakingClock,
    manual_poller: ManualPoller,
    fake_argil: FakeArgil,
    deliveries: WebhookDeliveryRepository,
) -> None:
    fake_argil.response = 429
    watch = start(monitor, never_waking_clock, "a-1")
    await fake_argil.wait_for_polls(1)
    await deliveries.add(delivery_for("a-1"))
    await manual_poller.tick()
    await manual_poller.tick()
    assert fake_argil.polls == ["a-1"]
    await cancel(watch)


# The poller


async def test_deliveries_are_not_read_without_subscribers(
    monitor: TrainingMonitor,
    never_waking_clock: NeverWakingClock,
    manual_poller: ManualPoller,
    fake_argil: FakeArgil,
    deliveries: CountedDeliveries,
) -> None:
    fake_argil.response = "IDLE"
    for number in range(2):
        assert await wait_for_result(start(monitor, never_waking_clock, f"a-{number}")) is MonitorResult.TERMINAL
    assert deliveries.reads == 2  # each poller reads the latest id first
    assert len(manual_poller.seconds) == 2
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_database_error_skips_wakeups_and_is_logged_once(
    monitor: TrainingMonitor,
    never_waking_clock: NeverWakingClock,
    manual_poller: ManualPoller,
    fake_argil: FakeArgil,
    deliveries: CountedDeliveries,
    caplog: pytest.LogCaptureFixture,
) -> None:
    deliveries.is_failing = True
    watch = start(monitor, never_waking_clock, "a-1")
    await fake_argil.wait_for_polls(1)
    await manual_poller.tick()
    await manual_poller.tick()
    assert [message for message in caplog.messages if "cannot be read" in message] == [
        "webhook deliveries cannot be read; avatars are polled at their intervals: the database is unavailable"
    ]
    deliveries.is_failing = False
    await manual_poller.tick()
    fake_argil.response = "IDLE"
    await deliveries.add(delivery_for("a-1"))
    await manual_poller.tick()
    assert await wait_for_result(watch) is MonitorResult.TERMINAL
    assert caplog.records[-1].levelno >= logging.WARNING


# Without a subscription


class FakeResumeRuns:
    """Replaces `resume_runs`, which calls Prefect."""

    def __init__(self) -> None:
        self.resumed: list[str] = []

    async def __call__(self, provisionings: Sequence[Provisioning]) -> list[Provisioning]:
        self.resumed.extend(provisioning.id for provisioning in provisionings)
        return []


@pytest.fixture
def resume_runs(monkeypatch: pytest.MonkeyPatch) -> FakeResumeRuns:
    fake = FakeResumeRuns()
    monkeypatch.setattr(module, "resume_runs", fake)
    return fake


async def test_wakeup_for_a_finished_training_resumes_its_run(
    harness: ProvisioningHarness, clock: ScriptedClock, resume_runs: FakeResumeRuns
) -> None:
    submitted = await harness.submitted()
    assert submitted.avatar_id is not None
    await harness.context.leases.release(submitted.id, harness.owner)
    clock.advance(TRAINING_SECONDS)
    await handle_webhook_wakeup(submitted.avatar_id)
    assert resume_runs.resumed == [submitted.id]
    assert (await harness.reload(submitted)).version == submitted.version


@pytest.mark.parametrize("scenario", ["never", "vanish", "flaky-polls"])
async def test_false_wakeup_resumes_no_run(
    harness: ProvisioningHarness, clock: ScriptedClock, resume_runs: FakeResumeRuns, scenario: str
) -> None:
    submitted = await harness.submitted(scenario)
    assert submitted.avatar_id is not None
    await harness.context.leases.release(submitted.id, harness.owner)
    clock.advance(TRAINING_SECONDS - 1)
    await handle_webhook_wakeup(submitted.avatar_id)
    assert resume_runs.resumed == []
    assert (await harness.reload(submitted)).version == submitted.version


async def test_wakeup_for_an_unknown_or_leased_avatar_polls_nothing(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock, resume_runs: FakeResumeRuns
) -> None:
    submitted = await harness.submitted()
    assert submitted.avatar_id is not None
    clock.advance(TRAINING_SECONDS / 10)
    await handle_webhook_wakeup(submitted.avatar_id)
    await handle_webhook_wakeup("unknown")
    assert argil.account.count("GET /avatars/{id}") == 0
    assert resume_runs.resumed == []
