"""An in-process transport to the simulated Argil that injects faults into requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from models.argil.json_body import parse_json_or_none
from tests.chaos.deterministic_scheduler import MAX_IN_FLIGHT_DELAY, DeterministicScheduler
from tests.chaos.response_faults import CHANGES, Change


class ConnectionDropped(BaseException):
    """The simulator drops the connection. Starlette would convert an Exception into a 500 response."""


@dataclass(frozen=True)
class Fault:
    """The fault of one request."""

    name: str
    reaches_server: bool
    """Whether Argil processes the request, after `delay_seconds`."""
    error: type[httpx.TransportError] | None = None
    status: int = 0
    retry_after: str | None = None
    html: str | None = None
    """The body; None for an error in Argil's format."""
    delay_seconds: float = 0.0
    change: Change | None = None
    """Replaces the response of a request that Argil processed."""


DELAY_SECONDS = 5.0
FAULTS = (
    Fault("not connected", reaches_server=False, error=httpx.ConnectError),
    Fault("cut before", reaches_server=False, error=httpx.RemoteProtocolError),
    Fault("cut after", reaches_server=True, error=httpx.RemoteProtocolError),
    Fault("timeout before", reaches_server=False, error=httpx.ReadTimeout),
    Fault("timeout after", reaches_server=True, error=httpx.ReadTimeout),
    Fault("timeout, then processed", reaches_server=True, error=httpx.ReadTimeout, delay_seconds=DELAY_SECONDS),
    Fault("500 before", reaches_server=False, status=500),
    Fault("500 after", reaches_server=True, status=500),
    Fault("504 after", reaches_server=True, status=504),
    Fault("503 bare", reaches_server=False, status=503),
    Fault("503 after, bare", reaches_server=True, status=503),
    Fault("503", reaches_server=False, status=503, retry_after="7"),
    Fault("429", reaches_server=False, status=429, retry_after="7"),
    Fault("429, long wait", reaches_server=False, status=429, retry_after="120"),
    Fault("401", reaches_server=False, status=401),
    Fault("404, page", reaches_server=False, status=404, html="<html>404"),
    Fault("502, page", reaches_server=False, status=502, html="<html>502"),
    *(Fault(name, reaches_server=True, change=change) for name, change in CHANGES.items()),
)


class FaultInjectingTransport(httpx.AsyncBaseTransport):
    """Sends requests to the simulator, with a yield point before each request and before each response."""

    def __init__(
        self,
        scheduler: DeterministicScheduler,
        app: ASGIApp,
        faults: deque[Fault],
        later: Callable[[httpx.Request, float], None],
    ) -> None:
        """Create the transport.

        Args:
            scheduler: The scheduler of the simulation.
            app: The simulated Argil.
            faults: The faults of the next requests, one per request.
            later: Processes a request at Argil after a delay in seconds.

        """
        self._scheduler = scheduler
        self._argil = httpx.ASGITransport(_droppable(app))
        self._faults = faults
        self._later = later
        self.intercept: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
        """Answers in Argil's place while it returns a response."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, applying the next fault if there is one."""
        operation = f"{request.method} {'avatar' if request.url.path.count('/') > 2 else 'avatars'}"
        await self._scheduler.yield_point(
            f"{operation}: not sent", within=MAX_IN_FLIGHT_DELAY if request.method == "POST" else None
        )
        if (intercepted := self.intercept(request)) is not None:
            return intercepted
        fault = self._faults.popleft() if self._faults else Fault("none", reaches_server=True)
        if fault.delay_seconds:
            self._later(request, fault.delay_seconds)
        response = await self.process(request) if fault.reaches_server and not fault.delay_seconds else None
        await self._scheduler.yield_point(f"{operation}: not answered")
        if fault.error is not None:
            raise fault.error(fault.name, request=request)
        if fault.status or response is None:
            headers = {"retry-after": fault.retry_after} if fault.retry_after else None
            if fault.html is not None:
                return httpx.Response(fault.status, html=fault.html)
            error = {"code": fault.status, "message": fault.name}
            return httpx.Response(fault.status, headers=headers, json=error)
        if isinstance(response, ConnectionDropped):
            raise httpx.RemoteProtocolError("cut", request=request)
        # An error stays as it is: it is Argil's word. So does a body that the simulator's scenario has damaged.
        if (
            fault.change is not None
            and response.is_success
            and parse_json_or_none(await response.aread()) is not None
        ):
            return fault.change(response.content)
        return response

    async def process(self, request: httpx.Request) -> httpx.Response | ConnectionDropped:
        """Process the request at Argil now."""
        try:
            return await self._argil.handle_async_request(request)
        except ConnectionDropped as dropped:
            return dropped


def _droppable(app: ASGIApp) -> ASGIApp:
    def drop() -> None:
        raise ConnectionDropped

    async def droppable(scope: Scope, receive: Receive, send: Send) -> None:
        state: dict[str, Any] = {"drop_connection": drop}
        await app({**scope, "state": state}, receive, send)

    return droppable
