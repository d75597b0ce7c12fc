"""The door for Argil's webhooks: takes deliveries in, and has each new one followed by a look.

Who knows the path knows the token, and that is all that speaks for a delivery: Argil signs none. So a delivery sets
nothing. It is stored, answered, and afterwards its avatar id is handed to `hint`, which may go and look.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from models.errors import DatabaseError
from models.webhook import PATH, Delivery
from store.deliveries import Deliveries

BODY_BYTES = 64 * 1024
DROPPED_BYTES = 16 * 1024 * 1024
"""What is too large is read on for so long, into nothing: who is cut off while sending often misses the answer."""
BODY_SECONDS = 10.0
HINTS_AT_ONCE = 4
WAITING_HINTS = 1000
STOP_SECONDS = 2

Hint = Callable[[str], Awaitable[None]]
"""Goes and looks at the avatar with this id."""

logger = logging.getLogger(__name__)


def receiver(token: str, deliveries: Deliveries, hint: Hint) -> Starlette:
    """Return the app that takes deliveries at /webhooks/argil/{token}, and answers GET /health.

    Whatever comes with the right token and is no larger than BODY_BYTES is answered with 202, also what cannot
    be read and what is there already: an error would move the sender to repeat what changes nothing, or to give
    up on us. 404: wrong token, as any other path. 413: too large. 408: too slow. 503: it could not be stored.

    `hint` is awaited once for each new delivery, after its answer; where it fails, or more than WAITING_HINTS
    wait, that is logged: the delivery is stored, for pollers to find.
    """
    door = _Receiver(token, deliveries, hint)
    return Starlette(
        routes=[Route(PATH + "{token}", door.take, methods=["POST"]), Route("/health", _health)],
        exception_handlers={HTTPException: _refused},
        lifespan=door.following,
    )


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _refused(_request: Request, error: Any) -> Response:
    # The line is closed: uvicorn would read on whatever body still comes, however long.
    return PlainTextResponse(error.detail, error.status_code, {"connection": "close"})


class _Receiver:
    def __init__(self, token: str, deliveries: Deliveries, hint: Hint) -> None:
        self._token = token.encode()
        self._deliveries = deliveries
        self._hint = hint
        self._waiting: asyncio.Queue[str] = asyncio.Queue(WAITING_HINTS)

    async def take(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(request)
        except TimeoutError:
            raise HTTPException(408) from None
        except ClientDisconnect:
            raise HTTPException(400) from None  # told to nobody
        if not hmac.compare_digest(request.path_params["token"].encode(), self._token):
            raise HTTPException(404)
        if body is None:
            raise HTTPException(413)
        await self._store(body)
        return Response(status_code=202)

    async def _store(self, body: bytes) -> None:
        delivery = Delivery.read(body)
        if delivery is None:
            logger.warning("a delivery of %d bytes was ignored: it tells of no training's end", len(body))
            return
        try:
            is_new = await self._deliveries.add(delivery)
        except DatabaseError as error:
            logger.error("a delivery could not be stored: %s", error)  # noqa: TRY400  # the error says it all
            raise HTTPException(503) from None
        if is_new:
            try:
                self._waiting.put_nowait(delivery.avatar_id)
            except asyncio.QueueFull:
                logger.warning("too many hints wait: avatar %s is left to who polls", delivery.avatar_id)

    @contextlib.asynccontextmanager
    async def following(self, _app: Starlette) -> AsyncIterator[None]:
        workers = [asyncio.create_task(self._follow()) for _ in range(HINTS_AT_ONCE)]
        try:
            yield
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            avatar_id = await self._waiting.get()
            try:
                await self._hint(avatar_id)
            except Exception:
                logger.exception("the hint at avatar %s was not followed: it is left to who polls", avatar_id)


async def _body(request: Request) -> bytes | None:
    """Return the body, None where it is too large."""
    body = bytearray()
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= BODY_BYTES:
            body += chunk
        elif size > DROPPED_BYTES:
            break
    return bytes(body) if size <= BODY_BYTES else None


class _Quiet(H11Protocol):
    """uvicorn's HTTP/1.1 without its access log, which tells paths, and so the token.

    uvicorn's own setting is a logger's state, which any other server of the process may turn.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.access_log = False


class _Server(uvicorn.Server):
    """uvicorn beside others on one event loop: signals are not its business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serve_receiver(app: Starlette, *, host: str, port: int) -> AsyncIterator[str]:
    """Serve an app on the current event loop while the context is open; yields its base URL.

    Port 0 takes a free one. Raises OSError where the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family)
    server = _Server(
        uvicorn.Config(
            app,
            http=_Quiet,
            log_config=None,
            server_header=False,
            ws="none",
            lifespan="on",
            timeout_graceful_shutdown=STOP_SECONDS,
        )
    )
    serving = asyncio.create_task(server.serve([listener]))
    try:
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        yield f"http://{shown}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
