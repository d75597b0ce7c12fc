"""Maps Argil's responses and transport failures to our errors, one class per case that callers distinguish."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, NoReturn

import httpx

from models.clock import Clock
from models.errors import (
    ArgilPaymentRequired,
    ArgilRateLimited,
    ArgilUnauthorized,
    ArgilUnavailable,
    ArgilUnreachable,
    AvatarNotFound,
    OperationalError,
    PollFailed,
    SubmissionOutcomeUnknown,
    SubmissionRejected,
)
from models.redaction import redact
from models.retry import parse_retry_after

MAX_MESSAGE_CHARACTERS = 500
_CONNECTIVITY_HINT = "`avatars doctor` checks ARGIL_API_URL, the network and SSL_CERT_FILE"

# Not a rejection: after a 408 Argil may have read part of the request; the others are operational errors.
_NOT_REJECTION_STATUSES = frozenset({408, 401, 402, 403, 429})
# These redirect an unprocessed request. A 302 or 303 may also follow a request that Argil has processed.
_REDIRECT_STATUSES = frozenset({301, 307, 308})


class ResponseErrorMapper:
    """Raises errors for the responses of one client; their messages contain neither URL queries nor secrets."""

    def __init__(
        self, api_url: str, clock: Clock, secrets: set[str], pause_requests: Callable[[float], None]
    ) -> None:
        """Create a mapper for one client.

        Args:
            api_url: Named in connection errors.
            clock: Converts a Retry-After date to seconds.
            secrets: Removed from every message; the client may add to the set later.
            pause_requests: Called with the seconds of a 429's Retry-After.
        """
        self._api_url = api_url
        self._clock = clock
        self._secrets = secrets
        self._pause_requests = pause_requests

    @contextlib.contextmanager
    def translating_read_errors(self) -> Iterator[None]:
        """Raise PollFailed for a transport failure."""
        try:
            yield
        except (httpx.RequestError, TimeoutError) as error:
            raise PollFailed(f"no response from Argil: {self._describe_error(error)}") from None

    @contextlib.contextmanager
    def translating_create_errors(self) -> Iterator[None]:
        """Raise ArgilUnreachable if nothing was sent, SubmissionOutcomeUnknown for other transport failures."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise ArgilUnreachable(
                f"no connection to Argil at {self._api_url}: {self._describe_error(error)}",
                hint=f"{_CONNECTIVITY_HINT}; then `avatars resume ID`",
            ) from None
        except (httpx.RequestError, TimeoutError) as error:
            raise SubmissionOutcomeUnknown(
                f"the create request was sent but got no response: {self._describe_error(error)}"
            ) from None

    @contextlib.contextmanager
    def translating_management_errors(self) -> Iterator[None]:
        """Raise OperationalError for a transport failure."""
        try:
            yield
        except (httpx.RequestError, TimeoutError) as error:
            raise OperationalError(
                f"no response from Argil: {self._describe_error(error)}",
                hint=f"{_CONNECTIVITY_HINT}; then try again",
            ) from None

    def raise_for_get(self, response: httpx.Response) -> None:
        """Raise AvatarNotFound, ArgilUnauthorized or PollFailed if the response to a GET by id is not a success."""
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise AvatarNotFound("Argil has no such avatar", status=404, body=self._error_body(response))
        self.raise_for_read(response)

    def raise_for_read(self, response: httpx.Response) -> None:
        """Raise ArgilUnauthorized or PollFailed if the response is not a success; a 404 is a failed poll, too."""
        if response.is_success:
            return
        if response.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            self._raise_if_unavailable(response)
        raise PollFailed(f"Argil answered {response.status_code}", retry_after_seconds=self._retry_after(response))

    def raise_for_create(self, response: httpx.Response) -> NoReturn:
        """Raise for a response to POST /avatars that contains no avatar.

        Raises:
            ArgilUnavailable: Nothing was created, for a reason outside the request.
            SubmissionRejected: Argil rejected this request.
            SubmissionOutcomeUnknown: An avatar may have been created.
        """
        self._raise_if_unavailable(response)
        if response.is_client_error and response.status_code not in _NOT_REJECTION_STATUSES:
            body = self._error_body(response)
            raise SubmissionRejected(
                f"Argil rejected the request with {response.status_code}: {body['message']}",
                status=response.status_code,
                body=body,
                hint="fix what Argil's response names, then provision again under a new reference",
            )
        raise SubmissionOutcomeUnknown(
            f"the outcome of the create request is unknown: Argil answered {response.status_code}"
        )

    def raise_for_management(self, response: httpx.Response) -> None:
        """Raise OperationalError if the response is not a success."""
        if response.is_success:
            return
        self._raise_if_unavailable(response)
        raise OperationalError(f"Argil answered {response.status_code}: {self._error_body(response)['message']}")

    def _raise_if_unavailable(self, response: httpx.Response) -> None:
        status, retry_after = response.status_code, self._retry_after(response)
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise ArgilUnauthorized(
                f"Argil rejects the API key ({status}: {self._error_body(response)['message']})",
                hint="check ARGIL_API_KEY and ARGIL_API_URL with `avatars doctor`, then `avatars resume ID`",
            )
        if status == HTTPStatus.PAYMENT_REQUIRED:
            raise ArgilPaymentRequired(
                f"Argil asks for payment (402: {self._error_body(response)['message']})",
                hint="top up the Argil account, then `avatars resume ID`",
            )
        if status == HTTPStatus.TOO_MANY_REQUESTS or (
            status == HTTPStatus.SERVICE_UNAVAILABLE and "retry-after" in response.headers
        ):
            raise ArgilRateLimited(
                f"Argil is busy ({status})",
                hint="wait, lower AVATARS_REQUESTS_PER_SECOND, then `avatars resume ID`",
                retry_after_seconds=retry_after,
            )
        if status in _REDIRECT_STATUSES:
            raise ArgilUnavailable(f"ARGIL_API_URL redirects elsewhere ({status})", hint="correct ARGIL_API_URL")

    def _retry_after(self, response: httpx.Response) -> float | None:
        seconds = parse_retry_after(response.headers.get("retry-after"), self._clock.now())
        if seconds is not None and response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            self._pause_requests(seconds)  # the limit applies to the account, not to one request
        return seconds

    def _error_body(self, response: httpx.Response) -> dict[str, Any]:
        """Return the body of an error response as {code, message}."""
        body = parse_json_or_none(response.content)
        fields = body if isinstance(body, dict) else {}
        message = self._redact(
            str(fields.get("message") or response.content.decode(errors="replace") or response.reason_phrase)
        )
        code = fields.get("code")
        return {"code": code if isinstance(code, int) else None, "message": message[:MAX_MESSAGE_CHARACTERS]}

    def _describe_error(self, error: Exception) -> str:
        """Return the type and message of a transport failure, which may quote bytes that the server sent."""
        return self._redact(f"{type(error).__name__} {error}".rstrip())[:MAX_MESSAGE_CHARACTERS]

    def _redact(self, text: str) -> str:
        """Return the text without secrets. Redact before truncating, which could leave half of a secret."""
        for secret in self._secrets:  # first, because a registered secret may be a part of one of these
            text = text.replace(secret, "…")
        return redact(text)


def parse_json_or_none(body: bytes | bytearray) -> object:
    """Return the decoded JSON body, None if it is not valid JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # RecursionError: the body is nested too deeply
        return None
