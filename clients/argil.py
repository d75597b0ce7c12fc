"""Client of the Argil API: avatars, voices and webhooks. clients/argil_errors.py maps responses to errors."""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import Self, TypeVar
from urllib.parse import quote

import httpx

from clients.argil_errors import ResponseErrorMapper
from clients.rate_limiter import RateLimiter, SharedPause, SharedRateLimit
from clients.response_body import read_response
from models.argil.account_list import AccountList
from models.argil.avatar import Avatar, CreateAvatarRequest, CreateRequest
from models.argil.avatar_list import AvatarList
from models.argil.response import ArgilResponse
from models.argil.response_meaning import Operation, SentRequest
from models.argil.voice import Voice, VoiceList
from models.argil.webhook import Webhook
from models.clock import Clock
from models.environment.certificates import explaining_certificate_errors
from models.environment.user_agent import USER_AGENT
from models.errors import ArgilRateLimited, ArgilUnreachable, OperationalError
from models.recordings.recording_secrets import protect_urls
from models.request_fields import SUBMISSION_ID_EXTRA
from models.retry import delay_seconds, parse_http_date

Created = TypeVar("Created")

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
REQUEST_TIMEOUT_SECONDS = 60.0
LIST_TIMEOUT_SECONDS = 180.0
"""Users of comparable integrations report list calls of more than 40 seconds."""
LARGE_LIST_BYTES = 100_000
"""From this size, a list is decoded in a thread: it would occupy the event loop for milliseconds."""
MAX_KEEPALIVE_CONNECTIONS = 5
"""httpcore scans all idle connections at each request; httpx's default of 20 costs a third of the CPU of a POST."""
MAX_CREATE_ATTEMPTS = 5
CREATE_RETRY_BUDGET_SECONDS = 180.0
FRESH = {"cache-control": "no-cache"}
"""Sent with every GET, so that a cache on the way does not answer with an earlier status (RFC 9111, 5.2.1.4)."""


class ArgilClient:
    """Client of one Argil account. Close it, or use it as an async context manager."""

    def __init__(
        self,
        api_url: str,
        api_key: str,
        *,
        clock: Clock,
        requests_per_second: float,
        shared_limit: SharedRateLimit | None = None,
        shared_pause: SharedPause | None = None,
        on_list: Callable[[ArgilClient, AccountList], Awaitable[None]] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Create the connection pool. SSL_CERT_FILE and the proxy variables are honoured.

        A 429 with Retry-After pauses every request of this client, and of all that share the pause.

        Args:
            api_url: The base URL, including the version.
            api_key: Sent as `x-api-key`, and removed from every error message.
            clock: Clock of the rate limiter and of the retries.
            requests_per_second: Rate limit of this process.
            shared_limit: Rate limit of all processes together.
            shared_pause: Pause of all processes together.
            on_list: Awaited with this client and each account list before the caller receives it. Its errors
                propagate.
            ssl_context: Verifies certificates. The default is httpx's own, which takes 40 ms or more to load.
            transport: Replaces the network in tests.

        Raises:
            SettingsError: SSL_CERT_FILE cannot be used.
        """
        self._secrets = {api_key}
        self._clock = clock
        self._on_list = on_list
        self._rate_limiter = RateLimiter(
            requests_per_second, clock, shared_limit=shared_limit, shared_pause=shared_pause
        )
        self._error_mapper = ResponseErrorMapper(api_url, clock, self._secrets)
        with explaining_certificate_errors():  # not around the client, whose other errors are about proxies
            verified_by = ssl_context or httpx.create_ssl_context()
        self._http = httpx.AsyncClient(
            base_url=api_url,
            headers={"x-api-key": api_key, "user-agent": USER_AGENT},
            timeout=TIMEOUT,
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=MAX_KEEPALIVE_CONNECTIONS),
            verify=verified_by,
            transport=transport,
        )
        # Reject all cookies: one that is not ASCII would make every later request fail.
        self._http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def create_avatar(
        self,
        request: CreateRequest | Callable[[], Awaitable[CreateRequest]],
        before_each_attempt: Callable[[], Awaitable[None]] | None = None,
    ) -> Avatar:
        """POST /avatars. Retries only if Argil cannot have created an avatar, bounded by attempts and time.

        Args:
            request: The request body; or a function that is awaited before each attempt and returns it, for example
                with URLs that are signed again.
            before_each_attempt: Awaited last before each attempt. If one of the two raises, the attempt is not sent
                and the error propagates.

        Raises:
            SubmissionRejected: Argil rejected the request.
            ArgilUnavailable: No avatar was created.
            SubmissionOutcomeUnknown: An avatar may have been created. Look it up; never call this method again for
                the same submission.
        """

        async def attempt() -> Avatar:
            body = await request() if callable(request) else request
            if before_each_attempt is not None:
                await before_each_attempt()
            with protect_urls(body.urls, secrets=body.secrets):
                return await self._post(body)

        return await self._with_create_retries(attempt)

    async def create_voice(
        self,
        name: str,
        audio_url: str | Callable[[], Awaitable[str]],
        before_each_attempt: Callable[[], Awaitable[None]] | None = None,
    ) -> Voice:
        """POST /voices: clone a voice. Retries only if Argil cannot have cloned one, as `create_avatar` does.

        Args:
            name: The name of the voice, by which it is looked up.
            audio_url: The HTTPS URL of the sample; or a function that returns it, awaited before each attempt.
            before_each_attempt: Awaited last before each attempt. If one of the two raises, the attempt is not sent
                and the error propagates.

        Raises:
            SubmissionRejected: Argil rejected the sample or the name.
            ArgilUnavailable: No voice was cloned.
            SubmissionOutcomeUnknown: A voice may have been cloned. Look it up by its name.
        """

        async def attempt() -> Voice:
            url = await audio_url() if callable(audio_url) else audio_url
            if before_each_attempt is not None:
                await before_each_attempt()
            with protect_urls([url]):
                return await self._post_voice(name, url)

        return await self._with_create_retries(attempt)

    async def get_avatar(self, avatar_id: str, submission_id: str | None = None) -> Avatar:
        """GET /avatars/{id}.

        Args:
            avatar_id: The avatar's id. A response with another id is a failed poll.
            submission_id: The avatar's correlation key, if known. A response with another key is a failed poll.

        Raises:
            AvatarNotFound: Argil itself answers 404.
            ArgilUnauthorized: Argil rejects the API key.
            PollFailed: Any other response that is not this avatar, or a transport failure.
        """
        response = await self._get(f"/avatars/{quote(avatar_id, safe='')}")
        return self._error_mapper.polled_avatar(SentRequest(Operation.GET, avatar_id, submission_id), response)

    async def list_avatars(self) -> list[Avatar]:
        """GET /avatars?visibility=private: the account's own avatars, without items that are not avatars.

        A missing avatar proves nothing: the list is reported to omit new avatars for minutes.

        Raises:
            ArgilUnauthorized: Argil rejects the API key.
            PollFailed: Any other response that is not a list (also a 404), or a transport failure.
        """
        return (await self.list_account()).avatars

    async def list_avatars_lazy(self) -> AvatarList:
        """Like `list_avatars`, but parses an avatar only when it is read. Raises the same errors."""
        return (await self.list_account()).index

    async def list_account(self) -> AccountList:
        """Like `list_avatars`, with what is needed to look a submission up. Raises the same errors."""
        await self._rate_limiter.acquire()
        with self._error_mapper.translating_read_errors():
            async with asyncio.timeout(LIST_TIMEOUT_SECONDS), self._stream_list() as response:
                received = await self._read(response, is_list=True)
        is_large = len(received.body) > LARGE_LIST_BYTES
        account = await asyncio.to_thread(self._read_list, received) if is_large else self._read_list(received)
        del received  # the body of a list of thousands
        if self._on_list is not None:
            await self._on_list(self, account)
        return account

    def _read_list(self, response: ArgilResponse) -> AccountList:
        """Decode a list and its index, which is cached."""
        self._error_mapper.raise_unless_list(response)
        account = AccountList(response)
        _ = account.index
        return account

    async def get_voice(self, voice_id: str) -> Voice | None:
        """GET /voices/{id}: the voice, or None if Argil itself answers 404.

        Raises:
            ArgilUnauthorized: Argil rejects the API key.
            PollFailed: Any other response that is not this voice, or a transport failure.
        """
        return self._error_mapper.read_voice(voice_id, await self._get(f"/voices/{quote(voice_id, safe='')}"))

    async def list_voices(self) -> VoiceList:
        """GET /voices: the voices that the account can use, without items that are not voices.

        Raises:
            ArgilUnauthorized: Argil rejects the API key.
            PollFailed: Any other response that is not a list (also a 404), or a transport failure.
        """
        response = await self._get("/voices", is_list=True)
        self._error_mapper.raise_unless_list(response)
        return VoiceList(response)

    async def check_access(self) -> float | None:
        """Request an avatar that cannot exist, to check that Argil responds and accepts the API key.

        Returns:
            Seconds by which this machine's clock is ahead of Argil's Date header; or None if absent.

        Raises:
            ArgilPathNotFound: The response is a 404 that is not Argil's.
            ArgilUnauthorized: Argil rejects the API key.
            PollFailed: Any other response than a 404 or a success, or a transport failure.
        """
        response = await self._get(f"/avatars/{uuid.UUID(int=0)}")
        self._error_mapper.raise_unless_absent_or_success(response)
        date = parse_http_date(response.headers.get("date", ""))
        return (self._clock.now() - date).total_seconds() if date is not None else None

    async def check_path(self) -> None:
        """Request the list of avatars, and read only its status: "no such avatar" can also mean "no such path".

        Raises:
            ArgilPathNotFound: The list is missing of avatars at this address.
            PollFailed: A transport failure.
        """
        await self._rate_limiter.acquire()
        with self._error_mapper.translating_read_errors():
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS), self._stream_list() as response:
                if response.is_success:
                    return
                received = await self._read(response)
        self._error_mapper.raise_if_no_list_path(received)

    async def register_webhook(self, url: str, events: Sequence[str]) -> None:
        """POST /webhooks: register a URL for deliveries of these events. Raises OperationalError.

        The last path segment of the URL is treated as a secret. Argil does not deduplicate registrations; use
        clients/webhook_registration.py.
        """
        self._secrets.add(url.rpartition("/")[2] or url)
        await self._request("POST", "/webhooks", {"callbackUrl": url, "events": list(events)})

    async def list_webhooks(self) -> list[Webhook]:
        """GET /webhooks: the account's webhooks, without items that are not webhooks. Raises OperationalError."""
        items = (await self._request("GET", "/webhooks")).json
        if not isinstance(items, list):
            raise OperationalError("Argil's list of webhooks is not a JSON list")
        return [webhook for item in items if (webhook := Webhook.parse(item)) is not None]

    async def delete_webhook(self, webhook_id: str) -> None:
        """DELETE /webhooks/{id}. Raises OperationalError."""
        await self._request("DELETE", f"/webhooks/{quote(webhook_id, safe='')}")

    async def _post(self, request: CreateRequest) -> Avatar:
        with self._error_mapper.translating_create_errors():
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                response = await self._send("POST", "/avatars", json=request.to_json())
        key = request.extras.get(SUBMISSION_ID_EXTRA)
        is_video = isinstance(request, CreateAvatarRequest)
        sent = SentRequest(Operation.CREATE, submission_id=key, name=request.name, is_video=is_video)
        return self._error_mapper.created_avatar(sent, response)

    async def _with_create_retries(self, attempt: Callable[[], Awaitable[Created]]) -> Created:
        deadline = self._clock.monotonic() + CREATE_RETRY_BUDGET_SECONDS
        failures = 0
        while True:
            await self._rate_limiter.acquire()
            try:
                return await attempt()
            except (ArgilUnreachable, ArgilRateLimited) as error:
                failures += 1
                wait = delay_seconds(failures, error.retry_after_seconds)
                if failures == MAX_CREATE_ATTEMPTS or self._clock.monotonic() + wait > deadline:
                    raise
                await self._clock.sleep(wait)

    async def _post_voice(self, name: str, audio_url: str) -> Voice:
        with self._error_mapper.translating_create_errors():
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                response = await self._send("POST", "/voices", json={"name": name, "audioUrl": audio_url})
        return self._error_mapper.created_voice(name, response)

    async def _get(self, path: str, *, is_list: bool = False) -> ArgilResponse:
        await self._rate_limiter.acquire()
        with self._error_mapper.translating_read_errors():
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                return await self._send("GET", path, headers=FRESH, is_list=is_list)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        is_list: bool = False,
    ) -> ArgilResponse:
        async with self._http.stream(method, path, json=json, headers=headers) as response:
            return await self._read(response, is_list=is_list)

    async def _read(self, response: httpx.Response, *, is_list: bool = False) -> ArgilResponse:
        """Read a response; a 429 with Retry-After pauses all requests, because the limit applies to the account."""
        received = await read_response(response, is_list=is_list)
        if received.status == HTTPStatus.TOO_MANY_REQUESTS:
            seconds = self._error_mapper.retry_after(received)
            if seconds is not None:
                await self._rate_limiter.pause(seconds)
        return received

    def _stream_list(self) -> AbstractAsyncContextManager[httpx.Response]:
        return self._http.stream("GET", "/avatars", params={"visibility": "private"}, headers=FRESH)

    async def _request(self, method: str, path: str, body: object = None) -> ArgilResponse:
        """Send a management request, which an operator can repeat. Raises OperationalError."""
        await self._rate_limiter.acquire()
        with self._error_mapper.translating_management_errors():
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                headers = FRESH if method == "GET" else None
                response = await self._send(method, path, json=body, headers=headers)
        self._error_mapper.raise_for_management(response)
        return response
