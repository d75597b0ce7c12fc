"""Runs an ASGI app with uvicorn on loopback in a thread of this process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import uvicorn

HOST = "127.0.0.1"
SHUTDOWN_TIMEOUT_SECONDS = 10
# Longer than clients keep an idle connection, so that the server never closes one that a client reuses.
KEEP_ALIVE_SECONDS = 300


@contextlib.contextmanager
def serve_in_thread(
    app: Any,
    *,
    port: int = 0,
    certificate: Path | None = None,
    http: type[asyncio.Protocol] | Literal["auto"] = "auto",
    date_header: bool = True,
) -> Iterator[str]:
    """Serve `app` while the context is open; yields its base URL without a trailing slash.

    The lifespan of the app runs as well.

    Args:
        app: The ASGI app.
        port: The port to listen on; 0 selects a free one.
        certificate: A PEM file with the private key and the certificate chain; with it the server uses TLS.
        http: The protocol class of the connections.
        date_header: Send the current time as Date; without it, only an app's own Date is sent.

    Raises:
        OSError: The port is in use.
    """
    # asyncio sets TCP_NODELAY only if the protocol is IPPROTO_TCP; Nagle's algorithm would cost 40 ms per request.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=http,
            date_header=date_header,
            log_config=None,
            access_log=False,
            ssl_certfile=certificate,
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
        )
    )
    ready = threading.Event()
    # uvicorn signals its start only by a flag, which `startup` sets.
    startup = server.startup

    async def startup_and_signal(*args: Any, **options: Any) -> None:
        await startup(*args, **options)
        ready.set()

    server.startup = startup_and_signal  # type: ignore[method-assign]  # see above
    thread = threading.Thread(target=server.run, args=([listener],), name="simulator", daemon=True)
    thread.start()
    try:
        if not ready.wait(SHUTDOWN_TIMEOUT_SECONDS):
            raise RuntimeError("the server of the simulator did not start")
        scheme = "https" if certificate else "http"
        yield f"{scheme}://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(SHUTDOWN_TIMEOUT_SECONDS)
        listener.close()
