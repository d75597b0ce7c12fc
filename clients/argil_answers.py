"""What an answer of Argil's means, or that there is none: one error for each thing a caller does differently."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, NoReturn

import httpx

from clients.retry import retry_after_seconds
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

ANSWER_CHARACTERS = 500
_CHECK = "`avatars doctor` checks ARGIL_API_URL, the network and SSL_CERT_FILE"

# No answer for good: a 408 may have been read in part, the others are the operator's to mend.
_UNDECIDED = frozenset({408, 401, 402, 403, 429})
# These say that the same request belongs elsewhere; a 302 or 303 may follow upon one that was taken.
_ELSEWHERE = frozenset({301, 307, 308})


class Answers:
    """Reads what one client gets, and tells of it without URL queries and without secrets."""

    def __init__(self, api_url: str, clock: Clock, secrets: set[str], hold: Callable[[float], None]) -> None:
        """`hold` is called with the seconds for which the account wishes to be left alone."""
        self._api_url = api_url
        self._clock = clock
        self._secrets = secrets
        self._hold = hold

    @contextlib.contextmanager
    def of_read(self) -> Iterator[None]:
        """Raise PollFailed for what fails on the way."""
        try:
            yield
        except (httpx.RequestError, TimeoutError) as error:
            raise PollFailed(f"no answer from Argil: {self._told(error)}") from None

    @contextlib.contextmanager
    def of_create(self) -> Iterator[None]:
        """Raise ArgilUnreachable for what surely was not sent, OutcomeUnknown for what else fails on the way."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise ArgilUnreachable(
                f"no connection to Argil at {self._api_url}: {self._told(error)}",
                hint=f"{_CHECK}; then `avatars resume ID`",
            ) from None
        except (httpx.RequestError, TimeoutError) as error:
            raise OutcomeUnknown(f"the create was sent and got no answer: {self._told(error)}") from None

    @contextlib.contextmanager
    def of_management(self) -> Iterator[None]:
        """Raise OperatorError for what fails on the way."""
        try:
            yield
        except (httpx.RequestError, TimeoutError) as error:
            raise OperatorError(
                f"no answer from Argil: {self._told(error)}",
                hint=f"{_CHECK}; then try again",
            ) from None

    def raise_for_read(self, answer: httpx.Response) -> None:
        """Raise AvatarNotFound, ArgilUnauthorized or PollFailed for whatever is no success."""
        if answer.is_success:
            return
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise AvatarNotFound("Argil knows no such avatar", status=404, answer=self._text(answer))
        if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            self._raise_unavailable(answer)
        raise PollFailed(f"Argil answered {answer.status_code}", retry_after_seconds=self._retry_after(answer))

    def raise_for_create(self, answer: httpx.Response) -> NoReturn:
        """Raise for an answer to a create that holds no avatar.

        Raises ArgilUnavailable (nothing was taken, for a reason outside of the request), RequestRefused (Argil
        said no to this request) or OutcomeUnknown.
        """
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

    def raise_for_management(self, answer: httpx.Response) -> None:
        """Raise OperatorError for whatever is no success."""
        if answer.is_success:
            return
        self._raise_unavailable(answer)
        raise OperatorError(f"Argil answered {answer.status_code}: {self._text(answer)['message']}")

    def _raise_unavailable(self, answer: httpx.Response) -> None:
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

    def _retry_after(self, answer: httpx.Response) -> float | None:
        seconds = retry_after_seconds(answer.headers.get("retry-after"), self._clock.now())
        if seconds is not None and answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            self._hold(seconds)  # it is said to the account, not to one request
        return seconds

    def _text(self, answer: httpx.Response) -> dict[str, Any]:
        """Return what an error answer says as {code, message}."""
        body = decoded(answer.content)
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
        """Return the text without secrets; before any cut, which may leave half of one."""
        text = redact(text)
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text


def decoded(body: bytes | bytearray) -> object:
    """Return what a JSON body says, None where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # the latter for a body that nests too deep
        return None
