"""Asks one URL for byte ranges: budgets, attempts, redirects, and what each answer means."""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NamedTuple

import httpx

from clients.refusals import AZURE_CODE, READ_BYTES, refusal
from clients.retry import backoff_seconds, retry_after_seconds
from models.errors import MediaRejected, MediaUnreachable
from models.media import MIB
from models.redaction import redact_url

TIMEOUT = httpx.Timeout(15.0)
MAX_PORT = 65535
USER_AGENT = "avatar-provisioner"

# Sizes past 10^18 bytes are no sizes, and would overflow what PyAV counts in.
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
# "Not now" rather than "no".
_TRY_AGAIN = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True)
class FetchLimits:
    """What one remote file may cost at most. `bytes` is for ranges; `seconds` count from the first request."""

    requests: int = 24
    bytes: int = 48 * MIB
    seconds: float = 300.0
    attempts: int = 3
    redirects: int = 5


DEFAULT_LIMITS = FetchLimits()


class Part(NamedTuple):
    """Bytes of a file of `size` bytes."""

    data: bytes
    size: int


class Version(NamedTuple):
    """What a file must keep while it is read; None where the host does not say."""

    size: int | None
    etag: str | None
    modified: str | None


class NoAnswer(Exception):
    """One attempt brought no usable answer. `retry_after_seconds` is the host's own wish, if it gave one."""

    def __init__(self, why: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_seconds = retry_after_seconds


class RangeRequests:
    """The conversation with one URL, which begins with the first `ask`.

    It speaks to the transport and not through an httpx client, whose log shows URLs with their query, and whose
    cookies, netrc and proxies have no place here. Every method raises MediaRejected for a definite no, and
    MediaUnreachable where nothing was learnt.
    """

    def __init__(
        self,
        url: str,
        transport: httpx.BaseTransport,
        limits: FetchLimits,
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self.requests = 0
        self.bytes_fetched = 0
        self._version: Version | None = None
        self._url = _https(url)
        self._transport = transport
        self._limits = limits
        self._monotonic = monotonic
        self._sleep = sleep
        self._deadline = monotonic() + limits.seconds

    @property
    def shown(self) -> str:
        """The URL as it may be shown."""
        return redact_url(str(self._url))

    @property
    def etag(self) -> str | None:
        """The ETag of the first answer."""
        return self._version.etag if self._version else None

    def allow(self, size: int, pieces: int) -> None:
        """Raise the budget by what `size` bytes in so many requests cost, with room for attempts that fail."""
        self._limits = replace(
            self._limits,
            bytes=self._limits.bytes + 2 * size,
            requests=self._limits.requests + self._limits.attempts * pieces,
        )

    def ask(self, start: int, end: int) -> Part | httpx.Response:
        """Return the bytes from `start` to `end` (fewer only at the file's end).

        A host that knows no ranges answers with the whole file: then its open response comes back, to be read with
        `chunks` and closed by the caller.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._ask_once(start, end)
            except NoAnswer as error:
                if attempt == self._limits.attempts:
                    raise self.unreachable(
                        f"no usable answer in {attempt} attempts; the last one: {error}"
                    ) from error
                self._pause(error.retry_after_seconds or backoff_seconds(attempt))

    def chunks(self, response: httpx.Response) -> Iterator[bytes]:
        """Yield the body as it comes, counted. Raises NoAnswer where the line is cut."""
        try:
            for chunk in response.iter_raw():
                self._check_time()
                self.bytes_fetched += len(chunk)
                yield chunk
        except httpx.TransportError as error:
            raise NoAnswer(_words(error)) from None  # its own text may quote what the host sent

    def unreachable(self, why: str) -> MediaUnreachable:
        """Return the error that tells that nothing is known about the video."""
        return MediaUnreachable(f"{self.shown}: {why}", hint="see whether the video's host is well, then resume")

    def _ask_once(self, start: int, end: int) -> Part | httpx.Response:
        if self.bytes_fetched + end - start > self._limits.bytes:
            raise self._over_budget(f"{self._limits.bytes:,} bytes")
        try:
            response = self._follow(start, end)
        except httpx.TransportError as error:
            raise NoAnswer(_words(error)) from None  # its own text may quote what the host sent
        if response.status_code == HTTPStatus.OK:
            self._recognise(response, content_length(response))
            return response
        with closing(response):
            if response.status_code != HTTPStatus.PARTIAL_CONTENT:
                raise self._no(response)
            return self._part(response, start, end)

    def _follow(self, start: int, end: int) -> httpx.Response:
        """Send the request, along redirects; what they lead to is asked directly from then on."""
        for _ in range(self._limits.redirects + 1):
            self._check_time()
            if self.requests == self._limits.requests:
                raise self._over_budget(f"{self.requests} requests")
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
            location = response.headers.get("location")
            if response.status_code not in _REDIRECTS or location is None:
                return response
            response.close()
            self._url = _https(location, base=self._url)
        raise MediaRejected(
            "too-many-redirects",
            f"{self.shown} is reached over more than {self._limits.redirects} redirects",
            hint="give the URL of the file itself",
        )

    def _part(self, response: httpx.Response, start: int, end: int) -> Part:
        found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if found is None:
            raise NoAnswer("206 without a usable Content-Range")
        first, last, size = map(int, found.groups())
        if (first, last) != (start, min(end, size) - 1):
            raise NoAnswer(f"bytes {first}-{last} of {size} instead of {start}-{end - 1}")
        self._recognise(response, size)
        data = bytearray()
        for chunk in self.chunks(response):
            data += chunk
            if len(data) > last + 1 - first:
                break
        if len(data) != last + 1 - first:
            raise NoAnswer("a body of another length than it announced")
        return Part(bytes(data), size)

    def _recognise(self, response: httpx.Response, size: int | None) -> None:
        version = Version(size, response.headers.get("etag"), response.headers.get("last-modified"))
        if self._version is None:
            self._version = version
        elif version != self._version:
            response.close()
            raise self._changed()

    def _no(self, response: httpx.Response) -> Exception:
        """Return what an answer that is neither 200 nor 206 amounts to."""
        status = response.status_code
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if self._version is not None:
                return self._changed()
            return MediaRejected("empty-file", f"{self.shown} is empty", hint="see whether the upload was finished")
        if status in _TRY_AGAIN or not response.is_client_error:
            wish = retry_after_seconds(response.headers.get("retry-after"), datetime.now(UTC))
            # Not the host's own phrase: a host can write anything there, also the query it was asked with.
            phrase = httpx.codes.get_reason_phrase(status)
            return NoAnswer(f"{status} {phrase}".strip(), retry_after_seconds=wish)
        return refusal(self.shown, status, response.headers.get(AZURE_CODE, ""), self._beginning(response))

    def _beginning(self, response: httpx.Response) -> bytes:
        """Return the first bytes of a body, as many as came."""
        data = bytearray()
        with contextlib.suppress(NoAnswer):
            for chunk in self.chunks(response):
                data += chunk
                if len(data) >= READ_BYTES:
                    break
        return bytes(data[:READ_BYTES])

    def _pause(self, seconds: float) -> None:
        if self._monotonic() + seconds >= self._deadline:
            raise self._out_of_time()
        self._sleep(seconds)

    def _check_time(self) -> None:
        if self._monotonic() >= self._deadline:
            raise self._out_of_time()

    def _out_of_time(self) -> MediaUnreachable:
        return self.unreachable(f"not read within {self._limits.seconds:g} seconds")

    def _changed(self) -> MediaUnreachable:
        return self.unreachable("the file changed while it was read")

    def _over_budget(self, budget: str) -> MediaRejected:
        return MediaRejected(
            "scattered",
            f"{self.shown} cannot be understood within {budget}",
            hint="rewrite it without loss, the index first: ffmpeg -i IN -c copy -movflags +faststart OUT.mp4",
        )


def _https(url: str, *, base: httpx.URL | None = None) -> httpx.URL:
    try:
        joined = base.join(url) if base else httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise MediaRejected("bad-url", f"{redact_url(url)} is no URL", hint="look for a typo") from error
    if joined.scheme != "https" or not joined.host or (joined.port or 0) > MAX_PORT:
        whence = f"{redact_url(str(base))} redirects: " if base else ""
        raise MediaRejected(
            "not-https",
            f"{whence}{redact_url(str(joined))} is no https URL",
            hint="give the https URL of the file itself",
        )
    if joined.userinfo or (joined.port is not None and joined.port <= 0):
        raise MediaRejected(
            "bad-url",
            f"{redact_url(str(joined))} holds a user name or password, or no port that there is",
            hint="give a URL without them; a presigned URL lets Argil in",
        )
    return joined


def content_length(response: httpx.Response) -> int | None:
    """Return the length of the body in bytes, None where the host does not say."""
    length: str = response.headers.get("content-length", "")
    return int(length) if re.fullmatch(r"\d{1,18}", length) else None


def _words(error: httpx.TransportError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message}); is SSL_CERT_FILE needed?"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ProtocolError):
        return "the line was cut, or what came is not HTTP"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
