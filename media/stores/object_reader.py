"""Reads what a store tells about an object without its content: whether it can be read, its ETag and its size."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import ssl
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import NamedTuple, Self

import httpx

from media.remote.fetch_errors import describe_transport_error
from media.remote.name_resolution import NameResolution, Resolver
from media.remote.ssrf_guard import PublicOnlyTransport, default_ssl_context
from media.stores.signing import SignedUrl, UrlSigner
from media.stores.store_errors import StoreAnswer, answer_error, archived_error
from models.clock import Clock, SystemClock
from models.environment.user_agent import USER_AGENT
from models.errors import MediaRejected, StoreUnavailable
from models.retry import delay_seconds, retry_after_seconds

MAX_CONCURRENT_REQUESTS = 8
MAX_ATTEMPTS = 3
MAX_ERROR_BODY_BYTES = 4096
URL_SECONDS = 300
"""Lifetime of the URLs of these requests; nothing outside this module uses them."""
TIMEOUT = httpx.Timeout(15.0)
_TEMPORARY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


class ObjectVersion(NamedTuple):
    """What identifies the content of an object; None if the store does not tell."""

    etag: str | None
    size_bytes: int | None


class ObjectReader:
    """Sends HEAD requests for objects. Close it, or use it as a context manager.

    It has its own threads, like the media checker, and the same SSRF guard. It follows no redirect: a store
    redirects to another region, where the signature is not valid.

    Args:
        signer: Signs the URLs.
        allowed_hosts: Hosts that need not have a public address, besides that of AVATARS_S3_ENDPOINT.
        ssl_context: Verifies certificates. The default honours SSL_CERT_FILE.
        resolve: `socket.getaddrinfo`, or a function with the same signature.
        reference_host: See MediaChecker.
        clock: The clock of the signatures, which is that of the system.
        sleep: Waits between attempts, in seconds. It blocks a thread.

    """

    def __init__(
        self,
        signer: UrlSigner,
        *,
        allowed_hosts: Collection[str] = (),
        ssl_context: ssl.SSLContext | None = None,
        resolve: Resolver = socket.getaddrinfo,
        reference_host: str | None = None,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._signer = signer
        self._allowed_hosts = frozenset(allowed_hosts)
        self._clock = clock or SystemClock()
        self._transport = partial(
            PublicOnlyTransport,
            ssl_context=ssl_context or default_ssl_context(),
            resolve=resolve,
            names=NameResolution(reference_host, resolve=resolve, clock=self._clock) if reference_host else None,
        )
        self._sleep = sleep
        self._executor = ThreadPoolExecutor(MAX_CONCURRENT_REQUESTS, thread_name_prefix="object-head")

    async def read_version(self, uri: str, if_match: str | None = None) -> ObjectVersion | None:
        """Return the version of an object that can be read; None if its ETag is no longer `if_match`.

        Raises:
            MediaRejected: The object does not exist, or is in an archive.
            StoreUnavailable: The store gives no access, or no usable response.
            NetworkUnavailable: This machine cannot resolve host names.

        """
        head = await self._signer.sign(uri, "HEAD", max_seconds=URL_SECONDS)
        answer = await self._send("HEAD", uri, head, {"If-Match": if_match} if if_match else {})
        if answer.status == HTTPStatus.PRECONDITION_FAILED and if_match:
            return None
        if answer.status != HTTPStatus.OK:
            # The response to a HEAD has no body, so a GET of one byte asks for the cause.
            get = await self._signer.sign(uri, "GET", max_seconds=URL_SECONDS)
            explained = await self._send("GET", uri, get, {"Range": "bytes=0-0"})
            is_error = explained.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}
            raise answer_error(uri, explained if is_error else answer, self._clock.now())
        if archived := archived_error(uri, answer.headers):
            raise archived
        length = answer.headers.get("content-length", "")
        version = ObjectVersion(answer.headers.get("etag"), int(length) if length.isdecimal() else None)
        # A store or proxy may ignore If-Match.
        return None if if_match and version.etag not in {None, if_match} else version

    async def _send(self, method: str, uri: str, signed: SignedUrl, headers: dict[str, str]) -> StoreAnswer:
        send = partial(contextvars.copy_context().run, self._send_blocking, method, uri, signed, headers)
        return await asyncio.get_running_loop().run_in_executor(self._executor, send)

    def _send_blocking(self, method: str, uri: str, signed: SignedUrl, headers: dict[str, str]) -> StoreAnswer:
        request = httpx.Request(
            method,
            signed.url,
            headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity", **headers},
            extensions={"timeout": TIMEOUT.as_dict()},
        )
        with self._transport(self._allowed_hosts | signed.trusted_hosts) as transport:
            for attempt in range(1, MAX_ATTEMPTS + 1):
                wait: float | None = None
                try:
                    answer = _read_answer(transport.handle_request(request))
                except httpx.TransportError as error:
                    cause = describe_transport_error(error)
                except MediaRejected as error:  # the SSRF guard
                    raise StoreUnavailable(
                        f"{uri}: {error.message}",
                        hint="set AVATARS_S3_ENDPOINT to the address of the store, which then need not be public",
                    ) from None
                else:
                    if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR and answer.status not in _TEMPORARY:
                        return answer
                    wait = retry_after_seconds(answer.status, dict(answer.headers), self._clock.now())
                    cause = f"{answer.status} {httpx.codes.get_reason_phrase(answer.status)}".strip()
                if attempt < MAX_ATTEMPTS:
                    self._sleep(delay_seconds(attempt, wait))
        raise StoreUnavailable(
            f"{uri}: the store gave no usable response in {MAX_ATTEMPTS} attempts; last error: {cause}",
            hint="check this machine's network, the store and AVATARS_S3_ENDPOINT, then run `avatars resume ID`",
        )

    def close(self) -> None:
        """Stop accepting requests. Those in progress finish in the background."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _read_answer(response: httpx.Response) -> StoreAnswer:
    """Return the answer, with the first bytes of the body only if it is an error."""
    body = bytearray()
    try:
        if not response.is_success:
            for chunk in response.iter_raw():
                body += chunk
                if len(body) >= MAX_ERROR_BODY_BYTES:
                    break
    except httpx.TransportError:
        pass  # the status is known; the body only explains it
    finally:
        response.close()
    return StoreAnswer(response.status_code, response.headers, bytes(body[:MAX_ERROR_BODY_BYTES]))
