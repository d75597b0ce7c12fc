"""Drops a connection without a response, for which ASGI has no message."""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_DROP = "drop_connection"


class DroppableProtocol(H11Protocol):
    """The HTTP/1.1 protocol of uvicorn, extended so that an app can drop the connection of a request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # the signature of uvicorn
        """Pass `transport.abort` to the requests: uvicorn copies `app_state` into each scope["state"]."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, _DROP: transport.abort}


class DropConnection(Response):
    """Sends no response: the peer sees the connection close without a status line.

    The server must use DroppableProtocol.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # never sends
        """Drop the connection."""
        scope["state"][_DROP]()
        # uvicorn treats an app that returns before the disconnect as failed, and sends a response of its own.
        await wait_for_disconnect(receive)


async def wait_for_disconnect(receive: Receive) -> None:
    """Wait until the peer of a completely read request disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass
