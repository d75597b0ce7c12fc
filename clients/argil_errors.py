"""Maps Argil's responses and transport failures to our errors, one class per case that callers distinguish.

models/argil/response_meaning.py decides what a response means.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import httpx

from models.argil.avatar import Avatar, replace_unstorable_characters
from models.argil.response import ArgilResponse
from models.argil.response_meaning import Meaning, Operation, SentRequest, meaning_of
from models.argil.video_create import VIDEO_CREATE_REMEDY
from models.argil.voice import Voice
from models.clock import Clock
from models.errors import (
    ArgilPathNotFound,
    ArgilPaymentRequired,
    ArgilRateLimited,
    ArgilUnauthorized,
    ArgilUnavailable,
    ArgilUnreachable,
    ArgilVideoCreateRemoved,
    AvatarNotFound,
    OperationalError,
    PollFailed,
    SubmissionOutcomeUnknown,
    SubmissionRejected,
)
from models.limits import MAX_PAUSE
from models.retry import MAX_RETRY_AFTER_SECONDS, retry_after_seconds
from models.text.redaction import redact
from models.text.secret_search import search_for

MAX_MESSAGE_CHARACTERS = 500
_NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Nothing was sent."""
_CONNECTIVITY_HINT = "`avatars doctor` checks ARGIL_API_URL, the network and SSL_CERT_FILE"


class ResponseErrorMapper:
    """Raises errors for the responses of one client; their messages contain neither URL queries nor secrets."""

    def __init__(self, api_url: str, clock: Clock, secrets: set[str]) -> None:
        """Create a mapper for one client.

        Args:
            api_url: Named in connection errors.
            clock: Converts a Retry-After date to seconds.
            secrets: Removed from every message; the client may add to the set later.
        """
        self._api_url = api_url
        self._clock = clock
        self._secrets = secrets

    @contextlib.contextmanager
    def translating_read_errors(self) -> Iterator[None]:
        """Raise PollFailed for a transport failure."""
        try:
            yield
        except _NOT_CONNECTED as error:
            raise PollFailed(self._no_connection(error)) from None
        except (httpx.RequestError, TimeoutError) as error:
            raise PollFailed(f"no response from Argil: {self._describe_error(error)}") from None

    @contextlib.contextmanager
    def translating_create_errors(self) -> Iterator[None]:
        """Raise ArgilUnreachable if nothing was sent, SubmissionOutcomeUnknown for other transport failures."""
        try:
            yield
        except _NOT_CONNECTED as error:
            raise ArgilUnreachable(
                self._no_connection(error),
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

    def created_avatar(self, sent: SentRequest, response: ArgilResponse) -> Avatar:
        """Return the avatar that POST /avatars created.

        Raises:
            ArgilUnavailable: Nothing was created, for a reason outside the request.
            SubmissionRejected: Argil rejected this request.
            SubmissionOutcomeUnknown: An avatar may have been created.
        """
        meaning = meaning_of(sent, response)
        if meaning is Meaning.CREATED and response.avatar is not None:
            return response.avatar
        if meaning is Meaning.REJECTED:
            body = self._error_body(response)
            raise SubmissionRejected(
                f"Argil rejected the request with {response.status}: {body['message']}",
                status=response.status,
                body=body,
                hint="fix what Argil's response names, then submit it again with `avatars retrain`",
            )
        if (error := self._unavailable(meaning, response)) is not None:
            raise error
        body = self._error_body(response)
        raise SubmissionOutcomeUnknown(
            f"the outcome of the create request is unknown: {self._described(response)}",
            response={"meaning": meaning, "status": response.status, **body},
        )

    def created_voice(self, name: str, response: ArgilResponse) -> Voice:
        """Return the voice that POST /voices cloned under this name.

        Raises:
            ArgilUnavailable: No voice was cloned, for a reason outside the request.
            SubmissionRejected: Argil rejected the sample or the name.
            SubmissionOutcomeUnknown: A voice may have been cloned.
        """
        voice = Voice.parse(response.json)
        if response.is_success and not response.is_argil_error and voice is not None and voice.name == name:
            return voice
        meaning = meaning_of(SentRequest(Operation.CREATE, name=name), response)
        if meaning is Meaning.REJECTED:
            body = self._error_body(response)
            message = f"Argil rejected the voice sample with {response.status}: {body['message']}"
            raise SubmissionRejected(message, status=response.status, body=body)
        if (error := self._unavailable(meaning, response)) is not None:
            raise error
        raise SubmissionOutcomeUnknown(
            f"the outcome of the request to clone a voice is unknown: {self._described(response)}"
        )

    def polled_avatar(self, sent: SentRequest, response: ArgilResponse) -> Avatar:
        """Return the avatar of a GET by id. Raises AvatarNotFound, ArgilUnauthorized or PollFailed."""
        meaning = meaning_of(sent, response)
        if meaning is Meaning.AVATAR and response.avatar is not None:
            return response.avatar
        if meaning is Meaning.NOT_FOUND:
            raise AvatarNotFound("Argil has no such avatar", status=404, body=self._error_body(response))
        raise self._failed_read(meaning, response, "the avatar with this id and a status")

    def raise_unless_list(self, response: ArgilResponse) -> None:
        """Raise ArgilUnauthorized or PollFailed if the response to GET /avatars holds no list."""
        meaning = meaning_of(SentRequest(Operation.LIST), response)
        if meaning is not Meaning.AVATAR_LIST:
            raise self._failed_read(meaning, response, "a JSON list")

    def read_voice(self, voice_id: str, response: ArgilResponse) -> Voice | None:
        """Return the voice of a GET by id, None for Argil's own 404. Raises ArgilUnauthorized or PollFailed."""
        if response.status == HTTPStatus.NOT_FOUND and response.is_argil_error:
            return None
        voice = Voice.parse(response.json) if response.status == HTTPStatus.OK else None
        if voice is not None and voice.id == voice_id and not response.is_argil_error:
            return voice
        meaning = meaning_of(SentRequest(Operation.GET), response)
        raise self._failed_read(meaning, response, "the voice with this id")

    def raise_unless_absent_or_success(self, response: ArgilResponse) -> None:
        """Raise if the response to a GET of an unknown id shows that the API is unusable.

        Raises:
            ArgilPathNotFound: The 404 is not Argil's.
            ArgilUnauthorized: Argil rejects the API key.
            PollFailed: Any other response than Argil's 404 or a success.
        """
        meaning = meaning_of(SentRequest(Operation.GET), response)
        if meaning is Meaning.NOT_FOUND or (response.is_success and not response.is_page):
            return
        if response.status == HTTPStatus.NOT_FOUND:
            raise self._path_not_found(response)
        raise self._failed_read(meaning, response, "an avatar or an error of Argil's")

    def raise_if_no_list_path(self, response: ArgilResponse) -> None:
        """Raise ArgilPathNotFound if the response to GET /avatars is a 404."""
        if response.status == HTTPStatus.NOT_FOUND:
            raise self._path_not_found(response)

    def raise_for_management(self, response: ArgilResponse) -> None:
        """Raise OperationalError if the response is not a success."""
        if response.is_success:
            return
        # Repeating such a request is harmless, so it has the meanings of a submission.
        meaning = meaning_of(SentRequest(Operation.CREATE), response)
        if meaning is not Meaning.NO_SUCH_PATH and (error := self._unavailable(meaning, response)) is not None:
            raise error
        raise OperationalError(f"Argil answered {response.status}: {self._error_body(response)['message']}")

    def _failed_read(
        self, meaning: Meaning, response: ArgilResponse, expected: str
    ) -> PollFailed | ArgilUnavailable:
        if meaning is Meaning.UNAUTHORIZED and (error := self._unavailable(meaning, response)) is not None:
            return error
        message = self._described(response) + (f", not with {expected}" if response.is_success else "")
        return PollFailed(message, retry_after_seconds=self.retry_after(response), status=response.status)

    def _unavailable(self, meaning: Meaning, response: ArgilResponse) -> ArgilUnavailable | None:
        """Return the error for a meaning that says that nothing was done, None for any other meaning."""
        status, words = response.status, self._error_body(response)["message"]
        error: ArgilUnavailable | None
        match meaning:
            case Meaning.UNAUTHORIZED:
                error = ArgilUnauthorized(
                    f"Argil rejects the API key ({status}: {words})",
                    hint="check ARGIL_API_KEY and ARGIL_API_URL with `avatars doctor`, then `avatars resume ID`",
                )
            case Meaning.PAYMENT_REQUIRED:
                error = ArgilPaymentRequired(
                    f"Argil asks for payment (402: {words})",
                    hint="top up the Argil account; every 15 minutes provision-pending or `avatars resume ID` "
                    "tries one submission, and the others follow",
                )
            case Meaning.RATE_LIMITED:
                error = ArgilRateLimited(
                    f"Argil is busy ({status})",
                    hint="wait, lower AVATARS_REQUESTS_PER_SECOND, then `avatars resume ID`",
                    retry_after_seconds=self.retry_after(response),
                )
            case Meaning.VIDEO_CREATE_REMOVED:
                error = ArgilVideoCreateRemoved(
                    f"Argil creates no avatars from videos ({status}: {words})", hint=VIDEO_CREATE_REMEDY
                )
            case Meaning.NO_SUCH_PATH:
                error = self._path_not_found(response)
            case Meaning.REDIRECTED:
                error = ArgilUnavailable(
                    f"ARGIL_API_URL redirects elsewhere ({status})", hint="correct ARGIL_API_URL"
                )
            case _:
                error = None
        return error

    def _path_not_found(self, response: ArgilResponse) -> ArgilPathNotFound:
        return ArgilPathNotFound(
            f"{self._api_url} has no API for avatars ({response.status}: {self._error_body(response)['message']})",
            hint="correct ARGIL_API_URL, for example https://api.argil.ai/v1, and check it with `avatars doctor`; "
            "then `avatars resume ID`",
        )

    def retry_after(self, response: ArgilResponse) -> float | None:
        """Return the seconds that the response asks to wait, None if it names none."""
        now = self._clock.now()
        is_limited = response.status == HTTPStatus.TOO_MANY_REQUESTS  # then all requests pause for so long
        longest = MAX_PAUSE.total_seconds() if is_limited else MAX_RETRY_AFTER_SECONDS
        return retry_after_seconds(response.status, response.headers, now, max_seconds=longest)

    def _described(self, response: ArgilResponse) -> str:
        """Return who answered with what, including the words that a person needs."""
        sender = "a gateway or proxy, not Argil," if response.is_page else "Argil"
        words = self._words(response)
        return f"{sender} answered {response.status}" + (f" ({words})" if words else "")

    def _error_body(self, response: ArgilResponse) -> dict[str, Any]:
        """Return the body of an error response as {code, message}."""
        message = self._words(response) or httpx.codes.get_reason_phrase(response.status)
        return {"code": response.error_code, "message": message}

    def _words(self, response: ArgilResponse) -> str:
        return replace_unstorable_characters(self._redact(response.words(self._redact)))[:MAX_MESSAGE_CHARACTERS]

    def _no_connection(self, error: Exception) -> str:
        return f"no connection to Argil at {self._api_url}: {self._describe_error(error)}"

    def _describe_error(self, error: Exception) -> str:
        """Return the type and message of a transport failure, which may quote bytes that the server sent."""
        return self._redact(f"{type(error).__name__} {error}".rstrip())[:MAX_MESSAGE_CHARACTERS]

    def _redact(self, text: str) -> str:
        """Return the text without secrets, those of this client first: one may contain a registered secret."""
        return redact(search_for(tuple(self._secrets)).replace_in(text))
