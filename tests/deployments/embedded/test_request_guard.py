"""RequestGuard in a real uvicorn server, in front of an app that records what reaches it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from deployments.embedded import request_guard
from deployments.embedded.request_guard import MAX_BODY_BYTES, RequestGuard
from deployments.embedded.server_connections import TimedProtocol
from models.environment.browser_access import AccessPolicy, own_origins

POISON = rb'{"name": "half \ud800 x"}'


@dataclass
class RecordingApp:
    """Echoes bodies and messages, and records those that it has read."""

    received: list[Any] = field(default_factory=list)
    lifespan_messages: list[str] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                self.lifespan_messages.append((await receive())["type"])
                await send({"type": f"lifespan.{phase}.complete"})
        elif scope["type"] == "websocket":
            await self._serve_websocket(receive, send)
        else:
            message = await receive()
            self.received.append((scope["method"], scope["path"], message["body"]))
            assert not message["more_body"]
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": message["body"] or b"{}"})

    async def _serve_websocket(self, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            self.received.append(message["text"])
            await send({"type": "websocket.send", "text": message["text"]})
        self.received.append(message["type"])
        await send({"type": "websocket.send", "text": "a message after the end"})


class RunningGuard:
    def __init__(self, app: RecordingApp) -> None:
        self.app = app
        listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = listener.getsockname()[1]
        policy = AccessPolicy.create(
            hosts=["avatars.example"], origins=own_origins(self.port), ui_api_url=None, api_path="/api"
        )
        guard = RequestGuard(app, policy)
        self.server = uvicorn.Server(
            uvicorn.Config(
                guard, http=TimedProtocol, ws_max_size=MAX_BODY_BYTES, log_config=None, timeout_keep_alive=0
            )
        )
        self.thread = threading.Thread(target=self.server.run, args=([listener],))
        self.thread.start()

    def send(self, raw: bytes) -> tuple[int, str]:
        """Send raw bytes and return status and body of the response, after which the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(raw)
            head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    def request(self, *headers: str, line: str = "GET /api/health HTTP/1.1") -> tuple[int, str]:
        return self.send("\r\n".join([line, *headers, "Connection: close", "", ""]).encode("latin-1"))

    def post(self, body: bytes, **headers: str) -> httpx.Response:
        return httpx.post(f"http://127.0.0.1:{self.port}/api/flow_runs/", content=body, headers=headers)

    def websocket(self, **options: Any) -> ClientConnection:
        return connect(f"ws://127.0.0.1:{self.port}/api/events/in", proxy=None, max_size=None, **options)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture(scope="module")
def running() -> Iterator[RunningGuard]:
    guard = RunningGuard(RecordingApp())
    yield guard
    guard.stop()
    assert guard.app.lifespan_messages == ["lifespan.startup", "lifespan.shutdown"]


@pytest.fixture
def guard(running: RunningGuard) -> RunningGuard:
    running.app.received.clear()
    return running


def test_allowed_request_reaches_the_app(guard: RunningGuard) -> None:
    assert guard.request(f"Host: localhost:{guard.port}")[0] == 200
    assert guard.request("Host: avatars.example", "Origin: https://avatars.example")[0] == 200
    assert guard.app.received == [("GET", "/api/health", b"")] * 2


def test_schedule_by_recurrence_rule_is_refused(guard: RunningGuard) -> None:
    response = guard.post(
        rb'[{"active": true, "schedule": {"\u0072rule": "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30"}}]'
    )
    assert response.status_code == 400
    assert "use cron or an interval" in response.text
    assert guard.app.received == []


def test_foreign_host_is_refused_before_the_app(guard: RunningGuard) -> None:
    status, text = guard.request(f"Host: evil.example:{guard.port}")
    assert status == 421
    assert "AVATARS_ALLOWED_HOSTS" in text
    assert guard.app.received == []


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["Host: localhost", "Host: localhost"],
        ["Host: localhost", "Host: evil.example"],
        ["Host:"],
        ["Host: user@localhost"],
        ["Host : localhost"],
        ["X-Forwarded-Host: localhost", "Host: evil.example"],
        ["Forwarded: host=localhost", "Host: evil.example"],
    ],
    ids=str,
)
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_missing_repeated_or_malformed_host_is_refused(
    guard: RunningGuard, version: str, headers: list[str]
) -> None:
    assert guard.request(*headers, line=f"GET /api/health {version}")[0] in {400, 421}
    assert guard.app.received == []


@pytest.mark.parametrize(
    "target", ["http://localhost/api/health", "http://evil.example/api/health", "*", "evil.example:80"]
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "CONNECT"])
def test_target_other_than_a_path_is_refused(guard: RunningGuard, method: str, target: str) -> None:
    assert guard.request("Host: localhost", line=f"{method} {target} HTTP/1.1")[0] == 400
    assert guard.app.received == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"])
def test_foreign_origin_is_refused_for_every_method(guard: RunningGuard, method: str) -> None:
    for origin in ("https://evil.example", "null", "http://localhost:1"):
        line = f"{method} /api/deployments/1/pause_deployment HTTP/1.0"
        status, text = guard.request("Host: localhost", f"Origin: {origin}", line=line)
        assert status == 403
        assert method == "HEAD" or "AVATARS_ALLOWED_HOSTS" in text
    assert guard.app.received == []


def test_second_origin_header_is_refused(guard: RunningGuard) -> None:
    own = f"Origin: http://localhost:{guard.port}"
    for headers in ([own, own], [own, "Origin: https://evil.example"], [own, "origin: null"]):
        assert guard.request("Host: localhost", *headers)[0] == 403
    assert guard.app.received == []


def test_image_of_another_site_is_refused(guard: RunningGuard) -> None:
    fetch = ["Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"]
    assert guard.request("Host: localhost", *fetch)[0] == 403
    assert guard.app.received == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
@pytest.mark.parametrize(
    "content_type", [None, "application/json", "text/plain", "application/vnd.api+json; charset=utf-16", "x"]
)
def test_poisoned_body_is_refused_for_every_type(
    guard: RunningGuard, method: str, content_type: str | None
) -> None:
    headers = [("Host", "localhost"), *([("Content-Type", content_type)] if content_type else [])]
    url = f"http://127.0.0.1:{guard.port}/api/flow_runs/"
    response = httpx.request(method, url, content=POISON, headers=headers)
    assert (response.status_code, guard.app.received) == (400, [])
    assert response.text == (
        "the body is refused: it has a string with half of a surrogate pair, such as \\ud800\n"
    )


def test_body_reaches_the_app_unchanged(guard: RunningGuard) -> None:
    body = json.dumps({"name": "Zoë", "rows": ["x" * 1000] * 500}, ensure_ascii=False).encode()
    assert guard.post(body).content == body
    assert guard.app.received == [("POST", "/api/flow_runs/", body)]


def test_body_in_chunks_is_checked_as_a_whole(guard: RunningGuard) -> None:
    def chunks(body: bytes) -> Iterator[bytes]:
        for start in range(0, len(body), 3):
            yield body[start : start + 3]

    url = f"http://127.0.0.1:{guard.port}/api/flow_runs/"
    assert httpx.post(url, content=chunks(POISON)).status_code == 400
    assert httpx.post(url, content=chunks(b'{"name": "Ada"}')).json() == {"name": "Ada"}


def test_compressed_body_is_refused(guard: RunningGuard) -> None:
    assert guard.post(b"\x1f\x8b\x08", **{"Content-Encoding": "gzip"}).status_code == 400
    assert guard.app.received == []


def test_large_body_is_refused(guard: RunningGuard) -> None:
    head = f"POST /api/flow_runs/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n"
    status, text = guard.send(head.encode())
    assert status == 413
    assert str(MAX_BODY_BYTES) in text
    assert guard.app.received == []


async def test_large_body_without_a_length_is_refused() -> None:
    """Called directly: uvicorn closes the connection of a client that is still sending."""
    app = RecordingApp()
    policy = AccessPolicy.create(hosts=(), origins=(), ui_api_url=None, api_path="/api")
    scope = {"type": "http", "method": "POST", "path": "/api", "headers": [(b"host", b"localhost")]}
    chunks = 0
    sent: list[Any] = []

    async def receive() -> dict[str, object]:
        nonlocal chunks
        chunks += 1
        return {"type": "http.request", "body": b" " * 2**20, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    await RequestGuard(app, policy)(scope, receive, send)
    assert (sent[0]["status"], chunks, app.received) == (413, MAX_BODY_BYTES // 2**20 + 1, [])


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        "HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-length: 0",
        "HTTP/1.0\r\nTransfer-Encoding: chunked",
        "HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
    ],
)
def test_ambiguous_body_ends_the_connection(guard: RunningGuard, head: str) -> None:
    smuggled = "GET /api/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    status, text = guard.send(f"POST /api/x {head}\r\nHost: localhost\r\n\r\n0\r\n\r\n{smuggled}".encode())
    assert (status, guard.app.received) == (400, [])
    assert "HTTP/1.1 200" not in text


def test_slow_body_is_refused(guard: RunningGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_guard, "BODY_TIMEOUT_SECONDS", 0.05)
    status, _ = guard.send(b"POST /api/flow_runs/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{")
    assert (status, guard.app.received) == (408, [])


def test_disconnect_during_the_body_reaches_no_app(guard: RunningGuard) -> None:
    with socket.create_connection(("127.0.0.1", guard.port)) as connection:
        connection.sendall(b"POST /api/flow_runs/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{")
    assert guard.request("Host: localhost")[0] == 200
    assert guard.app.received == [("GET", "/api/health", b"")]


def test_websocket_messages_pass_in_both_directions(guard: RunningGuard) -> None:
    with guard.websocket() as websocket:
        for text in ('{"type": "auth"}', '"Zoë"'):
            websocket.send(text)
            assert websocket.recv(timeout=20) == text
    assert guard.app.received[:2] == ['{"type": "auth"}', '"Zoë"']


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 421),
    ],
    ids=str,
)
def test_foreign_websocket_is_refused_before_its_handshake(
    guard: RunningGuard, headers: dict[str, str], status: int
) -> None:
    raw = ["GET /api/events/out HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    raw += [] if "Host" in headers else ["Host: localhost"]
    raw += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    raw += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
    assert guard.send("\r\n".join(raw).encode())[0] == status
    assert guard.app.received == []


def test_own_page_may_open_a_websocket(guard: RunningGuard) -> None:
    with guard.websocket(origin=Origin(f"http://127.0.0.1:{guard.port}")) as websocket:
        websocket.send("1")
        assert websocket.recv(timeout=20) == "1"
    with pytest.raises(InvalidStatus), guard.websocket(origin=Origin("http://127.0.0.1:1")):
        pass


@pytest.mark.parametrize(
    "message",
    [POISON.decode(), '{"n": NaN}', r'"\u0000"', "[" * 5000, "not JSON", b'{"a": 1}', ""],
    ids=lambda message: str(message)[:20],
)
def test_poisoned_message_ends_the_websocket(guard: RunningGuard, message: str | bytes) -> None:
    with guard.websocket() as websocket:
        websocket.send("1")
        assert websocket.recv(timeout=20) == "1"
        websocket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(timeout=20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1007
    assert closed.value.rcvd.reason.startswith("the message is refused: it ")
    assert guard.app.received == ["1", "websocket.disconnect"]
