"""The Argil API: avatars and webhooks; what its answers mean is in clients/argil_answers.py."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import Self
from urllib.parse import quote

import httpx

from clients.argil_answers import Answers, decoded
from clients.retry import backoff_seconds, http_date
from clients.throttle import Budget, Throttle
from models.avatar import Avatar, CreateAvatar, Listing
from models.clock import Clock
from models.errors import ArgilBusy, ArgilUnreachable, OperatorError, PollFailed
from models.webhook import Webhook

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
TOTAL_SECONDS = 60.0
LIST_TOTAL_SECONDS = 180.0
"""Peers' users report list calls of over 40 seconds."""
KEPT_CONNECTIONS = 5
"""While idle: httpcore looks through all of them at each request; with its 20 that is a third of a create's CPU."""
CREATE_ATTEMPTS = 5
CREATE_BUDGET_SECONDS = 180.0


class ArgilClient:
    """Speaks to one Argil account. Close it, or use it as an async context manager."""

    def __init__(
        self,
        api_url: str,
        api_key: str,
        *,
        clock: Clock,
        requests_per_second: float,
        budget: Budget | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare the connection pool. SSL_CERT_FILE and proxy variables are honoured.

        `budget` is what all processes together may send. A 429 with Retry-After holds every request of this client.
        """
        self._secrets = {api_key}
        self._clock = clock
        self._throttle = Throttle(requests_per_second, clock, budget=budget)
        self._answers = Answers(api_url, clock, self._secrets, self._throttle.hold)
        self._http = httpx.AsyncClient(
            base_url=api_url,
            headers={"x-api-key": api_key, "user-agent": "avatar-provisioner"},
            timeout=TIMEOUT,
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=KEPT_CONNECTIONS),
            transport=transport,
        )
        # None are kept: one that is not ASCII would make every later request fail.
        self._http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def create(
        self, request: CreateAvatar, before_each: Callable[[], Awaitable[None]] | None = None
    ) -> Avatar:
        """POST /avatars; sends again only what Argil surely did not take, within a budget.

        `before_each` is awaited before each sending; what it raises goes to the caller, and nothing is sent.
        Raises RequestRefused (Argil said no), ArgilUnavailable (surely nothing was taken) or OutcomeUnknown
        (it may have been taken: look it up, never call this again for the same submission).
        """
        give_up_at = self._clock.monotonic() + CREATE_BUDGET_SECONDS
        failures = 0
        while True:
            await self._throttle.turn()
            if before_each is not None:
                await before_each()
            try:
                return await self._post(request)
            except (ArgilUnreachable, ArgilBusy) as error:
                failures += 1
                wait = error.retry_after_seconds
                wait = backoff_seconds(failures) if wait is None else wait
                if failures == CREATE_ATTEMPTS or self._clock.monotonic() + wait > give_up_at:
                    raise
                await self._clock.sleep(wait)

    async def get(self, avatar_id: str) -> Avatar:
        """GET /avatars/{id}.

        Raises AvatarNotFound, ArgilUnauthorized, or PollFailed for whatever else is not an avatar.
        """
        answer = await self._get(f"/avatars/{quote(avatar_id, safe='')}")
        self._answers.raise_for_read(answer)
        if (avatar := Avatar.read(decoded(answer.content))) is None:
            raise PollFailed("Argil answered a get with something that is no avatar")
        return avatar

    async def list_private(self) -> list[Avatar]:
        """GET /avatars?visibility=private: the account's own avatars; what is no avatar in it is left out.

        Its silence proves nothing: new avatars are reported missing for minutes. Raises as `get` does.
        """
        return [avatar for item in await self._list() if (avatar := Avatar.read(item)) is not None]

    async def listing(self) -> Listing:
        """List as `list_private` does, for who wants few of many."""
        return Listing(await self._list())

    async def clock_offset_seconds(self) -> float | None:
        """Ask for an avatar that cannot exist: shows that Argil answers and takes the key.

        Returns how far this machine's clock is ahead of Argil's Date header, None where it sends none. Raises
        ArgilUnauthorized and PollFailed.
        """
        answer = await self._get(f"/avatars/{uuid.UUID(int=0)}")
        if answer.status_code != HTTPStatus.NOT_FOUND:
            self._answers.raise_for_read(answer)
        date = http_date(answer.headers.get("date", ""))
        return (self._clock.now() - date).total_seconds() if date is not None else None

    async def register_webhook(self, url: str, events: Sequence[str]) -> None:
        """POST /webhooks: have deliveries of these events sent to a URL; its last part is taken for a secret.

        Argil registers as often as it is asked to: see clients/webhook_registration.py. Raises OperatorError.
        """
        self._secrets.add(url.rpartition("/")[2] or url)
        await self._manage("POST", "/webhooks", {"callbackUrl": url, "events": list(events)})

    async def webhooks(self) -> list[Webhook]:
        """GET /webhooks: those of the account; what is no webhook in it is left out. Raises OperatorError."""
        listed = decoded((await self._manage("GET", "/webhooks")).content)
        if not isinstance(listed, list):
            raise OperatorError("Argil answered a list of webhooks with something that is no list")
        return [webhook for item in listed if (webhook := Webhook.read(item)) is not None]

    async def remove_webhook(self, webhook_id: str) -> None:
        """DELETE /webhooks/{id}. Raises OperatorError."""
        await self._manage("DELETE", f"/webhooks/{quote(webhook_id, safe='')}")

    async def _post(self, request: CreateAvatar) -> Avatar:
        with self._answers.of_create():
            async with asyncio.timeout(TOTAL_SECONDS):
                answer = await self._http.post("/avatars", json=request.body())
        avatar = Avatar.read(decoded(answer.content)) if answer.is_success else None
        if avatar is None:
            self._answers.raise_for_create(answer)
        return avatar

    async def _get(self, path: str) -> httpx.Response:
        await self._throttle.turn()
        with self._answers.of_read():
            async with asyncio.timeout(TOTAL_SECONDS):
                return await self._http.get(path)

    async def _list(self) -> list[object]:
        # Streamed: a response keeps its body, here many megabytes, until the garbage collector comes by.
        body = bytearray()
        await self._throttle.turn()
        with self._answers.of_read():
            async with (
                asyncio.timeout(LIST_TOTAL_SECONDS),
                self._http.stream("GET", "/avatars", params={"visibility": "private"}) as answer,
            ):
                if answer.is_success:
                    async for part in answer.aiter_bytes():
                        body += part
                else:
                    await answer.aread()
        self._answers.raise_for_read(answer)
        listed = decoded(body)
        if not isinstance(listed, list):
            raise PollFailed("Argil answered a list with something that is no list")
        return listed

    async def _manage(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Send what a person asked for and may ask for again."""
        await self._throttle.turn()
        with self._answers.of_management():
            async with asyncio.timeout(TOTAL_SECONDS):
                answer = await self._http.request(method, path, json=body)
        self._answers.raise_for_management(answer)
        return answer
