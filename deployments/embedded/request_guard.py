"""An ASGI layer around the embedded Prefect server that refuses dangerous requests before Prefect reads them.

It refuses hosts and origins that AccessPolicy does not allow, for HTTP and WebSocket. It also refuses bodies and
messages that Prefect would store and could not serialize again, and schedules that could block its event loop. A
body is read completely before the server sees it, so slow clients do not occupy the server's concurrency slots.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from models.environment.browser_access import AccessPolicy, BrowserRequest, Refusal
from models.recurrence_rules import has_recurrence_rule
from models.text.storable_json import check_storable_json

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Twice the largest batch of logs that Prefect's client sends (PREFECT_LOGGING_TO_API_BATCH_SIZE)."""
BODY_TIMEOUT_SECONDS = 60.0
"""How long a client may take to send a body."""
INVALID_MESSAGE_CODE = 1007
"""RFC 6455, 7.4.1: the data of a WebSocket message is not valid."""
MAX_CLOSE_REASON_BYTES = 123
"""RFC 6455, 5.5: a control frame has at most 125 bytes, two of which are the code."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class ClientGone(Exception):
    """The client disconnected before its body was complete."""


class RequestGuard:
    """Passes allowed requests to the app."""

    def __init__(self, app: App, policy: AccessPolicy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request, one WebSocket or the lifespan of the app."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif refusal := self._policy.refusal(_browser_request(scope)) or _framing_refusal(scope):
            await _refuse(scope, send, refusal)
        elif scope["type"] == "websocket":
            socket = _CheckedWebSocket(receive, send)
            await self._app(scope, socket.receive, socket.send)
        else:
            await self._handle_http(scope, receive, send)

    async def _handle_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                body = await _read_body(scope, receive)
        except ClientGone:
            return
        except TimeoutError:
            text = f"the body was not complete after {BODY_TIMEOUT_SECONDS:g} seconds"
            await _refuse(scope, send, Refusal(HTTPStatus.REQUEST_TIMEOUT, text))
            return
        if refusal := _body_refusal(body):
            await _refuse(scope, send, refusal)
            return
        await self._app(scope, _replay(body or b"", receive), send)


class _CheckedWebSocket:
    """Ends a WebSocket at the first message that must not be stored."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._refused = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return message
        try:
            check_storable_json(message.get("text") or "")  # Prefect's server reads no binary messages
        except ValueError as error:
            self._refused = True
            reason = f"the message is refused: {error}".encode()[:MAX_CLOSE_REASON_BYTES].decode(errors="ignore")
            await self._send({"type": "websocket.close", "code": INVALID_MESSAGE_CODE, "reason": reason})
            return {"type": "websocket.disconnect", "code": INVALID_MESSAGE_CODE, "reason": reason}
        return message

    async def send(self, message: Message) -> None:
        if not self._refused:
            await self._send(message)


def _browser_request(scope: Scope) -> BrowserRequest:
    def values(name: bytes) -> tuple[str, ...]:
        return tuple(value.decode("latin-1").strip() for key, value in scope["headers"] if key == name)

    return BrowserRequest(
        method=scope.get("method", "GET"),
        path=scope["path"],
        hosts=values(b"host"),
        origins=values(b"origin"),
        fetch_sites=values(b"sec-fetch-site"),
        fetch_modes=values(b"sec-fetch-mode"),
        fetch_destinations=values(b"sec-fetch-dest"),
    )


def _framing_refusal(scope: Scope) -> Refusal | None:
    """Refuse what a proxy in front of the server may read as another number of requests (RFC 9112, 6.1)."""
    names = {key for key, _ in scope["headers"]}
    if b"transfer-encoding" not in names:
        return None
    if b"content-length" in names:
        return Refusal(HTTPStatus.BAD_REQUEST, "Content-Length and Transfer-Encoding exclude each other")
    if scope["http_version"] == "1.0":
        return Refusal(HTTPStatus.BAD_REQUEST, "HTTP/1.0 does not define Transfer-Encoding: send Content-Length")
    return None


async def _read_body(scope: Scope, receive: Receive) -> bytes | None:
    """Return the body; None if it is larger than MAX_BODY_BYTES.

    Raises:
        ClientGone: The client disconnected.
    """
    declared = next((value for key, value in scope["headers"] if key == b"content-length"), b"0")
    if int(declared) > MAX_BODY_BYTES:
        return None
    body = bytearray()
    more_body = True
    while more_body:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        more_body = message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


def _body_refusal(body: bytes | None) -> Refusal | None:
    if body is None:
        return Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body must not be larger than {MAX_BODY_BYTES} bytes"
        )
    if not body:
        return None
    try:
        decoded = check_storable_json(body)
    except ValueError as error:
        return Refusal(HTTPStatus.BAD_REQUEST, f"the body is refused: {error}")
    if has_recurrence_rule(decoded):
        text = "a schedule by recurrence rule (rrule) could block the server: use cron or an interval"
        return Refusal(HTTPStatus.BAD_REQUEST, text)
    return None


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a receive function that yields the body first, and then what the client does."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


async def _refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    """Send the refusal as plain text; a WebSocket is refused before its handshake."""
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    body = f"{refusal.text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    if scope["type"] == "http" and refusal.status is HTTPStatus.BAD_REQUEST:
        headers.append((b"connection", b"close"))  # what follows a malformed request may be a part of it
    await send({"type": f"{kind}.start", "status": int(refusal.status), "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
