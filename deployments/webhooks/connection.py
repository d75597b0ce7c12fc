"""One connection of the webhook receiver: reads one request, sends one response and closes.

Strangers can reach the receiver. It therefore does less than a general HTTP server, and is stricter: a connection
serves one request, every phase has limits, and paths are not logged, because they contain the token. httptools
parses. models/argil/http_framing.py refuses what httptools accepts although another server could read it
differently (docs/adr/0013-webhook-connections.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
from collections.abc import Callable
from typing import Protocol

import httptools

from deployments.webhooks.connection_pool import ConnectionPool
from deployments.webhooks.event_summary import EventSummary
from deployments.webhooks.limits import ReceiverLimits
from deployments.webhooks.responses import (
    BAD_REQUEST,
    BUSY,
    HEAD_TOO_LARGE,
    INTERNAL_ERROR,
    TIMEOUT,
    TOO_LARGE,
    Response,
)
from models.argil.http_framing import find_framing_error

_HEAD_END = b"\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

logger = logging.getLogger(__name__)


class RequestHandler(Protocol):
    """Answers requests."""

    def check_head(self, method: str, path: bytes) -> Response | None:
        """Return the response if it does not depend on the body; None if the request is authenticated."""

    async def handle(self, path: bytes, body: bytes) -> Response:
        """Return the response to an authenticated request with a complete body."""


class _Phase(enum.Enum):
    HEAD = enum.auto()
    BODY = enum.auto()
    HANDLING = enum.auto()
    CLOSING = enum.auto()


class Connection(asyncio.Protocol):
    """A connection that reads the head, reads the body, waits for the handler, or is closing."""

    _transport: asyncio.Transport

    def __init__(
        self, handler: RequestHandler, pool: ConnectionPool, limits: ReceiverLimits, events: EventSummary
    ) -> None:
        self._handler = handler
        self._pool = pool
        self._limits = limits
        self._events = events
        self._parser = httptools.HttpRequestParser(self)
        self._phase = _Phase.HEAD
        self._timer: asyncio.TimerHandle | None = None
        self._head = bytearray()
        self._target = b""
        self._path = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self._body_size = 0
        self._received_after_head = 0
        self._is_complete = False
        self._has_second_request = False
        self._discardable_bytes = limits.linger_bytes

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to read, possibly in the place of an older connection."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # the server is a stream server
        self._transport = transport
        self._set_timer(self._limits.head_seconds, self._time_out)
        self._pool.add(self)

    def data_received(self, data: bytes) -> None:
        """Parse the data, or discard it after the response."""
        try:
            if self._phase is _Phase.HEAD:
                data = self._read_head(data)
            if self._phase is _Phase.BODY:
                self._read_body(data)
            elif self._phase is _Phase.CLOSING:
                self._discard(data)
        except httptools.HttpParserUpgrade:
            self._respond(BAD_REQUEST.with_text("the connection cannot be upgraded"))
        except httptools.HttpParserError as error:
            self._respond(BAD_REQUEST.with_text(str(error)))  # llhttp's reason, which does not quote the request

    def eof_received(self) -> bool:
        """Refuse an incomplete request; keep the connection of a complete one until it is answered."""
        if self._phase is _Phase.BODY or (self._phase is _Phase.HEAD and self._head):
            self._respond(BAD_REQUEST.with_text("the request is incomplete"))
        return self._phase is _Phase.HANDLING

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """Remove the connection from the pool. A complete delivery is stored all the same."""
        self._phase = _Phase.CLOSING
        self._set_timer(None)
        self._pool.discard(self)
        del self._parser  # it refers to this object

    # httptools' callbacks. They only record: the phase does not change while httptools is parsing.

    def on_message_begin(self) -> None:
        """Note a second request."""
        self._has_second_request = self._is_complete

    def on_url(self, url: bytes) -> None:
        """Record a part of the request target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Record a header field; trailers are ignored."""
        if self._phase is _Phase.HEAD:
            self._headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        """Record a part of the body, up to its limit."""
        self._body_size += len(body)
        if self._body_size <= self._limits.body_bytes:
            self._body += body

    def on_message_complete(self) -> None:
        """Note the end of the request."""
        self._is_complete = True

    # Phases

    def evict(self) -> None:
        """Make room for another connection."""
        self._respond(BUSY)
        self._transport.abort()

    def _read_head(self, data: bytes) -> bytes:
        """Read up to the end of the head and return the rest."""
        length = len(self._head)
        self._head += data[: self._limits.head_bytes]
        found = self._head.find(_HEAD_END, max(length - len(_HEAD_END) + 1, 0))
        end = len(self._head) if found < 0 else found + len(_HEAD_END)
        if end >= self._limits.head_bytes:
            self._respond(HEAD_TOO_LARGE)
        else:
            self._parser.feed_data(data[: end - length])  # also an incomplete head, to refuse garbage at once
            if found >= 0:
                self._finish_head()
        return data[end - length :]

    def _finish_head(self) -> None:
        error = find_framing_error(bytes(self._head.partition(b"\r\n")[0]), self._headers)
        if error is not None:
            self._respond(BAD_REQUEST.with_text(error))
            return
        self._path = httptools.parse_url(self._target).path or b""
        response = self._handler.check_head(self._parser.get_method().decode(), self._path)
        if response is not None:
            self._respond(response)
            return
        self._discardable_bytes = self._limits.authenticated_linger_bytes
        headers = dict(self._headers)
        if int(headers.get(b"content-length", 0)) > self._limits.body_bytes:
            self._respond(TOO_LARGE)
        elif not self._pool.protect(self):
            self._respond(BUSY)
        else:
            self._phase = _Phase.BODY
            self._set_timer(self._limits.body_seconds, self._time_out)
            if headers.get(b"expect", b"").lower() == b"100-continue" and not self._is_complete:
                self._transport.write(_CONTINUE)

    def _read_body(self, data: bytes) -> None:
        self._received_after_head += len(data)
        self._parser.feed_data(data)
        overhead = self._received_after_head - self._body_size
        if self._body_size > self._limits.body_bytes:
            self._respond(TOO_LARGE)
        elif self._has_second_request:
            self._respond(BAD_REQUEST.with_text("a connection serves one request"))
        elif overhead > self._body_size + self._limits.chunk_overhead_bytes:
            self._respond(BAD_REQUEST.with_text("the chunks have larger headers and extensions than data"))
        elif self._is_complete:
            self._phase = _Phase.HANDLING
            self._set_timer(None)
            self._transport.pause_reading()
            self._pool.start(self._handle())

    async def _handle(self) -> None:
        try:
            response = await self._handler.handle(self._path, bytes(self._body))
        except Exception:
            logger.exception("a webhook delivery could not be handled")
            response = INTERNAL_ERROR
        self._respond(response)

    def _time_out(self) -> None:
        if self._head:
            self._respond(TIMEOUT)
        else:
            self._transport.abort()

    def _respond(self, response: Response) -> None:
        """Send the response, then read on until the sender closes: closing first could discard the response."""
        if self._phase is _Phase.CLOSING:
            return
        self._phase = _Phase.CLOSING
        self._pool.mark_answered(self)
        self._set_timer(self._limits.linger_seconds, self._transport.abort)
        if response.is_error:
            status = f"{response.status.value} {response.status.phrase}"
            self._events.log(status, f"refused a webhook request: {status}")
        has_body = self._parser.get_method() != b"HEAD"
        self._transport.resume_reading()
        self._transport.write(response.encode(has_body=has_body))
        with contextlib.suppress(OSError):  # the sender has closed the connection
            self._transport.write_eof()

    def _discard(self, data: bytes) -> None:
        self._discardable_bytes -= len(data)
        if self._discardable_bytes < 0:
            self._transport.abort()

    def _set_timer(self, seconds: float | None, callback: Callable[[], None] | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, callback) if seconds is not None and callback else None
