"""Connections of the receiver with raw sockets: ambiguous requests, limits, and many connections at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import resource
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from deployments.webhooks.limits import DEFAULT_LIMITS, MAX_ACCEPTS, ReceiverLimits
from deployments.webhooks.receiver import Receiver, serve_receiver
from models.argil.webhook import WebhookDelivery
from models.clock import SystemClock
from store.webhook_deliveries import WebhookDeliveryRepository

TOKEN = "canary-token-0123456789"
TIMEOUT_SECONDS = 20.0
BODY = json.dumps({"event": "AVATAR_TRAINING_SUCCESS", "data": {"avatarId": "a-1"}}).encode()
TARGET = f"/webhooks/argil/{TOKEN}".encode()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
FIRST_CHUNK = b"%x\r\n%s\r\n" % (len(BODY), BODY)


class StoredDeliveries(WebhookDeliveryRepository):
    """Stores deliveries in a list, and only while `may_store` is set."""

    def __init__(self) -> None:
        self.avatar_ids: list[str] = []
        self.may_store = asyncio.Event()
        self.may_store.set()

    async def add(self, delivery: WebhookDelivery) -> bool:
        await self.may_store.wait()
        self.avatar_ids.append(delivery.avatar_id)
        return True


class Server:
    """A running receiver and what it stored."""

    def __init__(self, port: int, deliveries: StoredDeliveries) -> None:
        self.port = port
        self.deliveries = deliveries

    async def open(self, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        await writer.drain()
        return reader, writer

    async def exchange(self, *parts: bytes) -> bytes:
        """Send the parts in separate segments and return all that the receiver sends until it closes."""
        reader, writer = await self.open()
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            with contextlib.suppress(ConnectionError):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
            try:
                return await reader.read()
            finally:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()


@contextlib.asynccontextmanager
async def running(**limits: Any) -> AsyncIterator[Server]:
    """Serve a receiver with other limits than the default."""
    deliveries = StoredDeliveries()
    receiver = Receiver(TOKEN, deliveries, SystemClock(), replace(DEFAULT_LIMITS, **limits))
    async with serve_receiver(receiver, socket.create_server(("127.0.0.1", 0))) as url:
        yield Server(int(url.rpartition(":")[2]), deliveries)
        deliveries.may_store.set()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with running() as server:
        yield server


def request(
    headers: bytes = LENGTH,
    body: bytes = BODY,
    *,
    line: bytes = b"POST " + TARGET + b" HTTP/1.1",
    host: bytes = b"Host: avatars.example.com\r\n",
) -> bytes:
    return line + b"\r\n" + host + headers + b"\r\n" + body


def status(response: bytes) -> int:
    """Return the status of the only response."""
    assert response.count(b"HTTP/1.1 ") == 1, response
    return int(response.split()[1])


# Requests whose end is certain

ACCEPTED = {
    "length": request(),
    "length-with-zeros": request(b"Content-Length: 000%d\r\n" % len(BODY)),
    "chunked": request(CHUNKED, CHUNKS),
    "chunked-in-capitals": request(b"transfer-encoding: CHUNKED\r\n", CHUNKS),
    "small-chunks": request(CHUNKED, b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"),
    "chunk-extension": request(CHUNKED, CHUNKS.replace(b"\r\n", b';name="a;b"\r\n', 1)),
    "trailer": request(CHUNKED, FIRST_CHUNK + b"0\r\nChecksum: 1\r\n\r\n"),
    "http-1.0": request(line=b"POST " + TARGET + b" HTTP/1.0", host=b""),
    "query": request(line=b"POST " + TARGET + b"?a=b HTTP/1.1"),
    "absolute-target": request(line=b"POST http://avatars.example.com" + TARGET + b" HTTP/1.1"),
    "ipv6-host": request(host=b"Host: [::1]:4201\r\n"),
    "keep-alive": request(b"Connection: keep-alive\r\n" + LENGTH),
    "empty-line-after-the-body": request() + b"\r\n",
}


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED.keys())
@pytest.mark.parametrize("size", [None, 1], ids=["at-once", "in-bytes"])
async def test_valid_request_is_accepted(server: Server, data: bytes, size: int | None) -> None:
    parts = [data] if size is None else [data[start : start + size] for start in range(0, len(data), size)]
    response = await server.exchange(*parts)
    assert status(response) == 202
    assert b"\r\nconnection: close\r\n" in response
    assert server.deliveries.avatar_ids == ["a-1"]


async def test_expected_continue_is_sent_before_the_body(server: Server) -> None:
    reader, writer = await server.open(request(b"Expect: 100-continue\r\n" + LENGTH, b""))
    async with asyncio.timeout(TIMEOUT_SECONDS):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(BODY)
        assert status(await reader.read()) == 202
    writer.close()


async def test_head_request_gets_no_body(server: Server) -> None:
    response = await server.exchange(request(b"", b"", line=b"HEAD /health HTTP/1.1"))
    assert status(response) == 200
    assert response.endswith(b"\r\n\r\n")
    assert b"content-length: 15\r\n" in response


# Requests whose end is ambiguous

AMBIGUOUS = {
    "length-and-chunked": request(LENGTH + CHUNKED, CHUNKS),
    "chunked-and-length": request(CHUNKED + LENGTH, CHUNKS),
    "two-lengths": request(LENGTH * 2),
    "two-different-lengths": request(LENGTH + b"Content-Length: 1\r\n"),
    "length-list": request(b"Content-Length: %d, %d\r\n" % (len(BODY), len(BODY))),
    **{
        f"length-{value!r}": request(b"Content-Length: " + value + b"\r\n")
        for value in (
            b"+62",
            b"-62",
            b"6 2",
            b"6_2",
            b"0x3e",
            b"62;",
            b"62.0",
            b"",
            b"\x0b62",
            b"6\x002",
            b"9" * 30,
        )
    },
    **{
        f"coding-{value!r}": request(b"Transfer-Encoding: " + value + b"\r\n", CHUNKS)
        for value in (
            *(b"chunked, identity", b"identity", b"identity, chunked", b"gzip, chunked", b"chunked, chunked"),
            *(
                b",chunked",
                b"chunked,",
                b"xchunked",
                b'"chunked"',
                b"chunked;q=1",
                b"\x0bchunked",
                b"chun\x00ked",
                b"",
            ),
        )
    },
    "two-codings": request(CHUNKED * 2, CHUNKS),
    "coding-then-identity": request(CHUNKED + b"Transfer-Encoding: identity\r\n", CHUNKS),
    "coding-in-http-1.0": request(CHUNKED, CHUNKS, line=b"POST " + TARGET + b" HTTP/1.0"),
    "length-in-a-trailer": request(CHUNKED, FIRST_CHUNK + b"0\r\nContent-Length: 3\r\n\r\n"),
    "space-before-colon": request(b"Content-Length : 62\r\n"),
    "tab-before-colon": request(b"Transfer-Encoding\t: chunked\r\n", CHUNKS),
    "folded-header": request(b"Transfer-Encoding:\r\n chunked\r\n", CHUNKS),
    "folded-with-tab": request(LENGTH + b"X: a\r\n\tb\r\n"),
    "leading-space-in-header": request(b" " + LENGTH),
    "nul-in-value": request(LENGTH + b"X: a\x00b\r\n"),
    "nul-in-name": request(LENGTH + b"X\x00: a\r\n"),
    "carriage-return-in-value": request(LENGTH + b"X: a\rContent-Length: 0\r\n"),
    "no-colon": request(LENGTH + b"X\r\n"),
    "no-name": request(LENGTH + b": x\r\n"),
    "line-feeds-only": request().replace(b"\r\n", b"\n"),
    "carriage-returns-only": request().replace(b"\r\n", b"\r"),
    "line-feed-after-a-header": request(LENGTH + b"X: a\n"),
    "line-feed-ends-the-head": request().replace(b"\r\n\r\n", b"\r\n\n"),
    "line-feed-after-the-request-line": request().replace(b"\r\n", b"\n", 1),
    "line-feed-after-chunk-size": request(CHUNKED, CHUNKS.replace(b"\r\n", b"\n", 1)),
    "line-feed-after-chunk": request(CHUNKED, FIRST_CHUNK[:-2] + b"\n0\r\n\r\n"),
    "line-feed-after-last-chunk": request(CHUNKED, FIRST_CHUNK + b"0\r\n\n"),
    "line-feed-in-extension": request(CHUNKED, CHUNKS.replace(b"\r\n", b";a\n", 1)),
    "return-in-extension": request(CHUNKED, CHUNKS.replace(b"\r\n", b";a\rb\r\n", 1)),
    "no-end-after-chunk": request(CHUNKED, FIRST_CHUNK[:-2] + b"0\r\n\r\n"),
    **{
        f"chunk-size-{size!r}": request(CHUNKED, size + b"\r\n" + BODY + b"\r\n0\r\n\r\n")
        for size in (b"+3e", b"-1", b"0x3e", b"3e ", b" 3e", b"\t3e", b"3_e", b"", b";a", b"g", b"f" * 17, b"3e;")
    },
    "huge-extension": request(CHUNKED, CHUNKS.replace(b"\r\n", b";a=" + b"b" * 5000 + b"\r\n", 1)),
    "huge-trailer": request(CHUNKED, FIRST_CHUNK + b"0\r\nX: " + b"a" * 5000 + b"\r\n\r\n"),
    "more-chunk-headers-than-data": request(CHUNKED, b"1\r\n \r\n" * 5000 + b"0\r\n\r\n"),
    "two-hosts": request(host=b"Host: a\r\nHost: b\r\n"),
    "the-same-host-twice": request(host=b"Host: a\r\nHost: a\r\n"),
    "two-hosts-in-http-1.0": request(line=b"POST " + TARGET + b" HTTP/1.0", host=b"Host: a\r\nHost: b\r\n"),
    "no-host": request(host=b""),
    **{
        f"host-{value!r}": request(host=b"Host: " + value + b"\r\n")
        for value in (
            b"",
            b"a b",
            b"a,b",
            b"a/b",
            b"u@a",
            b"a:x",
            b"a:1:2",
            b"[a",
            b"\xc3\xa4.example",
            b"a#b",
            b"a?b",
        )
    },
    **{
        f"line-{line!r}": request(line=line)
        for line in (
            b"POST  " + TARGET + b" HTTP/1.1",
            b"POST " + TARGET + b"  HTTP/1.1",
            b"POST\t" + TARGET + b" HTTP/1.1",
            b" POST " + TARGET + b" HTTP/1.1",
            b"POST " + TARGET + b" HTTP/1.1 ",
            b"POST " + TARGET,
            b"post " + TARGET + b" HTTP/1.1",
            b"POST " + TARGET + b"#a HTTP/1.1",
            b"POST " + TARGET + b" x HTTP/1.1",
            b"POST " + TARGET + b"\x00 HTTP/1.1",
            b"POST " + TARGET + b"\xff HTTP/1.1",
            *(
                b"POST " + TARGET + b" " + name
                for name in (b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"RTSP/1.0", b"http/1.1")
            ),
            b"CONNECT avatars.example.com:443 HTTP/1.1",
            b"PRI * HTTP/2.0",
        )
    },
    "leading-empty-line": b"\r\n" + request(),
    "leading-line-feed": b"\n" + request(),
    "leading-carriage-return": b"\r" + request(),
    "upgrade": request(b"Connection: upgrade\r\nUpgrade: h2c\r\n" + LENGTH),
    "second-request": request() + request(),
    "second-request-after-chunks": request(CHUNKED, CHUNKS) + request(b"", b"", line=b"GET /health HTTP/1.1"),
    "second-request-in-the-body-of-get": request(b"", BODY, line=b"POST " + TARGET + b" HTTP/1.1"),
    "garbage-after-the-body": request() + b"x",
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "http-2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("data", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
async def test_ambiguous_request_is_refused(server: Server, data: bytes) -> None:
    response = await server.exchange(data)
    assert status(response) == 400
    assert TOKEN.encode() not in response
    assert server.deliveries.avatar_ids == []


async def test_ambiguous_requests_are_refused_byte_by_byte(server: Server) -> None:
    """The parser sees the same request in other pieces. A second request is too late for a refusal."""

    async def send(name: str, data: bytes) -> tuple[str, int]:
        return name, status(await server.exchange(*(data[at : at + 1] for at in range(len(data)))))

    names = [
        name
        for name in AMBIGUOUS
        if len(AMBIGUOUS[name]) < 400 and "second" not in name and "after-the" not in name
    ]
    statuses = await asyncio.gather(*(send(name, AMBIGUOUS[name]) for name in names))
    assert [pair for pair in statuses if pair[1] != 400] == []
    assert server.deliveries.avatar_ids == []


async def test_late_second_request_is_never_answered(server: Server) -> None:
    reader, writer = await server.open(request())
    async with asyncio.timeout(TIMEOUT_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(request())
        rest = await reader.read()
    assert (status(head), rest) == (202, b"")
    assert server.deliveries.avatar_ids == ["a-1"]
    writer.close()


# Limits of one connection


@pytest.mark.parametrize(
    ("limits", "sent", "expected"),
    [
        ({"head_seconds": 0.05}, request()[:40], 408),
        ({"head_seconds": 0.05}, request()[: -1 - len(BODY)], 408),
        ({"body_seconds": 0.05}, request()[:-1], 408),
        ({"body_seconds": 0.05}, request(CHUNKED, FIRST_CHUNK), 408),
        ({"head_bytes": 1000}, request(b"X: " + b"a" * 1000 + b"\r\n" + LENGTH), 431),
        ({"head_bytes": 1000}, request(b"a:\r\n" * 250 + LENGTH), 431),
        ({"head_bytes": 1000}, b"POST /" + b"a" * 1000, 431),
        ({"body_bytes": 60}, request(), 413),
        ({"body_bytes": 60}, request(LENGTH, b""), 413),
        ({"body_bytes": 60}, request(CHUNKED, FIRST_CHUNK), 413),
        ({"pending_deliveries": 0}, request(), 503),
    ],
)
async def test_request_beyond_a_limit_is_refused(limits: dict[str, Any], sent: bytes, expected: int) -> None:
    async with running(**limits) as server:
        response = await server.exchange(sent)
        assert status(response) == expected
        assert server.deliveries.avatar_ids == []


@pytest.mark.parametrize("difference", [0, 1])
async def test_head_limit_is_exact(difference: int) -> None:
    size = len(request()) - len(BODY)
    async with running(head_bytes=size + 1 - difference) as server:
        assert status(await server.exchange(request())) == (202, 431)[difference]


async def test_silent_connection_is_closed_without_a_response() -> None:
    async with running(head_seconds=0.05) as server:
        assert await server.exchange() == b""


async def test_sender_that_does_not_close_is_disconnected() -> None:
    async with running(linger_seconds=0.05) as server:
        reader, writer = await server.open(request())
        async with asyncio.timeout(TIMEOUT_SECONDS):
            assert status(await reader.read()) == 202
            while not writer.is_closing():
                writer.write(b" ")  # until the kernel reports the reset
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
                await asyncio.sleep(0.01)


async def test_incomplete_request_is_refused(server: Server) -> None:
    for data in (request()[:30], request()[:-1], request(CHUNKED, FIRST_CHUNK)):
        reader, writer = await server.open(data)
        writer.write_eof()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            assert status(await reader.read()) == 400
        writer.close()
    assert server.deliveries.avatar_ids == []


async def test_half_closed_sender_gets_its_response(server: Server) -> None:
    reader, writer = await server.open(request())
    writer.write_eof()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        assert status(await reader.read()) == 202
    writer.close()


async def test_delivery_of_a_disconnected_sender_is_stored(server: Server) -> None:
    server.deliveries.may_store.clear()
    _, writer = await server.open(request())
    writer.transport.abort()
    assert status(await server.exchange(request(b"", b"", line=b"GET /health HTTP/1.1"))) == 200
    server.deliveries.may_store.set()
    assert status(await server.exchange(request())) == 202
    assert server.deliveries.avatar_ids == ["a-1", "a-1"]


# Many connections

HALF_OPEN = request()[:40]


async def test_half_open_connections_keep_no_delivery_out() -> None:
    async with running(connections=8) as server:
        attackers = [await server.open(HALF_OPEN) for _ in range(50)]
        assert status(await server.exchange(request())) == 202
        assert status(await server.exchange(request(b"", b"", line=b"GET /health HTTP/1.1"))) == 200
        async with asyncio.timeout(TIMEOUT_SECONDS):
            evicted = [status(await reader.read()) for reader, _ in attackers[:42]]
        for _, writer in attackers:
            writer.close()
    assert set(evicted) == {503}


async def test_slow_delivery_is_not_evicted() -> None:
    async with running(connections=8) as server:
        reader, writer = await server.open(request()[:-1])
        attackers = [await server.open(HALF_OPEN) for _ in range(50)]
        writer.write(request()[-1:])
        async with asyncio.timeout(TIMEOUT_SECONDS):
            assert status(await reader.read()) == 202
        for _, attacker in [*attackers, (reader, writer)]:
            attacker.close()


async def test_deliveries_beyond_the_pending_limit_get_503() -> None:
    async with running(pending_deliveries=2) as server:
        pending = [await server.open(request()[:-1]) for _ in range(2)]
        response = await server.exchange(request())
        assert (status(response), b"\r\nretry-after: 1\r\n" in response) == (503, True)
        for reader, writer in pending:
            writer.write(request()[-1:])
            async with asyncio.timeout(TIMEOUT_SECONDS):
                assert status(await reader.read()) == 202
            writer.close()
        assert status(await server.exchange(request())) == 202


ENDLESS = {
    "garbage": b"",
    "target": b"POST /",
    "header": request(b"", b"")[:-2] + b"X: ",
    "wrong-token": request(b"Content-Length: 99999999\r\n", b"", line=b"POST /webhooks/argil/x HTTP/1.1"),
    "body": request(b"Content-Length: 99999999\r\n", b""),
    "chunk": request(CHUNKED, b"fffffff\r\n"),
    "chunk-extension": request(CHUNKED, b"1;a="),
    "trailer": request(CHUNKED, b"1\r\n \r\n0\r\nX: "),
    "body-of-get": request(b"Content-Length: 99999999\r\n", b"", line=b"GET /health HTTP/1.1"),
}


async def test_endless_requests_take_no_memory(server: Server) -> None:
    """Sends up to 40 MB in every phase. The sender and the receiver are this process."""
    assert status(await server.exchange(request())) == 202
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    megabyte = b"x" * 2**20
    for data in ENDLESS.values():
        _, writer = await server.open(data)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                for _ in range(40):
                    writer.write(megabyte)
                    await writer.drain()
                pytest.fail(f"{data[:40]!r} was read on and on")
        writer.close()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 16 * 1024


async def test_waiting_connections_are_read_before_they_are_evicted() -> None:
    """All have sent their requests when the receiver accepts the first one."""
    count = 3 * MAX_ACCEPTS + 50
    async with running(connections=3 * MAX_ACCEPTS, pending_deliveries=count) as server:
        with contextlib.ExitStack() as stack:
            senders = []
            for _ in range(count):
                sender = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                sender.sendall(request())
                sender.setblocking(False)  # the name of the method says it
                senders.append(sender)
            async with asyncio.timeout(TIMEOUT_SECONDS):
                loop = asyncio.get_running_loop()
                responses = await asyncio.gather(*(loop.sock_recv(sender, 1000) for sender in senders))
    assert {status(response) for response in responses} == {202}


async def test_mutated_requests_get_one_response_and_no_error(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception in the protocol would be logged by asyncio, once per request."""
    rng = random.Random(11)  # noqa: S311  # reproducible
    samples = [*ACCEPTED.values(), *(data for data in AMBIGUOUS.values() if len(data) < 1000)]
    parts = [
        b"\r\n",
        b"\n",
        b"\r",
        b"\x00",
        b" ",
        b":",
        b"0",
        b"-",
        b"//",
        b"%00",
        b"\xff",
        b"[",
        b"*",
        LENGTH,
        CHUNKED,
    ]

    def mutate(data: bytes) -> bytes:
        for _ in range(rng.randint(1, 4)):
            start = rng.randrange(len(data) + 1)
            data = data[:start] + rng.choice(parts) + data[start + rng.choice((0, 0, 1, 9)) :]
        return data

    async def send(data: bytes) -> None:
        reader, writer = await server.open(data)
        writer.write_eof()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            response = await reader.read()
        writer.close()
        assert response.count(b"HTTP/1.1 ") == 1 + response.startswith(b"HTTP/1.1 100"), data

    for _ in range(40):
        await asyncio.gather(*(send(mutate(rng.choice(samples))) for _ in range(25)))
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


def test_fewer_deliveries_than_connections_are_protected() -> None:
    assert ReceiverLimits().pending_deliveries < ReceiverLimits().connections
