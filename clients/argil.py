"""The Argil API: avatars and webhooks, with one error for each thing a caller does differently."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Self
from urllib.parse import quote

import httpx

from clients.retry import backoff_seconds, http_date, retry_after_seconds
from clients.throttle import Budget, Throttle
from models.avatar import Avatar, CreateAvatar, Listing
from models.clock import Clock
from models.errors import (
    ArgilBusy,
    ArgilPaymentRequired,
    ArgilUnauthorized,
    ArgilUnavailable,
    ArgilUnreachable,
    AvatarNotFound,
    OperatorError,
    OutcomeUnknown,
    PollFailed,
    RequestRefused,
)
from models.redaction import redact
from models.webhook import Webhook

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
TOTAL_SECONDS = 60.0
LIST_TOTAL_SECONDS = 180.0
"""Peers' users report list calls of over 40 seconds."""
CREATE_ATTEMPTS = 5
CREATE_BUDGET_SECONDS = 180.0
ANSWER_CHARACTERS = 500

# No answer for good: a 408 may have been read in part, the others are the operator's to mend.
_UNDECIDED = frozenset({408, 401, 402, 403, 429})
# These say that the same request belongs elsewhere; a 302 or 303 may follow upon one that was taken.
_ELSEWHERE = frozenset({301, 307, 308})


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
        self._http = httpx.AsyncClient(
            base_url=api_url,
            headers={"x-api-key": api_key, "user-agent": "avatar-provisioner"},
            timeout=TIMEOUT,
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
        answer = await self._send_get(f"/avatars/{quote(avatar_id, safe='')}")
        self._raise_for_read(answer)
        if (avatar := Avatar.read(_decoded(answer.content))) is None:
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
        answer = await self._send_get(f"/avatars/{uuid.UUID(int=0)}")
        if answer.status_code != HTTPStatus.NOT_FOUND:
            self._raise_for_read(answer)
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
        listed = _decoded((await self._manage("GET", "/webhooks")).content)
        if not isinstance(listed, list):
            raise OperatorError("Argil answered a list of webhooks with something that is no list")
        return [webhook for item in listed if (webhook := Webhook.read(item)) is not None]

    async def remove_webhook(self, webhook_id: str) -> None:
        """DELETE /webhooks/{id}. Raises OperatorError."""
        await self._manage("DELETE", f"/webhooks/{quote(webhook_id, safe='')}")

    async def _list(self) -> list[object]:
        # Streamed: a response keeps its body, here many megabytes, until the garbage collector comes by.
        body = bytearray()
        await self._throttle.turn()
        with self._missing_a_poll():
            async with (
                asyncio.timeout(LIST_TOTAL_SECONDS),
                self._http.stream("GET", "/avatars", params={"visibility": "private"}) as answer,
            ):
                if answer.is_success:
                    async for part in answer.aiter_bytes():
                        body += part
                else:
                    await answer.aread()
        self._raise_for_read(answer)
        listed = _decoded(body)
        if not isinstance(listed, list):
            raise PollFailed("Argil answered a list with something that is no list")
        return listed

    async def _manage(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Send what a person asked for and may ask for again; raises OperatorError for whatever is no success."""
        await self._throttle.turn()
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                answer = await self._http.request(method, path, json=body)
        except (httpx.RequestError, TimeoutError) as error:
            raise OperatorError(
                f"no answer from Argil: {self._told(error)}",
                hint="`avatars doctor` checks ARGIL_API_URL, the network and SSL_CERT_FILE; then try again",
            ) from None
        if answer.is_success:
            return answer
        self._raise_unavailable(answer)
        raise OperatorError(f"Argil answered {answer.status_code}: {self._text(answer)['message']}")

    async def _post(self, request: CreateAvatar) -> Avatar:
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                answer = await self._http.post("/avatars", json=request.body())
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise self._unreachable(error) from None
        except (httpx.RequestError, TimeoutError) as error:
            raise OutcomeUnknown(f"the create was sent and got no answer: {self._told(error)}") from None
        if answer.is_success and (avatar := Avatar.read(_decoded(answer.content))) is not None:
            return avatar
        self._raise_unavailable(answer)
        if answer.is_client_error and answer.status_code not in _UNDECIDED:
            text = self._text(answer)
            raise RequestRefused(
                f"Argil refused the request with {answer.status_code}: {text['message']}",
                status=answer.status_code,
                answer=text,
                hint="mend what Argil's answer names, and provision again under a new reference",
            )
        raise OutcomeUnknown(f"Argil answered the create with {answer.status_code}, which tells nothing")

    async def _send_get(self, path: str) -> httpx.Response:
        await self._throttle.turn()
        with self._missing_a_poll():
            async with asyncio.timeout(TOTAL_SECONDS):
                return await self._http.get(path)

    @contextlib.contextmanager
    def _missing_a_poll(self) -> Iterator[None]:
        try:
            yield
        except (httpx.RequestError, TimeoutError) as error:
            raise PollFailed(f"no answer from Argil: {self._told(error)}") from None

    def _raise_for_read(self, answer: httpx.Response) -> None:
        if answer.is_success:
            return
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise AvatarNotFound("Argil knows no such avatar", status=404, answer=self._text(answer))
        if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            self._raise_unavailable(answer)
        raise PollFailed(f"Argil answered {answer.status_code}", retry_after_seconds=self._retry_after(answer))

    def _raise_unavailable(self, answer: httpx.Response) -> None:
        """Raise ArgilUnavailable where the answer says that nothing was taken, for a reason outside the request."""
        status, retry_after = answer.status_code, self._retry_after(answer)
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise ArgilUnauthorized(
                f"Argil refuses the API key ({status}: {self._text(answer)['message']})",
                hint="check ARGIL_API_KEY and ARGIL_API_URL with `avatars doctor`, then `avatars resume ID`",
            )
        if status == HTTPStatus.PAYMENT_REQUIRED:
            raise ArgilPaymentRequired(
                f"Argil asks for payment (402: {self._text(answer)['message']})",
                hint="top up the Argil account, then `avatars resume ID`",
            )
        if status == HTTPStatus.TOO_MANY_REQUESTS or (
            status == HTTPStatus.SERVICE_UNAVAILABLE and "retry-after" in answer.headers
        ):
            raise ArgilBusy(
                f"Argil is busy ({status})",
                hint="wait, lower AVATARS_REQUESTS_PER_SECOND, then `avatars resume ID`",
                retry_after_seconds=retry_after,
            )
        if status in _ELSEWHERE:
            raise ArgilUnavailable(
                f"Argil's address answered with a redirect ({status})", hint="correct ARGIL_API_URL"
            )

    def _unreachable(self, error: Exception) -> ArgilUnreachable:
        return ArgilUnreachable(
            f"no connection to Argil at {self._http.base_url}: {self._told(error)}",
            hint="`avatars doctor` checks ARGIL_API_URL, the network and SSL_CERT_FILE; then `avatars resume ID`",
        )

    def _retry_after(self, answer: httpx.Response) -> float | None:
        seconds = retry_after_seconds(answer.headers.get("retry-after"), self._clock.now())
        if seconds is not None and answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            self._throttle.hold(seconds)  # it is said to the account, not to one request
        return seconds

    def _text(self, answer: httpx.Response) -> dict[str, Any]:
        """Return what an error answer says as {code, message}, without URL queries and without our key."""
        body = _decoded(answer.content)
        fields = body if isinstance(body, dict) else {}
        message = self._clean(
            str(fields.get("message") or answer.content.decode(errors="replace") or answer.reason_phrase)
        )
        code = fields.get("code")
        return {"code": code if isinstance(code, int) else None, "message": message[:ANSWER_CHARACTERS]}

    def _told(self, error: Exception) -> str:
        """Return what a failure of the transport says: it may quote what the server sent."""
        return self._clean(f"{type(error).__name__} {error}".rstrip())[:ANSWER_CHARACTERS]

    def _clean(self, text: str) -> str:
        """Return the text without URL queries and our secrets; before any cut, which may leave half a secret."""
        text = redact(text)
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text


def _decoded(body: bytes | bytearray) -> object:
    """Return what a JSON body says, None where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # the latter for a body that nests too deep
        return None
