"""Connections to a uvicorn server with the limits of the embedded Prefect server."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from deployments.embedded import server_connections
from deployments.embedded.server_connections import TimedProtocol

TIMEOUT_SECONDS = 20.0
"""Only ends a failing test."""
REQUEST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n"
HANDSHAKE = (
    b"Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer each request at once if its target is /early, otherwise after its body."""
    assert scope["type"] == "http"
    while scope["path"] != "/early" and (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(server_connections, "HEAD_TIMEOUT_SECONDS", 0.1)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=TimedProtocol, lifespan="off", log_config=None, timeout_keep_alive=60)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()


def read_to_end(connection: socket.socket) -> bytes:
    data = b""
    try:
        while chunk := connection.recv(65536):
            data += chunk
    except ConnectionResetError:
        pass
    return data


@pytest.mark.parametrize(
    "sent", [b"", b"G", REQUEST[:-2], REQUEST + b"{}", REQUEST + b"{}" + REQUEST[:-2]], ids=repr
)
def test_connection_without_a_complete_head_is_closed(port: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(sent)
        assert read_to_end(connection).count(b"200 OK") == sent.count(b"{}")


def test_body_may_take_longer_than_the_head(port: int) -> None:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as idle,
        socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as slow,
    ):
        slow.sendall(REQUEST + b"{")
        assert read_to_end(idle) == b""  # so the time for a head is over
        slow.sendall(b"}")
        assert b"200 OK" in slow.recv(65536)


def test_body_after_the_response_does_not_keep_the_connection(port: int) -> None:
    early = REQUEST.replace(b"POST /", b"POST /early").replace(b"Length: 2", b"Length: 999999999")
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(early)
        assert b"200 OK" in connection.recv(65536)
        connection.sendall(b"{")
        assert read_to_end(connection) == b""


@pytest.mark.parametrize(
    "raw",
    [
        b"POST / HTTP/1.1\r\n" + HANDSHAKE + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HANDSHAKE + b"Content-Length: 3\r\n\r\nGET",
        b"GET / HTTP/1.1\r\n" + HANDSHAKE + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["POST", "length", "chunked"],
)
def test_handshake_with_a_body_is_refused(port: int, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(raw)
        assert read_to_end(connection).startswith(b"HTTP/1.1 400 ")


def test_open_files_limit_is_raised() -> None:
    code = """
import resource
from deployments.embedded.server_connections import MAX_OPEN_FILES, raise_open_files_limit
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
raise_open_files_limit()
soft, hard_now = resource.getrlimit(resource.RLIMIT_NOFILE)
assert hard_now == hard
assert soft == (MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
