"""The webhook receiver on a real socket: accepted and rejected deliveries, storage, and rates."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import socket
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from deployments.webhooks.limits import DEFAULT_LIMITS
from deployments.webhooks.receiver import Receiver, serve_receiver
from models.argil.webhook import SUBSCRIBED_EVENTS, callback_path
from models.provisioning import LeaseOwner, Status, SubmissionState
from models.request import ProvisioningRequest
from store.database import Database
from store.ledger import Ledger
from store.webhook_deliveries import WebhookDeliveryRepository
from tests.fakes import FakeClock

TOKEN = "canary-token-0123456789"
TIMEOUT_SECONDS = 20.0
OWNER = LeaseOwner(actor="test", id="test")


def make_body(avatar_id: str, event: str = "AVATAR_TRAINING_SUCCESS", **data: Any) -> bytes:
    return json.dumps({"event": event, "data": {"avatarId": avatar_id, "avatarName": "Ada", **data}}).encode()


@pytest.fixture
def deliveries(database: Database, clock: FakeClock) -> WebhookDeliveryRepository:
    return WebhookDeliveryRepository(database, clock)


@contextlib.asynccontextmanager
async def open_receiver(
    deliveries: WebhookDeliveryRepository, clock: FakeClock, **limits: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve a receiver and yield a client with its URL."""
    receiver = Receiver(TOKEN, deliveries, clock, replace(DEFAULT_LIMITS, **limits))
    async with (
        serve_receiver(receiver, socket.create_server(("127.0.0.1", 0))) as url,
        httpx.AsyncClient(base_url=f"{url}/webhooks/argil/", timeout=TIMEOUT_SECONDS) as sender,
    ):
        yield sender


@pytest.fixture
async def sender(deliveries: WebhookDeliveryRepository, clock: FakeClock) -> AsyncIterator[httpx.AsyncClient]:
    async with open_receiver(deliveries, clock) as client:
        yield client


async def stored(deliveries: WebhookDeliveryRepository) -> list[str]:
    return [avatar_id for _, avatar_id in await deliveries.list_after(0)]


on_one_engine = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


# Accepted deliveries


async def test_repeated_delivery_is_stored_once(
    sender: httpx.AsyncClient, deliveries: WebhookDeliveryRepository
) -> None:
    for _ in range(3):
        response = await sender.post(TOKEN, content=make_body("a-1"))
        assert (response.status_code, response.content) == (202, b"")
    await sender.post(TOKEN, content=make_body("a-2"))
    assert await stored(deliveries) == ["a-1", "a-2"]


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
    sender: httpx.AsyncClient, deliveries: WebhookDeliveryRepository, token: str
) -> None:
    unknown_path = await sender.post(str(sender.base_url.join("/nowhere")), content=make_body("a-1"))
    response = await sender.post(token, content=make_body("a-1"))
    assert response.status_code == unknown_path.status_code == 404
    assert response.content == unknown_path.content
    assert {*response.headers} == {*unknown_path.headers}
    assert await stored(deliveries) == []


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
    caplog: pytest.LogCaptureFixture,
    body: bytes,
) -> None:
    assert (await sender.post(TOKEN, content=body)).status_code == 202
    assert f"ignored a webhook delivery of {len(body)} bytes" in caplog.text
    assert await stored(deliveries) == []


@on_one_engine
async def test_body_size_limit_is_enforced(
    sender: httpx.AsyncClient, deliveries: WebhookDeliveryRepository
) -> None:
    def of_size(size: int) -> bytes:
        return make_body("a-1", extras="x" * (size - len(make_body("a-1", extras=""))))

    async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    for size in (DEFAULT_LIMITS.body_bytes + 1, 2 * DEFAULT_LIMITS.body_bytes, 100 * DEFAULT_LIMITS.body_bytes):
        assert (await sender.post(TOKEN, content=of_size(size))).status_code == 413
        assert (await sender.post(TOKEN, content=in_chunks(of_size(size)))).status_code == 413
    assert await stored(deliveries) == []
    assert (await sender.post(TOKEN, content=of_size(DEFAULT_LIMITS.body_bytes))).status_code == 202
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


async def test_failed_storage_is_answered_with_503_and_logged(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    unreachable = Database("postgresql+asyncpg://user:canary-password@127.0.0.1:1/ledger")
    async with open_receiver(WebhookDeliveryRepository(unreachable, clock), clock) as sender:
        response = await sender.post(TOKEN, content=make_body("a-1"))
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert "a webhook delivery could not be stored" in caplog.text
    assert "canary-password" not in caplog.text
    await unreachable.close()


@on_one_engine
async def test_logs_contain_neither_token_nor_signature(
    sender: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    signed = make_body("a-1", video="https://h.example/d.mp4?X-Amz-Signature=canary-signature")
    for token in (TOKEN, f"{TOKEN}x"):
        for body in (signed, b"<html>", b"x" * (DEFAULT_LIMITS.body_bytes + 1)):
            await sender.post(token, content=body)
    records = [
        record for record in caplog.records if not record.name.startswith("http")
    ]  # those of the test's client
    assert records
    assert not [record for record in records if "canary" in f"{record.getMessage()} {record.args}"]


# Rates


@on_one_engine
async def test_too_many_deliveries_get_429_until_later(
    deliveries: WebhookDeliveryRepository, clock: FakeClock
) -> None:
    async with open_receiver(deliveries, clock, request_burst=3, requests_per_second=0.25) as sender:
        statuses = [(await sender.post(TOKEN, content=make_body(f"a-{n}"))).status_code for n in range(3)]
        refused = await sender.post(TOKEN, content=make_body("a-3"))
        clock.advance(4)
        accepted = await sender.post(TOKEN, content=make_body("a-3"))
    assert statuses == [202, 202, 202]
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "4")
    assert accepted.status_code == 202


@on_one_engine
async def test_strangers_do_not_use_up_the_rate_of_argil(
    deliveries: WebhookDeliveryRepository, clock: FakeClock
) -> None:
    async with open_receiver(deliveries, clock, request_burst=3) as sender:
        health = str(sender.base_url.join("/health"))
        guesses = [(await sender.post(f"guess-{n}", content=b"{}")).status_code for n in range(5)]
        guesses += [(await sender.get(TOKEN)).status_code]
        delivery = await sender.post(TOKEN, content=make_body("a-1"))
        healthy = [(await sender.get(health)).status_code for _ in range(5)]
    assert guesses == [404, 404, 404, 429, 429, 429]
    assert delivery.status_code == 202
    assert healthy == [200] * 5


@on_one_engine
async def test_flood_is_logged_once_per_interval(
    deliveries: WebhookDeliveryRepository, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_receiver(deliveries, clock, request_burst=20) as sender:
        for _ in range(30):
            await sender.post("guess", content=b"{}")
            await sender.post(TOKEN, content=b"<html>")
        assert len(caplog.messages) == 3  # 404, 429, and malformed deliveries
        clock.advance(DEFAULT_LIMITS.log_interval_seconds)
        await sender.post("guess", content=b"{}")
    assert caplog.messages[-1] == ("refused a webhook request: 404 Not Found (19 more since the last such message)")


# Serving


@on_one_engine
async def test_closed_receiver_refuses_connections(deliveries: WebhookDeliveryRepository, clock: FakeClock) -> None:
    async with open_receiver(deliveries, clock) as sender:
        address = sender.base_url.host, sender.base_url.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


@on_one_engine
async def test_ipv6_receiver_has_a_valid_url(deliveries: WebhookDeliveryRepository, clock: FakeClock) -> None:
    listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    async with serve_receiver(Receiver(TOKEN, deliveries, clock), listener) as url, httpx.AsyncClient() as client:
        assert (await client.get(f"{url}/health")).status_code == 200


# Load


@pytest.mark.system
async def test_thousand_deliveries_are_stored_once(
    sender: httpx.AsyncClient,
    deliveries: WebhookDeliveryRepository,
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
    assert status_codes == {202: 700, 404: 300}
    assert Counter(await stored(deliveries)) == {
        f"avatar-{number}": len(SUBSCRIBED_EVENTS) for number in range(200)
    }
    median, p99 = statistics.median(durations) * 1000, statistics.quantiles(durations, n=100)[98] * 1000
    with capsys.disabled():
        print(f"\n1,000 deliveries in {elapsed:.2f} s; response time {median:.1f} ms (median), {p99:.1f} ms (p99)")  # noqa: T201  # a measurement


# Callback URLs


async def add_submission(database: Database, avatar_id: str | None) -> str:
    """Record a submission, with its avatar if there is one, and return its id."""
    ledger = Ledger(database, FakeClock())
    request = ProvisioningRequest(
        name="Ada", dataset_video="https://v.example/d", consent_video="https://v.example/c"
    )
    opened, _ = await ledger.get_or_create(request, "ada-1", OWNER)
    provisioning, submission = await ledger.begin_submission(opened, OWNER, "sent")
    if avatar_id is not None:
        await ledger.resolve_submission(
            provisioning,
            OWNER,
            "created",
            submission,
            SubmissionState.CREATED,
            new_status=Status.TRAINING,
            avatar_id=avatar_id,
        )
    return submission.id


@on_one_engine
async def test_callback_is_a_wake_up_of_its_avatar(
    sender: httpx.AsyncClient, deliveries: WebhookDeliveryRepository, database: Database
) -> None:
    path = callback_path(TOKEN, await add_submission(database, "a-1"))
    for body in (b"", b"{}", make_body("a-2"), b"\xff"):  # the body is not documented, and never read
        assert (await sender.post(path, content=body)).status_code == 202
    assert await stored(deliveries) == ["a-1"]


@on_one_engine
async def test_callback_of_a_submission_without_an_avatar_is_accepted(
    sender: httpx.AsyncClient, deliveries: WebhookDeliveryRepository, database: Database
) -> None:
    for submission_id in (await add_submission(database, None), "s-2"):
        assert (await sender.post(callback_path(TOKEN, submission_id), content=b"{}")).status_code == 202
    assert await stored(deliveries) == []


@on_one_engine
async def test_forged_callback_is_not_found(
    sender: httpx.AsyncClient, deliveries: WebhookDeliveryRepository, database: Database
) -> None:
    submission_id = await add_submission(database, "a-1")
    for path in (submission_id, f"{submission_id}.{'0' * 32}", callback_path("another-token-0123", submission_id)):
        assert (await sender.post(path, content=make_body("a-1"))).status_code == 404
    assert await stored(deliveries) == []
