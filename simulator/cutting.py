"""Cuts a connection before any answer, which ASGI has no message for."""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_CUT = "cut"


class CuttableProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, whose apps may drop the connection a request came by."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Lend the connection's end to the requests: uvicorn copies `app_state` into each one's scope["state"]."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, _CUT: transport.abort}


class Cut(Response):
    """Answers nothing: the peer sees the connection close without a status line. Needs CuttableProtocol."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # never sends
        """Drop the connection."""
        scope["state"][_CUT]()
        # An app that returns before the loss has reached uvicorn is taken for a broken one and answered for.
        await disconnected(receive)


async def disconnected(receive: Receive) -> None:
    """Wait until the peer of a request that was read to its end is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
