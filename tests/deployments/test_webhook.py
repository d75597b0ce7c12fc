"""The webhook receiver on a real socket: what it takes, what it refuses, and that nothing it is told is a fact."""

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

from deployments import webhook
from deployments.webhook import BODY_BYTES, receiver, serve_receiver
from models.webhook import EVENTS
from store.database import Database
from store.deliveries import Deliveries
from tests.fakes import FakeClock

TOKEN = "canary-token-0123456789"
PATIENCE_SECONDS = 20.0


def told(avatar_id: str, event: str = "AVATAR_TRAINING_SUCCESS", **data: Any) -> bytes:
    return json.dumps({"event": event, "data": {"avatarId": avatar_id, "avatarName": "Ada", **data}}).encode()


class Hints:
    """A hint that remembers what it was asked to look at."""

    def __init__(self) -> None:
        self.followed: list[str] = []
        self._changed = asyncio.Condition()

    async def __call__(self, avatar_id: str) -> None:
        async with self._changed:
            self.followed.append(avatar_id)
            self._changed.notify_all()

    async def number(self, count: int) -> list[str]:
        """Wait until so many were followed."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self.followed) >= count)
        return self.followed


@pytest.fixture
def hints() -> Hints:
    return Hints()


@pytest.fixture
def deliveries(database: Database, clock: FakeClock) -> Deliveries:
    return Deliveries(database, clock)


Opening = Callable[..., contextlib.AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def opened(deliveries: Deliveries) -> Opening:
    """Opens a door with a hint of the test's own; yields a sender that knows its token."""

    @contextlib.asynccontextmanager
    async def open_(hint: Callable[[str], Awaitable[None]]) -> AsyncIterator[httpx.AsyncClient]:
        async with (
            serve_receiver(receiver(TOKEN, deliveries, hint), host="127.0.0.1", port=0) as url,
            httpx.AsyncClient(base_url=f"{url}/webhooks/argil/", timeout=PATIENCE_SECONDS) as sender,
        ):
            yield sender

    return open_


@pytest.fixture
async def sender(opened: Opening, hints: Hints) -> AsyncIterator[httpx.AsyncClient]:
    async with opened(hints) as client:
        yield client


async def stored(deliveries: Deliveries) -> list[str]:
    return [avatar_id for _, avatar_id in await deliveries.since(0)]


on_one_engine = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


# What it takes


async def test_a_delivery_is_stored_answered_and_followed_once_however_often_it_comes(
    sender: httpx.AsyncClient, deliveries: Deliveries, hints: Hints
) -> None:
    for _ in range(3):
        answer = await sender.post(TOKEN, content=told("a-1"))
        assert (answer.status_code, answer.content) == (202, b"")
    await sender.post(TOKEN, content=told("a-2"))
    assert await hints.number(2) == ["a-1", "a-2"]
    assert await stored(deliveries) == ["a-1", "a-2"]


@on_one_engine
async def test_it_is_stored_and_answered_before_anything_looks(opened: Opening, deliveries: Deliveries) -> None:
    looks, may_look = asyncio.Event(), asyncio.Event()

    async def slow(_avatar_id: str) -> None:
        looks.set()
        await may_look.wait()

    async with opened(slow) as sender:
        for number in range(10):
            assert (await sender.post(TOKEN, content=told(f"a-{number}"))).status_code == 202
        async with asyncio.timeout(PATIENCE_SECONDS):
            await looks.wait()
        assert len(await stored(deliveries)) == 10  # and the door closes though a look hangs


@on_one_engine
async def test_a_hint_that_fails_is_told_and_the_next_is_followed(
    opened: Opening, deliveries: Deliveries, hints: Hints, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing(avatar_id: str) -> None:
        await hints(avatar_id)
        if avatar_id == "a-1":
            raise ZeroDivisionError

    async with opened(failing) as sender:
        await sender.post(TOKEN, content=told("a-1"))
        for number in range(webhook.HINTS_AT_ONCE):
            await sender.post(TOKEN, content=told(f"b-{number}"))
        await hints.number(1 + webhook.HINTS_AT_ONCE)
    assert "the hint at avatar a-1 was not followed" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "a-1" in await stored(deliveries)


@on_one_engine
async def test_more_hints_than_may_wait_are_told_and_their_deliveries_stored(
    opened: Opening, deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(webhook, "HINTS_AT_ONCE", 0)  # as if each looked for ever
    monkeypatch.setattr(webhook, "WAITING_HINTS", 2)

    async def never(_avatar_id: str) -> None:
        raise AssertionError

    async with opened(never) as sender:
        for number in range(4):
            assert (await sender.post(TOKEN, content=told(f"a-{number}"))).status_code == 202
    left = [message for message in caplog.messages if "left to who polls" in message]
    assert ["a-2" in left[0], "a-3" in left[1], len(left)] == [True, True, 2]
    assert await stored(deliveries) == ["a-0", "a-1", "a-2", "a-3"]


@on_one_engine
async def test_it_tells_that_it_is_alive(sender: httpx.AsyncClient) -> None:
    answer = await sender.get(str(sender.base_url.join("/health")))
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


# What changes nothing


@on_one_engine
@pytest.mark.parametrize(
    "given",
    ["wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "%ff", "%00", "ü", f"{TOKEN}/x", f"x/{TOKEN}", "", " "],
)
async def test_a_forged_delivery_is_answered_as_any_other_path(
    sender: httpx.AsyncClient, deliveries: Deliveries, hints: Hints, given: str
) -> None:
    other = await sender.post(str(sender.base_url.join("/nowhere")), content=told("a-1"))
    answer = await sender.post(given, content=told("a-1"))
    assert answer.status_code == other.status_code == 404
    assert answer.content == other.content
    assert {*answer.headers} == {*other.headers}
    assert await stored(deliveries) == []
    assert hints.followed == []


@on_one_engine
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_another_method_tells_nothing_of_the_token(sender: httpx.AsyncClient, method: str) -> None:
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
        told("a-1", event="VIDEO_GENERATION_SUCCESS"),
        told(""),
        told("a 1"),
        told("a-1")[:-2],
    ],
)
async def test_a_malformed_delivery_is_answered_told_of_and_ignored(
    sender: httpx.AsyncClient, deliveries: Deliveries, hints: Hints, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    assert (await sender.post(TOKEN, content=body)).status_code == 202
    assert f"a delivery of {len(body)} bytes was ignored" in caplog.text
    assert await stored(deliveries) == []
    assert hints.followed == []


@on_one_engine
async def test_a_body_up_to_the_limit_is_taken_and_a_larger_one_refused(
    sender: httpx.AsyncClient, deliveries: Deliveries
) -> None:
    def of_size(size: int) -> bytes:
        return told("a-1", extras="x" * (size - len(told("a-1", extras=""))))

    async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    for size in (BODY_BYTES + 1, 2 * BODY_BYTES, 100 * BODY_BYTES):
        assert (await sender.post(TOKEN, content=of_size(size))).status_code == 413
        assert (await sender.post(TOKEN, content=in_chunks(of_size(size)))).status_code == 413
    assert await stored(deliveries) == []
    assert (await sender.post(TOKEN, content=of_size(BODY_BYTES))).status_code == 202
    assert await stored(deliveries) == ["a-1"]


@on_one_engine
@pytest.mark.parametrize(("given", "status"), [(TOKEN, 413), ("wrong", 404)])
async def test_a_body_without_end_is_not_read_on(
    sender: httpx.AsyncClient, deliveries: Deliveries, given: str, status: int
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 65536

    # The connection is closed under a sender who goes on: whether it still reads the answer is up to its luck.
    with contextlib.suppress(httpx.TransportError):
        assert (await sender.post(given, content=endless())).status_code == status
    assert sent < 1000
    assert await stored(deliveries) == []


@contextlib.asynccontextmanager
async def begun(sender: httpx.AsyncClient) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A request whose body does not come."""
    reader, writer = await asyncio.open_connection(sender.base_url.host, sender.base_url.port)
    writer.write(f"POST /webhooks/argil/{TOKEN} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{".encode())
    await writer.drain()
    try:
        yield reader, writer
    finally:
        writer.close()


@on_one_engine
async def test_a_sender_that_is_too_slow_is_not_waited_for(
    sender: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "BODY_SECONDS", 0.05)
    async with asyncio.timeout(PATIENCE_SECONDS), begun(sender) as (reader, _):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")


@on_one_engine
async def test_a_sender_that_hangs_up_is_nobodys_trouble(
    sender: httpx.AsyncClient, hints: Hints, caplog: pytest.LogCaptureFixture
) -> None:
    async with begun(sender):
        pass
    await sender.post(TOKEN, content=told("a-1"))
    await hints.number(1)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_what_cannot_be_stored_is_answered_as_such_and_told(
    clock: FakeClock, hints: Hints, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = Database("postgresql+asyncpg://user:canary-password@127.0.0.1:1/ledger")
    app = receiver(TOKEN, Deliveries(nowhere, clock), hints)
    async with serve_receiver(app, host="127.0.0.1", port=0) as url, httpx.AsyncClient() as sender:
        answer = await sender.post(f"{url}/webhooks/argil/{TOKEN}", content=told("a-1"))
    assert answer.status_code == 503
    assert "a delivery could not be stored" in caplog.text
    assert "canary-password" not in caplog.text
    assert hints.followed == []
    await nowhere.close()


@on_one_engine
async def test_no_log_tells_the_token_or_a_signature(
    sender: httpx.AsyncClient, hints: Hints, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    signed = told("a-1", video="https://h.example/d.mp4?X-Amz-Signature=canary-signature")
    for given in (TOKEN, f"{TOKEN}x"):
        for body in (signed, b"<html>", b"x" * (BODY_BYTES + 1)):
            await sender.post(given, content=body)
    await hints.number(1)
    ours = [record for record in caplog.records if not record.name.startswith("http")]  # the sender's own
    assert ours
    assert not [record for record in ours if "canary" in f"{record.getMessage()} {record.args}"]


# How it is served


async def nothing(_avatar_id: str) -> None:
    pass


@on_one_engine
async def test_it_leaves_signals_to_who_runs_it(deliveries: Deliveries) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with serve_receiver(receiver(TOKEN, deliveries, nothing), host="127.0.0.1", port=0) as url:
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{url}/health")).status_code == 200
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))


@on_one_engine
async def test_a_port_that_is_taken_is_an_error_at_once(deliveries: Deliveries) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        served = serve_receiver(receiver(TOKEN, deliveries, nothing), host="127.0.0.1", port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await served.__aenter__()


# All of it at once


async def test_of_a_thousand_deliveries_in_any_order_each_new_one_is_stored_and_followed_once(
    sender: httpx.AsyncClient, deliveries: Deliveries, hints: Hints, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(3)  # noqa: S311  # the same thousand each time
    new = [told(f"avatar-{number}", event) for number in range(200) for event in EVENTS]
    sent = [(TOKEN, body) for body in [*new, *chance.choices(new, k=300)]]
    sent += [(f"forged-{number}", told(f"forged-{number}")) for number in range(300)]
    chance.shuffle(sent)
    took: list[float] = []
    answers: Counter[int] = Counter()
    turn = asyncio.Semaphore(20)

    async def send(token: str, body: bytes) -> None:
        async with turn:
            began = time.perf_counter()
            answer = await sender.post(token, content=body)
            took.append(time.perf_counter() - began)
        answers[answer.status_code] += 1

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for token, body in sent:
            group.create_task(send(token, body))
    lasted = time.perf_counter() - began
    followed = await hints.number(len(new))
    assert answers == {202: 700, 404: 300}
    assert Counter(await stored(deliveries)) == Counter(followed)
    assert Counter(followed) == {f"avatar-{number}": len(EVENTS) for number in range(200)}
    median, p99 = statistics.median(took) * 1000, statistics.quantiles(took, n=100)[98] * 1000
    with capsys.disabled():
        print(f"\n1,000 deliveries in {lasted:.2f} s; an answer took {median:.1f} ms, {p99:.1f} ms at p99")  # noqa: T201  # a measurement
