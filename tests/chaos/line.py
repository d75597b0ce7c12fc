"""The line to the simulated Argil: its ASGI app without a socket, and what may go wrong on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.chaos.conductor import STALL, Conductor


class LineCut(BaseException):
    """The simulator drops the connection; Starlette answers 500 to whatever is an Exception."""


@dataclass(frozen=True)
class Fault:
    """What becomes of one request. `acts`: Argil does what it says all the same, `late`: so many seconds later."""

    name: str
    acts: bool
    error: type[httpx.TransportError] | None = None
    status: int = 0
    retry_after: str | None = None
    late: float = 0.0


LATE_SECONDS = 5.0
FAULTS = (
    Fault("not connected", acts=False, error=httpx.ConnectError),
    Fault("cut before", acts=False, error=httpx.RemoteProtocolError),
    Fault("cut after", acts=True, error=httpx.RemoteProtocolError),
    Fault("timeout before", acts=False, error=httpx.ReadTimeout),
    Fault("timeout after", acts=True, error=httpx.ReadTimeout),
    Fault("timeout, and then it acts", acts=True, error=httpx.ReadTimeout, late=LATE_SECONDS),
    Fault("500 before", acts=False, status=500),
    Fault("500 after", acts=True, status=500),
    Fault("504 after", acts=True, status=504),
    Fault("503 bare", acts=False, status=503),
    Fault("503 after, bare", acts=True, status=503),
    Fault("503", acts=False, status=503, retry_after="7"),
    Fault("429", acts=False, status=429, retry_after="7"),
    Fault("429 for long", acts=False, status=429, retry_after="120"),
    Fault("401", acts=False, status=401),
)


class Line(httpx.AsyncBaseTransport):
    """Carries requests to the simulator, each with a point before it is sent and one before its answer is read."""

    def __init__(
        self,
        conductor: Conductor,
        app: ASGIApp,
        faults: deque[Fault],
        later: Callable[[httpx.Request, float], None],
    ) -> None:
        """`faults` meet the next requests, one each. `later` has one acted upon so many seconds from now."""
        self._conductor = conductor
        self._argil = httpx.ASGITransport(_cuttable(app))
        self._faults = faults
        self._later = later

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, and what the fault that waits makes of it."""
        what = f"{request.method} {'avatar' if request.url.path.count('/') > 2 else 'avatars'}"
        await self._conductor.park(f"{what}: not sent", within=STALL if request.method == "POST" else None)
        fault = self._faults.popleft() if self._faults else Fault("none", acts=True)
        if fault.late:
            self._later(request, fault.late)
        answer = await self.act(request) if fault.acts and not fault.late else None
        await self._conductor.park(f"{what}: not answered")
        if fault.error is not None:
            raise fault.error(fault.name, request=request)
        if fault.status or answer is None:
            headers = {"retry-after": fault.retry_after} if fault.retry_after else None
            return httpx.Response(fault.status, headers=headers, json={"message": fault.name})
        if isinstance(answer, LineCut):
            raise httpx.RemoteProtocolError("cut", request=request)
        return answer

    async def act(self, request: httpx.Request) -> httpx.Response | LineCut:
        """Let Argil act on it, at once."""
        try:
            return await self._argil.handle_async_request(request)
        except LineCut as cut:
            return cut


def _cuttable(app: ASGIApp) -> ASGIApp:
    def cut() -> None:
        raise LineCut

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        state: dict[str, Any] = {"cut": cut}
        await app({**scope, "state": state}, receive, send)

    return served
