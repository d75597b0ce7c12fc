"""Requests byte ranges of one URL: budgets, retries, redirects, and the meaning of each response."""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import NamedTuple

import httpx

from media.https_urls import parse_https_url
from media.response_headers import content_length, response_time
from media.storage_errors import AZURE_CODE, MAX_ERROR_BODY_BYTES, storage_error
from models.clock import Clock, SystemClock
from models.errors import MediaRejected, MediaUnreachable
from models.media_codes import MediaCode
from models.media_rules import MIB
from models.redaction import redact_url
from models.retry import delay_seconds, retry_after_seconds
from models.signature_terms import parse_terms
from models.user_agent import USER_AGENT

TIMEOUT = httpx.Timeout(15.0)
SYSTEM_CLOCK: Clock = SystemClock()

# At most 18 digits: larger sizes are not real, and would overflow the integers of PyAV.
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
# Client errors that are temporary.
_RETRYABLE_STATUSES = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True)
class FetchLimits:
    """The budget for reading one remote file.

    `max_bytes` applies to range requests, `timeout_seconds` counts from the first request, and
    `max_attempts` is the number of attempts per range.
    """

    max_requests: int = 24
    max_bytes: int = 48 * MIB
    timeout_seconds: float = 300.0
    max_attempts: int = 3
    max_redirects: int = 5


DEFAULT_LIMITS = FetchLimits()


class RangeResponse(NamedTuple):
    """A range of a file that has `size` bytes."""

    data: bytes
    size: int


class EntityVersion(NamedTuple):
    """Properties that must not change while a file is read; None if the host does not send them."""

    size: int | None
    etag: str | None
    modified: str | None


class AttemptFailed(Exception):
    """One attempt got no usable response. `retry_after_seconds` is the host's Retry-After, if it sent one."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class RangeClient:
    """Fetches byte ranges of one URL. The time budget starts when it is created.

    It uses the transport directly: an httpx client logs URLs with their query, and applies cookies,
    netrc and proxies. Every method raises MediaRejected if a retry would not help, and
    MediaUnreachable if the host gives no usable response.
    """

    def __init__(
        self,
        url: str,
        transport: httpx.BaseTransport,
        limits: FetchLimits,
        clock: Clock,
        sleep: Callable[[float], None],
    ) -> None:
        self.requests = 0
        self.bytes_fetched = 0
        self.content_type = ""
        """The Content-Type of the last response."""
        self._host_time: datetime | None = None
        self._version: EntityVersion | None = None
        self._url = parse_https_url(url)
        self._transport = transport
        self._limits = limits
        self._clock = clock
        self._sleep = sleep
        self._deadline = clock.monotonic() + limits.timeout_seconds

    @property
    def redacted_url(self) -> str:
        """The current URL, after redirects, without its query."""
        return redact_url(str(self._url))

    @property
    def host_time(self) -> datetime:
        """The time of the last response by the host's clock; this machine's time if the host did not send it.

        The host judges a signature by its own clock, and this machine's may be wrong.
        """
        return self._host_time or self._clock.now()

    @property
    def etag(self) -> str | None:
        """The ETag of the first response."""
        return self._version.etag if self._version else None

    def extend_budget(self, size: int, requests: int) -> None:
        """Extend the budget by `size` bytes in so many requests, with room for failed attempts."""
        self._limits = replace(
            self._limits,
            max_bytes=self._limits.max_bytes + 2 * size,
            max_requests=self._limits.max_requests + self._limits.max_attempts * requests,
        )

    def fetch_range(self, start: int, end: int) -> RangeResponse | httpx.Response:
        """Fetch the bytes from `start` to `end`, with retries; fewer only at the end of the file.

        Returns:
            The range, or the open response if the host does not support ranges and sends the whole
            file. The caller reads that response with `iter_body` and closes it.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._fetch_once(start, end)
            except AttemptFailed as error:
                if attempt == self._limits.max_attempts:
                    raise self.unreachable_error(
                        f"no usable response in {attempt} attempts; last error: {error}"
                    ) from error
                self._sleep_before_retry(delay_seconds(attempt, error.retry_after_seconds))

    def iter_body(self, response: httpx.Response) -> Iterator[bytes]:
        """Yield the body in chunks and count its bytes.

        Raises:
            AttemptFailed: If the connection fails.
        """
        try:
            for chunk in response.iter_raw():
                self._check_deadline()
                self.bytes_fetched += len(chunk)
                yield chunk
        except httpx.TransportError as error:
            # Without the cause: its text may quote what the host sent.
            raise AttemptFailed(_describe_transport_error(error)) from None

    def unreachable_error(self, cause: str) -> MediaUnreachable:
        """Return the error for a host that gives no usable response."""
        return MediaUnreachable(
            f"{self.redacted_url}: {cause}",
            hint="check this machine's network and the video's host, then run `avatars resume ID`",
        )

    def _fetch_once(self, start: int, end: int) -> RangeResponse | httpx.Response:
        if self.bytes_fetched + end - start > self._limits.max_bytes:
            raise self._budget_error(f"{self._limits.max_bytes:,} bytes")
        try:
            response = self._send_following_redirects(start, end)
        except httpx.TransportError as error:
            # Without the cause: its text may quote what the host sent.
            raise AttemptFailed(_describe_transport_error(error)) from None
        if response.status_code == HTTPStatus.OK:
            self._require_same_version(response, content_length(response))
            return response
        with closing(response):
            if response.status_code != HTTPStatus.PARTIAL_CONTENT:
                raise self._error_for_response(response)
            return self._read_partial_content(response, start, end)

    def _send_following_redirects(self, start: int, end: int) -> httpx.Response:
        """Send the request and follow redirects. Later requests go to the final URL directly."""
        for _ in range(self._limits.max_redirects + 1):
            self._check_deadline()
            if self.requests == self._limits.max_requests:
                raise self._budget_error(f"{self.requests} requests")
            self.requests += 1
            response = self._transport.handle_request(
                httpx.Request(
                    "GET",
                    self._url,
                    headers={
                        "User-Agent": USER_AGENT,
                        "Accept": "*/*",
                        "Accept-Encoding": "identity",
                        "Range": f"bytes={start}-{end - 1}",
                    },
                    extensions={"timeout": TIMEOUT.as_dict()},
                )
            )
            self._host_time = response_time(response)
            self.content_type = response.headers.get("content-type", "")
            location = response.headers.get("location")
            if response.status_code not in _REDIRECTS or location is None:
                return response
            response.close()
            self._url = parse_https_url(location, base=self._url)
        raise MediaRejected(
            MediaCode.TOO_MANY_REDIRECTS,
            f"more than {self._limits.max_redirects} redirects lead to {self.redacted_url}",
            hint="use the URL of the file itself",
        )

    def _read_partial_content(self, response: httpx.Response, start: int, end: int) -> RangeResponse:
        content_range = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if content_range is None:
            raise AttemptFailed("206 without a valid Content-Range header")
        first, last, size = map(int, content_range.groups())
        if (first, last) != (start, min(end, size) - 1):
            raise AttemptFailed(f"bytes {first}-{last} of {size} instead of {start}-{end - 1}")
        self._require_same_version(response, size)
        data = bytearray()
        for chunk in self.iter_body(response):
            data += chunk
            if len(data) > last + 1 - first:
                break
        if len(data) != last + 1 - first:
            raise AttemptFailed("the length of the body contradicts the Content-Range header")
        return RangeResponse(bytes(data), size)

    def _require_same_version(self, response: httpx.Response, size: int | None) -> None:
        version = EntityVersion(size, response.headers.get("etag"), response.headers.get("last-modified"))
        if self._version is None:
            self._version = version
        elif version != self._version:
            response.close()
            raise self._file_changed_error()

    def _error_for_response(self, response: httpx.Response) -> Exception:
        """Return the exception for a response that is neither 200 nor 206."""
        status = response.status_code
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if self._version is not None:
                return self._file_changed_error()
            return MediaRejected(
                MediaCode.EMPTY_FILE, f"{self.redacted_url} is empty", hint="check that the upload was completed"
            )
        if status in _RETRYABLE_STATUSES or not response.is_client_error:
            retry_after = retry_after_seconds(status, dict(response.headers), self._clock.now())
            # Not the host's own reason phrase: it may contain anything, for example the query of
            # the request.
            phrase = httpx.codes.get_reason_phrase(status)
            return AttemptFailed(f"{status} {phrase}".strip(), retry_after_seconds=retry_after)
        return storage_error(
            self.redacted_url,
            status,
            response.headers.get(AZURE_CODE, ""),
            self._read_error_body(response),
            terms=parse_terms(str(self._url)),
            now=self.host_time,
        )

    def _read_error_body(self, response: httpx.Response) -> bytes:
        """Return the first bytes of a body, as many as were received."""
        data = bytearray()
        with contextlib.suppress(AttemptFailed):
            for chunk in self.iter_body(response):
                data += chunk
                if len(data) >= MAX_ERROR_BODY_BYTES:
                    break
        return bytes(data[:MAX_ERROR_BODY_BYTES])

    def _sleep_before_retry(self, seconds: float) -> None:
        if self._clock.monotonic() + seconds >= self._deadline:
            raise self._deadline_error()
        self._sleep(seconds)

    def _check_deadline(self) -> None:
        if self._clock.monotonic() >= self._deadline:
            raise self._deadline_error()

    def _deadline_error(self) -> MediaUnreachable:
        return self.unreachable_error(f"not read within {self._limits.timeout_seconds:g} seconds")

    def _file_changed_error(self) -> MediaUnreachable:
        return self.unreachable_error("the file changed while it was being read")

    def _budget_error(self, budget: str) -> MediaRejected:
        return MediaRejected(
            MediaCode.READ_BUDGET_EXCEEDED,
            f"the index of {self.redacted_url} cannot be read within {budget}",
            hint="move the index to the front, without loss: ffmpeg -i IN -c copy -movflags +faststart OUT.mp4",
        )


def _describe_transport_error(error: httpx.TransportError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message}); check SSL_CERT_FILE"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ProtocolError):
        return "the connection was closed early, or the response is not HTTP"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
