"""The HTTP receiver of Argil's webhooks: authenticates and stores each delivery.

Argil does not sign its deliveries; only the token in the path authenticates them. A delivery therefore changes no
status. It is stored and answered; the processes that hold the API key read the stored deliveries and poll Argil.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import socket
from collections.abc import AsyncIterator
from http import HTTPStatus

from deployments.webhooks.connection import Connection
from deployments.webhooks.connection_pool import ConnectionPool
from deployments.webhooks.event_summary import EventSummary
from deployments.webhooks.limits import DEFAULT_LIMITS, LISTEN_BACKLOG, MAX_ACCEPTS, ReceiverLimits
from deployments.webhooks.responses import (
    ACCEPTED,
    BUSY,
    HEALTHY,
    NOT_FOUND,
    Response,
    method_not_allowed,
    retry_later,
)
from models.argil.webhook import RECEIVER_PATH, WebhookDelivery, parse_callback_path
from models.clock import Clock
from models.errors import DatabaseError
from models.token_bucket import TokenBucket
from store.webhook_deliveries import WebhookDeliveryRepository

SHUTDOWN_TIMEOUT_SECONDS = 2.0

_HEALTH_PATH = b"/health"
_PATH_PREFIX = RECEIVER_PATH.encode()

logger = logging.getLogger(__name__)


class Receiver:
    """Accepts deliveries at POST /webhooks/argil/{token} and serves GET /health.

    It also accepts them at the callback URL of each submission, whose path authenticates a wake-up of its avatar.

    A delivery with the right token gets 202, even if it is malformed or a duplicate. An error could make the sender
    repeat a delivery that changes nothing, or disable the webhook. docs/webhooks.md lists the other responses.
    """

    def __init__(
        self,
        token: str,
        deliveries: WebhookDeliveryRepository,
        clock: Clock,
        limits: ReceiverLimits = DEFAULT_LIMITS,
    ) -> None:
        """Create a receiver for the secret part of the path, the token."""
        self._token = token
        self._deliveries = deliveries
        self._authenticated = TokenBucket(limits.requests_per_second, limits.request_burst, clock)
        self._unauthenticated = TokenBucket(limits.requests_per_second, limits.request_burst, clock)
        self.limits = limits
        self.events = EventSummary(logger, limits.log_interval_seconds, clock)

    def check_head(self, method: str, path: bytes) -> Response | None:
        """Return the response if it does not depend on the body; None for a delivery with the token."""
        if path == _HEALTH_PATH:
            return HEALTHY if method in {"GET", "HEAD"} else method_not_allowed("GET", "HEAD")
        token = path.removeprefix(_PATH_PREFIX)
        is_delivery = path.startswith(_PATH_PREFIX) and b"/" not in token
        if is_delivery and method == "POST" and self._is_authentic(token):
            return _too_many_requests(self._authenticated.take())
        if (response := _too_many_requests(self._unauthenticated.take())) is not None:
            return response
        return method_not_allowed("POST") if is_delivery and method != "POST" else NOT_FOUND

    def _is_authentic(self, token: bytes) -> bool:
        return hmac.compare_digest(token, self._token.encode()) or self._submission_id(token) is not None

    def _submission_id(self, token: bytes) -> str | None:
        """Return the submission id of the path of a callback URL, None for any other path."""
        return parse_callback_path(self._token, token.decode(errors="replace"))

    async def handle(self, path: bytes, body: bytes) -> Response:
        """Store a delivery and return the response."""
        try:
            submission_id = self._submission_id(path.removeprefix(_PATH_PREFIX))
            delivery = WebhookDelivery.parse(body) if submission_id is None else await self._callback(submission_id)
            if delivery is None:
                self.events.log(
                    "ignored",
                    f"ignored a webhook delivery of {len(body)} bytes: it does not report the end of a training",
                )
                return ACCEPTED
            await self._deliveries.add(delivery)
        except DatabaseError as error:
            self.events.log("not stored", f"a webhook delivery could not be stored: {error}", level=logging.ERROR)
            return BUSY
        return ACCEPTED

    async def _callback(self, submission_id: str) -> WebhookDelivery | None:
        """Return the wake-up of the avatar of a submission; None if its id is not recorded yet."""
        avatar_id = await self._deliveries.find_avatar_id(submission_id)
        return None if avatar_id is None else WebhookDelivery.of_callback(submission_id, avatar_id)


def _too_many_requests(wait_seconds: float) -> Response | None:
    return retry_later(HTTPStatus.TOO_MANY_REQUESTS, wait_seconds) if wait_seconds else None


@contextlib.asynccontextmanager
async def serve_receiver(receiver: Receiver, listener: socket.socket) -> AsyncIterator[str]:
    """Serve a receiver on the current event loop while the context is open, and yield its base URL.

    Args:
        receiver: Answers the requests.
        listener: A bound socket, which is closed on exit.
    """
    host, port = listener.getsockname()[:2]
    limits = receiver.limits
    pool = ConnectionPool(limits.connections, limits.pending_deliveries)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(receiver, pool, limits, receiver.events), sock=listener, backlog=MAX_ACCEPTS
    )
    listener.listen(LISTEN_BACKLOG)  # asyncio has set it to MAX_ACCEPTS
    try:
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        server.close()
        await pool.close(SHUTDOWN_TIMEOUT_SECONDS)
