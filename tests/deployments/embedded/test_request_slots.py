"""RequestSlots with one slot, in a real uvicorn server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from websockets.sync.client import connect

from deployments.embedded.request_slots import RequestSlots

TIMEOUT_SECONDS = 100.0
"""Only ends a failing test."""
LARGE_BYTES = 64 * 1024 * 1024
"""More than the buffers of a connection hold."""
CHUNK = b"x" * 65536


class App:
    """Answers with as many bytes as the path says; a body occupies it until it ends."""

    def __init__(self) -> None:
        self.started = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            return
        self.started.set()
        while (await receive()).get("more_body"):
            pass
        size = int(scope["path"][1:])
        headers = [(b"content-length", str(size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(0, size, len(CHUNK)):
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
        await send({"type": "http.response.body"})


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def port(app: App) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(RequestSlots(app, 1), lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()


def get_nothing(port: int) -> int:
    return httpx.get(f"http://127.0.0.1:{port}/0", timeout=TIMEOUT_SECONDS).status_code


def open_request(port: int, head: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
    connection.sendall(head + b" HTTP/1.1\r\nHost: localhost\r\n")
    return connection


def test_websocket_occupies_no_slot(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}"):
        assert get_nothing(port) == 200


def test_client_that_does_not_read_occupies_no_slot(port: int) -> None:
    with open_request(port, b"GET /%d" % LARGE_BYTES) as slow:
        slow.sendall(b"\r\n")
        assert slow.recv(1) == b"H"
        assert get_nothing(port) == 200
        received = 1
        while received < LARGE_BYTES:
            received += len(slow.recv(1_000_000))
        assert get_nothing(port) == 200


def test_client_that_leaves_gives_its_slot_back(port: int) -> None:
    for _ in range(3):
        with open_request(port, b"GET /%d" % LARGE_BYTES) as leaving:
            leaving.sendall(b"\r\n")
            assert leaving.recv(1) == b"H"
    assert get_nothing(port) == 200


def test_request_waits_while_the_app_processes_another(port: int, app: App) -> None:
    with open_request(port, b"POST /0") as first, open_request(port, b"GET /0") as second:
        first.sendall(b"Content-Length: 2\r\n\r\n{")
        assert app.started.wait(TIMEOUT_SECONDS)
        app.started.clear()
        second.sendall(b"\r\n")
        second.settimeout(0.2)
        with pytest.raises(TimeoutError):
            second.recv(1)
        assert not app.started.is_set()
        first.sendall(b"}")
        second.settimeout(TIMEOUT_SECONDS)
        assert first.recv(12) == second.recv(12) == b"HTTP/1.1 200"
