"""What keeps the embedded Prefect server reachable while another program holds many connections to it.

uvicorn limits neither the time that a client may take to send the head of a request nor the number of connections.
A thousand connections with half a head would use up the usual limit of open files: the runner could not connect.
"""

from __future__ import annotations

import asyncio
import resource

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_TIMEOUT_SECONDS = 20.0
"""From the connection, or the end of the previous request, to the end of the head. Clients send it at once."""
MAX_OPEN_FILES = 65_536
"""More than the ports from which one address can connect."""

_BODY_HEADERS = {b"content-length", b"transfer-encoding"}


class TimedProtocol(H11Protocol):
    """Closes connections whose client does not complete the head of a request, or a body that was refused."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Wait for the first request."""
        super().connection_made(transport)
        self._update_timer()

    def handle_events(self) -> None:
        """Handle what was received, then note what the server waits for."""
        super().handle_events()
        self._update_timer()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Refuse a handshake that a proxy could read as a request with a body; uvicorn does not answer it."""
        if event.method != b"GET" or not _BODY_HEADERS.isdisjoint(name.lower() for name, _ in event.headers):
            self.send_400_response("A WebSocket handshake must be a GET request without a body.")
        else:
            super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer of a connection that has ended."""
        super().connection_lost(exc)
        self._stop_timer()

    def _update_timer(self) -> None:
        answered = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
        if self.conn.their_state is not h11.IDLE and not answered:
            self._stop_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_TIMEOUT_SECONDS, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def raise_open_files_limit() -> None:
    """Let this process open as many files as the system allows it, up to MAX_OPEN_FILES."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(MAX_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
