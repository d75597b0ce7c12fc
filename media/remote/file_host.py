"""Sends GET requests for one URL: redirects, budget, retries, and errors for responses without a file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime
from http import HTTPStatus
from typing import TypeVar

import httpx

from media.remote.content_coding import content_coding, decode
from media.remote.fetch_errors import (
    AttemptFailed,
    describe_transport_error,
    unreachable_error,
    wait_requested_error,
)
from media.remote.fetch_limits import FetchBudget, FetchLimits
from media.remote.https_urls import parse_https_url
from media.remote.response_headers import response_time
from media.remote.storage_errors import AZURE_CODE, MAX_ERROR_BODY_BYTES, storage_error
from models.clock import Clock
from models.environment.user_agent import USER_AGENT
from models.errors import MediaRejected, MediaUnreachable
from models.media.codes import MediaCode
from models.recordings.signature_terms import parse_terms
from models.retry import MAX_RETRY_AFTER_SECONDS, delay_seconds, retry_after_seconds
from models.text.url_redaction import redact_url

TIMEOUT = httpx.Timeout(15.0)
LONGEST_WAIT_SECONDS = 1e9
"""Upper bound of the wait that an error names: 31 years."""

# Client errors that are temporary.
_RETRYABLE_STATUSES = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_REDIRECTS = {301, 302, 303, 307, 308}
_Answer = TypeVar("_Answer")


class FileHost:
    """The host of one URL. The time budget starts when it is created.

    It uses the transport directly: an httpx client logs URLs with their query, and applies cookies,
    netrc and proxies.
    """

    def __init__(
        self,
        url: str,
        transport: httpx.BaseTransport,
        limits: FetchLimits,
        clock: Clock,
        sleep: Callable[[float], None],
    ) -> None:
        self.budget = FetchBudget(limits, clock)
        self.content_type = ""
        """The Content-Type of the last response, empty if the host does not send one."""
        self._time: datetime | None = None
        self._url = parse_https_url(url)
        self._transport = transport
        self._clock = clock
        self._sleep = sleep

    @property
    def redacted_url(self) -> str:
        """The current URL, after redirects, without its query."""
        return redact_url(str(self._url))

    @property
    def time(self) -> datetime:
        """The time of the last response by the host's clock; this machine's time if the host did not send it.

        The host judges a signature by its own clock, and this machine's may be wrong.
        """
        return self._time or self._clock.now()

    def send(self, range_header: str | None) -> httpx.Response:
        """Send a request and follow redirects. Later requests go to the final URL directly.

        Args:
            range_header: The value of the header Range; None requests the whole file.

        Returns:
            The response with an open body; the caller closes it.

        Raises:
            AttemptFailed: If the request fails.
            MediaRejected: If a redirect cannot be followed, or the budget is used up.
            MediaUnreachable: If the time is over.
        """
        headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
        if range_header is not None:
            headers["Range"] = range_header
        for _ in range(self.budget.limits.max_redirects + 1):
            self.budget.require_time(self.redacted_url)
            self.budget.count_request(self.redacted_url)
            request = httpx.Request("GET", self._url, headers=headers, extensions={"timeout": TIMEOUT.as_dict()})
            try:
                response = self._transport.handle_request(request)
            except httpx.TransportError as error:
                # Without the cause: its text may quote what the host sent.
                raise AttemptFailed(describe_transport_error(error)) from None
            self._time = response_time(response)
            self.content_type = response.headers.get("content-type", "")
            location = response.headers.get("location")
            if response.status_code not in _REDIRECTS or location is None:
                return response
            response.close()
            self._url = parse_https_url(location, base=self._url)
        raise MediaRejected(
            MediaCode.TOO_MANY_REDIRECTS,
            f"more than {self.budget.limits.max_redirects} redirects lead to {self.redacted_url}",
            hint="use the URL of the file itself",
        )

    def retry(self, attempt: Callable[[], _Answer]) -> _Answer:
        """Call `attempt` until it does not raise AttemptFailed, and wait in between.

        Raises:
            MediaUnreachable: After the last attempt, or if the host asks for a long wait.
        """
        count = 0
        while True:
            count += 1
            try:
                return attempt()
            except AttemptFailed as error:
                wait = error.retry_after_seconds
                if wait is not None and wait > MAX_RETRY_AFTER_SECONDS:
                    raise wait_requested_error(self.redacted_url, str(error), wait) from error
                if count == self.budget.limits.max_attempts:
                    raise self.unreachable_error(
                        f"no usable response in {count} attempts; last error: {error}"
                    ) from error
                delay = delay_seconds(count, wait)
                self._require_time_to_wait(delay, error)
                self._sleep(delay)

    def iter_body(self, response: httpx.Response, coding: str | None = None) -> Iterator[bytes]:
        """Yield the decoded body in chunks, and count the bytes received.

        Raises:
            AttemptFailed: If the connection fails, or a compressed body ends early.
            MediaRejected: If the body cannot be decoded.
        """
        return decode(self._iter_raw(response), coding, self.redacted_url)

    def error_for_response(self, response: httpx.Response) -> Exception:
        """Return the exception for a response without a file; 416 is not a status for this method."""
        status = response.status_code
        if status in _RETRYABLE_STATUSES or not response.is_client_error:
            retry_after = retry_after_seconds(
                status, dict(response.headers), self._clock.now(), max_seconds=LONGEST_WAIT_SECONDS
            )
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
            now=self.time,
        )

    def unreachable_error(self, cause: str) -> MediaUnreachable:
        """Return the error for a host that gives no usable response."""
        return unreachable_error(self.redacted_url, cause)

    def _require_time_to_wait(self, seconds: float, error: AttemptFailed) -> None:
        cause = f"last error: {error}"
        if error.retry_after_seconds == seconds:
            cause = f"the host asks to wait {seconds:,.0f} seconds"
        self.budget.require_time(self.redacted_url, wait_seconds=seconds, cause=cause)

    def _iter_raw(self, response: httpx.Response) -> Iterator[bytes]:
        try:
            for chunk in response.iter_raw():
                self.budget.require_time(self.redacted_url)
                self.budget.bytes_fetched += len(chunk)
                yield chunk
        except httpx.TransportError as error:
            # Without the cause: its text may quote what the host sent.
            raise AttemptFailed(describe_transport_error(error)) from None

    def _read_error_body(self, response: httpx.Response) -> bytes:
        """Return the first bytes of a body, as many as were received and can be decoded."""
        data = bytearray()
        with contextlib.suppress(AttemptFailed, MediaRejected):
            for chunk in self.iter_body(response, content_coding(response)):
                data += chunk
                if len(data) >= MAX_ERROR_BODY_BYTES:
                    break
        return bytes(data[:MAX_ERROR_BODY_BYTES])
