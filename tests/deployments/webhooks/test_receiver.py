"""The webhook receiver on a real socket: accepted and rejected deliveries, storage, and wake-ups."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import signal
import socket
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from deployments.webhooks import receiver
from deployments.webhooks.receiver import MAX_BODY_BYTES, create_app, serve_receiver
from models.webhook import SUBSCRIBED_EVENTS
from store.database import Database
from store.webhook_deliveries import WebhookDeliveryRepository
from tests.fakes import FakeClock

TOKEN = "canary-token-0123456789"
TIMEOUT_SECONDS = 20.0


def make_body(avatar_id: str, event: str = "AVATAR_TRAINING_SUCCESS", **data: Any) -> bytes:
    return json.dumps({"event": event, "data": {"avatarId": avatar_id, "avatarName": "Ada", **data}}).encode()


class RecordingHandler:
    """A wake-up handler that records the avatar ids."""

    def __init__(self) -> None:
        self.avatar_ids: list[str] = []
        self._changed = asyncio.Condition()

    async def __call__(self, avatar_id: str) -> None:
        async with self._changed:
            self.avatar_ids.append(avatar_id)
            self._changed.notify_all()

    async def wait_for(self, count: int) -> list[str]:
        """Wait until the handler was called `count` times."""
        async with asyncio.timeout(TIMEOUT_SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self.avatar_ids) >= count)
        return self.avatar_ids


@pytest.fixture
def wakeups() -> RecordingHandler:
    return RecordingHandler()


@pytest.fixture
def deliveries(database: Database, clock: FakeClock) -> WebhookDeliveryRepository:
    return WebhookDeliveryRepository(database, clock)


OpenReceiver = Callable[..., contextlib.AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def open_receiver(deliveries: WebhookDeliveryRepository) -> OpenReceiver:
    """Return a function that serves a receiver with a given handler and yields a client with its URL."""

    @contextlib.asynccontextmanager
    async def open_(handler: Callable[[str], Awaitable[None]]) -> AsyncIterator[httpx.AsyncClient]:
        async with (
            serve_receiver(create_app(TOKEN, deliveries, handler), host="127.0.0.1", port=0) as url,
            httpx.AsyncClient(base_url=f"{url}/webhooks/argil/", timeout=TIMEOUT_SECONDS) as sender,
        ):
            yield sender

    return open_


@pytest.fixture
async def sender(open_receiver: OpenReceiver, wakeups: RecordingHandler) -> AsyncIterator[httpx.AsyncClient]:
    async with open_receiver(wakeups) as client:
        yield client


async def stored(deliveries: WebhookDeliveryRepository) -> list[str]:
    return [avatar_id for _, avatar_id in await deliveries.list_after(0)]


on_one_engine = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


# Accepted deliveries


async def test_repeated_delivery_is_stored_and_handled_once(
    sender: httpx.AsyncClient, deliveries: WebhookDeliveryRepository, wakeups: RecordingHandler
) -> None:
    for _ in range(3):
        response = await sender.post(TOKEN, content=make_body("a-1"))
        assert (response.status_code, response.content) == (202, b"")
    await sender.post(TOKEN, content=make_body("a-2"))
    assert await wakeups.wait_for(2) == ["a-1", "a-2"]
    assert await stored(deliveries) == ["a-1", "a-2"]


@on_one_engine
async def test_delivery_is_stored_and_answered_before_the_poll(
    open_receiver: OpenReceiver, deliveries: WebhookDeliveryRepository
) -> None:
    started, may_finish = asyncio.Event(), asyncio.Event()

    async def slow(_avatar_id: str) -> None:
        started.set()
        await may_finish.wait()

    async with open_receiver(slow) as sender:
        for number in range(10):
            assert (await sender.post(TOKEN, content=make_body(f"a-{number}"))).status_code == 202
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await started.wait()
        assert len(await stored(deliveries)) == 10  # and the receiver shuts down although a handler hangs


@on_one_engine
async def test_failed_wakeup_is_logged_and_the_next_one_handled(
    open_receiver: OpenReceiver,
    deliveries: WebhookDeliveryRepository,
    wakeups: RecordingHandler,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def failing(avatar_id: str) -> None:
        await wakeups(avatar_id)
        if avatar_id == "a-1":
            raise ZeroDivisionError

    async with open_receiver(failing) as sender:
        await sender.post(TOKEN, content=make_body("a-1"))
        for number in range(receiver.MAX_CONCURRENT_HANDLERS):
            await sender.post(TOKEN, content=make_body(f"b-{number}"))
        await wakeups.wait_for(1 + receiver.MAX_CONCURRENT_HANDLERS)
    assert "the wake-up for avatar a-1 failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "a-1" in await stored(deliveries)


@on_one_engine
async def test_full_wakeup_queue_is_logged_and_deliveries_stored(
    open_receiver: OpenReceiver,
    deliveries: WebhookDeliveryRepository,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(receiver, "MAX_CONCURRENT_HANDLERS", 0)  # as if every handler ran forever
    monkeypatch.setattr(receiver, "HANDLER_QUEUE_SIZE", 2)

    async def never(_avatar_id: str) -> None:
        raise AssertionError

    async with open_receiver(never) as sender:
        for number in range(4):
            assert (await sender.post(TOKEN, content=make_body(f"a-{number}"))).status_code == 202
    warnings = [message for message in caplog.messages if "the wake-up queue is full" in message]
    assert ["a-2" in warnings[0], "a-3" in warnings[1], len(warnings)] == [True, True, 2]
    assert await stored(deliveries) == ["a-0", "a-1", "a-2", "a-3"]


@on_one_engine
async def test_health_endpoint_responds(sender: httpx.AsyncClient) -> None:
    response = await sender.get(str(sender.base_url.join("/health")))
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


# Rejected deliveries


@on_one_engine
@pytest.mark.parametrize(
    "token",
    ["wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "%ff", "%00", "ü", f"{TOKEN}/x", f"x/{TOKEN}", "", " "],
)
async def test_wrong_token_gets_the_response_of_any_other_path(
    sender: httpx.AsyncClient, deliveries: WebhookDeliveryRepository, wakeups: RecordingHandler, token: str
) -> None:
    unknown_path = await sender.post(str(sender.base_url.join("/nowhere")), content=make_body("a-1"))
    response = await sender.post(token, content=make_body("a-1"))
    assert response.status_code == unknown_path.status_code == 404
    assert response.content == unknown_path.content
    assert {*response.headers} == {*unknown_path.headers}
    assert await stored(deliveries) == []
    assert wakeups.avatar_ids == []


@on_one_engine
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_other_methods_do_not_reveal_the_token(sender: httpx.AsyncClient, method: str) -> None:
    right, wrong = await sender.request(method, TOKEN), await sender.request(method, "wrong")
    assert right.status_code == wrong.status_code == 405
    assert right.content == wrong.content


@on_one_engine
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[" * 60_000,
        b"\xff\xfe\x00",
        b'{"event": "AVATAR_TRAINING_SUCCESS"}',
        make_body("a-1", event="VIDEO_GENERATION_SUCCESS"),
        make_body(""),
        make_body("a 1"),
        make_body("a-1")[:-2],
    ],
)
async def test_malformed_delivery_is_answered_logged_and_ignored(
    sender: httpx.AsyncClient,
    deliveries: WebhookDeliveryRepository,
    wakeups: RecordingHandler,
    caplog: pytest.LogCaptureFixture,
    body: bytes,
) -> None:
    assert (await sender.post(TOKEN, content=body)).status_code == 202
    assert f"ignored a webhook delivery of {len(body)} bytes" in caplog.text
    assert await stored(deliveries) == []
    assert wakeups.avatar_ids == []


@on_one_engine
async def test_body_size_limit_is_enforced(
    sender: httpx.AsyncClient, deliveries: WebhookDeliveryRepository
) -> None:
    def of_size(size: int) -> bytes:
        return make_body("a-1", extras="x" * (size - len(make_body("a-1", extras=""))))

    async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    for size in (MAX_BODY_BYTES + 1, 2 * MAX_BODY_BYTES, 100 * MAX_BODY_BYTES):
        assert (await sender.post(TOKEN, content=of_size(size))).status_code == 413
        assert (await sender.post(TOKEN, content=in_chunks(of_size(size)))).status_code == 413
    assert await stored(deliveries) == []
    assert (await sender.post(TOKEN, content=of_size(MAX_BODY_BYTES))).status_code == 202
    assert await stored(deliveries) == ["a-1"]


@on_one_engine
@pytest.mark.parametrize(("token", "status"), [(TOKEN, 413), ("wrong", 404)])
async def test_endless_body_is_not_read_further(
    sender: httpx.AsyncClient, deliveries: WebhookDeliveryRepository, token: str, status: int
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 65536

    # The server closes the connection while the client sends; the client may not read the response.
    with contextlib.suppress(httpx.TransportError):
        assert (await sender.post(token, content=endless())).status_code == status
    assert sent < 1000
    assert await stored(deliveries) == []


@contextlib.asynccontextmanager
async def unfinished_request(
    sender: httpx.AsyncClient,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Send a request without its body."""
    reader, writer = await asyncio.open_connection(sender.base_url.host, sender.base_url.port)
    writer.write(f"POST /webhooks/argil/{TOKEN} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{".encode())
    await writer.drain()
    try:
        yield reader, writer
    finally:
        writer.close()


@on_one_engine
async def test_slow_sender_gets_a_timeout(sender: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "BODY_TIMEOUT_SECONDS", 0.05)
    async with asyncio.timeout(TIMEOUT_SECONDS), unfinished_request(sender) as (reader, _):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")


@on_one_engine
async def test_disconnected_sender_causes_no_warning(
    sender: httpx.AsyncClient, wakeups: RecordingHandler, caplog: pytest.LogCaptureFixture
) -> None:
    async with unfinished_request(sender):
        pass
    await sender.post(TOKEN, content=make_body("a-1"))
    await wakeups.wait_for(1)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_failed_storage_is_answered_with_503_and_logged(
    clock: FakeClock, wakeups: RecordingHandler, caplog: pytest.LogCaptureFixture
) -> None:
    unreachable = Database("postgresql+asyncpg://user:canary-password@127.0.0.1:1/ledger")
    app = create_app(TOKEN, WebhookDeliveryRepository(unreachable, clock), wakeups)
    async with serve_receiver(app, host="127.0.0.1", port=0) as url, httpx.AsyncClient() as sender:
        response = await sender.post(f"{url}/webhooks/argil/{TOKEN}", content=make_body("a-1"))
    assert response.status_code == 503
    assert "a webhook delivery could not be stored" in caplog.text
    assert "canary-password" not in caplog.text
    assert wakeups.avatar_ids == []
    await unreachable.close()


@on_one_engine
async def test_logs_contain_neither_token_nor_signature(
    sender: httpx.AsyncClient, wakeups: RecordingHandler, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    signed = make_body("a-1", video="https://h.example/d.mp4?X-Amz-Signature=canary-signature")
    for token in (TOKEN, f"{TOKEN}x"):
        for body in (signed, b"<html>", b"x" * (MAX_BODY_BYTES + 1)):
            await sender.post(token, content=body)
    await wakeups.wait_for(1)
    records = [
        record for record in caplog.records if not record.name.startswith("http")
    ]  # those of the test's client
    assert records
    assert not [record for record in records if "canary" in f"{record.getMessage()} {record.args}"]


# Serving


async def do_nothing(_avatar_id: str) -> None:
    pass


@on_one_engine
async def test_receiver_installs_no_signal_handlers(deliveries: WebhookDeliveryRepository) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with serve_receiver(create_app(TOKEN, deliveries, do_nothing), host="127.0.0.1", port=0) as url:
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{url}/health")).status_code == 200
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))


@on_one_engine
async def test_receiver_fails_at_once_if_its_port_is_in_use(deliveries: WebhookDeliveryRepository) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = serve_receiver(
            create_app(TOKEN, deliveries, do_nothing), host="127.0.0.1", port=listener.getsockname()[1]
        )
        with pytest.raises(OSError, match="in use"):
            await serving.__aenter__()


# Load


async def test_thousand_deliveries_are_stored_and_handled_once(
    sender: httpx.AsyncClient,
    deliveries: WebhookDeliveryRepository,
    wakeups: RecordingHandler,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rng = random.Random(3)  # noqa: S311  # reproducible
    new = [make_body(f"avatar-{number}", event) for number in range(200) for event in SUBSCRIBED_EVENTS]
    sent = [(TOKEN, body) for body in [*new, *rng.choices(new, k=300)]]
    sent += [(f"forged-{number}", make_body(f"forged-{number}")) for number in range(300)]
    rng.shuffle(sent)
    durations: list[float] = []
    status_codes: Counter[int] = Counter()
    semaphore = asyncio.Semaphore(20)

    async def send(token: str, body: bytes) -> None:
        async with semaphore:
            started_at = time.perf_counter()
            response = await sender.post(token, content=body)
            durations.append(time.perf_counter() - started_at)
        status_codes[response.status_code] += 1

    started_at = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for token, body in sent:
            group.create_task(send(token, body))
    elapsed = time.perf_counter() - started_at
    handled = await wakeups.wait_for(len(new))
    assert status_codes == {202: 700, 404: 300}
    assert Counter(await stored(deliveries)) == Counter(handled)
    assert Counter(handled) == {f"avatar-{number}": len(SUBSCRIBED_EVENTS) for number in range(200)}
    median, p99 = statistics.median(durations) * 1000, statistics.quantiles(durations, n=100)[98] * 1000
    with capsys.disabled():
        print(f"\n1,000 deliveries in {elapsed:.2f} s; response time {median:.1f} ms (median), {p99:.1f} ms (p99)")  # noqa: T201  # a measurement
