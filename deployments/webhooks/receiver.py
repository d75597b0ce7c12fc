"""The HTTP receiver of Argil's webhooks: stores each delivery and triggers an early poll for each new one.

Argil does not sign its deliveries; only the token in the path authenticates them. A delivery therefore changes no
status. It is stored and answered, and afterwards its avatar id is passed to the wake-up handler, which polls Argil.
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
from models.webhook import RECEIVER_PATH, WebhookDelivery
from store.webhook_deliveries import WebhookDeliveryRepository

MAX_BODY_BYTES = 64 * 1024
MAX_DRAINED_BYTES = 16 * 1024 * 1024
"""How much of a body that is too large is read and discarded. A client whose connection is closed while it sends
often does not read the response."""
BODY_TIMEOUT_SECONDS = 10.0
MAX_CONCURRENT_HANDLERS = 4
HANDLER_QUEUE_SIZE = 1000
SHUTDOWN_TIMEOUT_SECONDS = 2

WakeupHandler = Callable[[str], Awaitable[None]]
"""Polls Argil for the avatar with this id."""

logger = logging.getLogger(__name__)


def create_app(token: str, deliveries: WebhookDeliveryRepository, handler: WakeupHandler) -> Starlette:
    """Return the app that accepts deliveries at POST /webhooks/argil/{token} and serves GET /health.

    A delivery with the right token and at most MAX_BODY_BYTES gets 202, even if it is malformed or a duplicate.
    An error could make the sender repeat a delivery that changes nothing, or disable the webhook.
    Other responses are 404 (wrong token, the same as for any other path), 413 (too large), 408 (too slow) and 503
    (the delivery could not be stored).

    Args:
        token: The secret part of the path.
        deliveries: Stores the deliveries.
        handler: Awaited once for each new delivery, after the response. If it fails, or if its queue of
            HANDLER_QUEUE_SIZE deliveries is full, a message is logged. Pollers still find the stored delivery.
    """
    receiver = _Receiver(token, deliveries, handler)
    return Starlette(
        routes=[Route(RECEIVER_PATH + "{token}", receiver.receive, methods=["POST"]), Route("/health", _health)],
        exception_handlers={HTTPException: _http_error_response},
        lifespan=receiver.lifespan,
    )


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _http_error_response(_request: Request, error: Any) -> Response:
    # Close the connection: otherwise uvicorn reads the rest of the body, however long it is.
    return PlainTextResponse(error.detail, error.status_code, {"connection": "close"})


class _Receiver:
    def __init__(self, token: str, deliveries: WebhookDeliveryRepository, handler: WakeupHandler) -> None:
        self._token = token.encode()
        self._deliveries = deliveries
        self._handler = handler
        self._queue: asyncio.Queue[str] = asyncio.Queue(HANDLER_QUEUE_SIZE)

    async def receive(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                body = await _read_body(request)
        except TimeoutError:
            raise HTTPException(408) from None
        except ClientDisconnect:
            raise HTTPException(400) from None  # the response is not sent: the client has gone
        if not hmac.compare_digest(request.path_params["token"].encode(), self._token):
            raise HTTPException(404)
        if body is None:
            raise HTTPException(413)
        await self._store(body)
        return Response(status_code=202)

    async def _store(self, body: bytes) -> None:
        delivery = WebhookDelivery.parse(body)
        if delivery is None:
            logger.warning(
                "ignored a webhook delivery of %d bytes: it does not report the end of a training", len(body)
            )
            return
        try:
            is_new = await self._deliveries.add(delivery)
        except DatabaseError as error:
            logger.error("a webhook delivery could not be stored: %s", error)  # noqa: TRY400  # the message is complete
            raise HTTPException(503) from None
        if is_new:
            try:
                self._queue.put_nowait(delivery.avatar_id)
            except asyncio.QueueFull:
                logger.warning("the wake-up queue is full: avatar %s waits for its next poll", delivery.avatar_id)

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        workers = [asyncio.create_task(self._handler_loop()) for _ in range(MAX_CONCURRENT_HANDLERS)]
        try:
            yield
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _handler_loop(self) -> None:
        while True:
            avatar_id = await self._queue.get()
            try:
                await self._handler(avatar_id)
            except Exception:
                logger.exception("the wake-up for avatar %s failed: it waits for its next poll", avatar_id)


async def _read_body(request: Request) -> bytes | None:
    """Return the body, or None if it is too large."""
    body = bytearray()
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            body += chunk
        elif size > MAX_DRAINED_BYTES:
            break
    return bytes(body) if size <= MAX_BODY_BYTES else None


class _NoAccessLogProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol without the access log, which would contain the path and so the token.

    uvicorn's own setting changes a global logger, and another server in this process may change it back.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.access_log = False


class _EmbeddedServer(uvicorn.Server):
    """A uvicorn server on a shared event loop; it does not install signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serve_receiver(app: Starlette, *, host: str, port: int) -> AsyncIterator[str]:
    """Serve an app on the current event loop while the context is open, and yield its base URL.

    Args:
        app: The app to serve.
        host: IPv4 or IPv6 address to bind.
        port: Port to bind; 0 selects a free port.

    Raises:
        OSError: The address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family)
    server = _EmbeddedServer(
        uvicorn.Config(
            app,
            http=_NoAccessLogProtocol,
            log_config=None,
            server_header=False,
            ws="none",
            lifespan="on",
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_SECONDS,
        )
    )
    serving = asyncio.create_task(server.serve([listener]))
    try:
        url_host = f"[{host}]" if family == socket.AF_INET6 else host
        yield f"http://{url_host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
