"""Runs an ASGI app under uvicorn on loopback, in a thread of this process."""

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
STOP_SECONDS = 10
# Longer than any client keeps an idle connection: one closed just as it is used again is a fault nobody asked for.
KEEP_ALIVE_SECONDS = 300


@contextlib.contextmanager
def serving(
    app: Any,
    *,
    port: int = 0,
    certificate: Path | None = None,
    http: type[asyncio.Protocol] | Literal["auto"] = "auto",
) -> Iterator[str]:
    """Serve `app` while the context is open; yields its base URL, without a trailing slash.

    `port` 0 takes a free one. `certificate` is a PEM file with the key and its chain: with it the server speaks
    TLS. `http` is the class of its connections. The app's own lifespan runs. Raises OSError where the port is
    taken.
    """
    # Named as TCP, for asyncio to switch Nagle's algorithm off: it would cost 40 ms a request.
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
            log_config=None,
            access_log=False,
            ssl_certfile=certificate,
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
        )
    )
    ready = threading.Event()
    # uvicorn tells that it has started by a flag only; its `startup` is where the flag is set.
    startup = server.startup

    async def announce(*args: Any, **options: Any) -> None:
        await startup(*args, **options)
        ready.set()

    server.startup = announce  # type: ignore[method-assign]  # see above
    thread = threading.Thread(target=server.run, args=([listener],), name="simulator", daemon=True)
    thread.start()
    try:
        if not ready.wait(STOP_SECONDS):
            raise RuntimeError("the simulator's server did not start")
        scheme = "https" if certificate else "http"
        yield f"{scheme}://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(STOP_SECONDS)
        listener.close()
