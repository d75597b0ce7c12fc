"""Checks remote recordings against the media rules, in a thread pool of its own."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import ssl
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Self

from media.ffmpeg.inspection import Inspect
from media.ffmpeg.inspector_pool import inspect_in_child
from media.images.image_pool import inspect_image_in_child
from media.images.inspection import InspectImage
from media.probe import ProbeResult, probe, probe_audio, probe_image
from media.remote.fetch_limits import DEFAULT_LIMITS, SYSTEM_CLOCK, FetchLimits
from media.remote.name_resolution import NameResolution, Resolver
from media.remote.ssrf_guard import PublicOnlyTransport, default_ssl_context
from media.stores.signing import SignedUrl
from models.clock import Clock
from models.errors import MediaRejected
from models.media.checks import check_rules
from models.media.facts import MediaFacts
from models.media.image_facts import ImageFacts
from models.media.report import MediaReport, rejected_result
from models.media.rules import DEFAULT_MEDIA_POLICY, MediaPolicy, MediaRole
from models.recordings.presigned_urls import check_expiry
from models.recordings.recording_secrets import protect_signed_urls, protect_urls

MAX_CONCURRENT_CHECKS = 8


class MediaChecker:
    """Checks remote recordings, at most MAX_CONCURRENT_CHECKS concurrently. Close it, or use it with `with`.

    It has its own threads, so that slow hosts do not occupy the threads in which asyncio
    resolves names. A check whose caller was cancelled ends within `limits.timeout_seconds`
    and the time limits of its child process.

    Args:
        allowed_hosts: Hosts that need not have a public address.
        policy: How strictly audio tracks and URL expiry are checked.
        sha256_of: Roles whose videos are read completely, for their SHA-256. Images always are.
        limits: The budget of each check.
        ssl_context: Verifies certificates. The default honours SSL_CERT_FILE.
        resolve: `socket.getaddrinfo`, or a function with the same signature.
        reference_host: Resolved before an unknown host is rejected: if it has no address either, this
            machine has no DNS, and the check is inconclusive. See `models.environment.reference_host`.
        inspect: Runs FFmpeg on the bytes fetched; by default in child processes that all checkers share.
        inspect_image: Inspects the bytes of an image; by default in such child processes of their own.
        clock: Measures the time budget, and determines URL expiry if the host sends no Date.
        sleep: Waits between attempts, in seconds. It blocks a thread, so it is not the clock's.
    """

    def __init__(
        self,
        *,
        allowed_hosts: Collection[str] = (),
        policy: MediaPolicy = DEFAULT_MEDIA_POLICY,
        sha256_of: Collection[MediaRole] = (),
        limits: FetchLimits = DEFAULT_LIMITS,
        ssl_context: ssl.SSLContext | None = None,
        resolve: Resolver = socket.getaddrinfo,
        reference_host: str | None = None,
        inspect: Inspect = inspect_in_child,
        inspect_image: InspectImage = inspect_image_in_child,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = partial(
            PublicOnlyTransport,
            ssl_context=ssl_context or default_ssl_context(),
            resolve=resolve,
            names=NameResolution(reference_host, resolve=resolve, clock=clock) if reference_host else None,
        )
        self._allowed_hosts = frozenset(allowed_hosts)
        self._policy = policy
        self._sha256_of = sha256_of
        self._clock = clock
        self._probe_video = partial(probe, inspect=inspect, limits=limits, clock=clock, sleep=sleep)
        self._probe_audio = partial(probe_audio, limits=limits, clock=clock, sleep=sleep)
        self._probe_image = partial(probe_image, inspect=inspect_image, limits=limits, clock=clock, sleep=sleep)
        self._executor = ThreadPoolExecutor(MAX_CONCURRENT_CHECKS, thread_name_prefix="media-check")

    async def check(self, url: str | SignedUrl, role: MediaRole) -> MediaReport:
        """Check a recording against every rule of `role`.

        The expiry of a URL that this process signed is not checked: Argil receives another one.

        Raises:
            MediaUnreachable: If the host gives no usable response.
            MediaNotInspected: If the child process ended or exceeded a limit.
            NetworkUnavailable: If this machine cannot resolve host names.
        """
        protection = protect_signed_urls([url.url]) if isinstance(url, SignedUrl) else protect_urls([url])
        with protection:
            check = partial(contextvars.copy_context().run, self._check_blocking, url, role)
            return await asyncio.get_running_loop().run_in_executor(self._executor, check)

    def _check_blocking(self, url: str | SignedUrl, role: MediaRole) -> MediaReport:
        signed = url if isinstance(url, SignedUrl) else SignedUrl(url)
        with self._transport(self._allowed_hosts | signed.trusted_hosts) as transport:
            try:
                result = self._probe(signed.url, role, transport)
            except MediaRejected as error:
                return MediaReport(role=role, facts=None, checks=(rejected_result(error, role),))
        checks = check_rules(result.facts, role, self._policy)
        expiry = None
        if isinstance(url, str):
            seconds = self._policy.url_min_validity_seconds
            expiry = check_expiry(url, role, now=result.host_time, min_validity_seconds=seconds)
        return MediaReport(
            role=role,
            facts=result.facts,
            checks=(*checks, expiry) if expiry else tuple(checks),
            requests=result.requests,
            bytes_fetched=result.bytes_fetched,
        )

    def _probe(
        self, url: str, role: MediaRole, transport: PublicOnlyTransport
    ) -> ProbeResult[MediaFacts] | ProbeResult[ImageFacts]:
        if role is MediaRole.VOICE_SAMPLE:
            return self._probe_audio(url, transport=transport)
        if role is MediaRole.IMAGE:
            return self._probe_image(url, transport=transport)
        return self._probe_video(url, role, transport=transport, with_sha256=role in self._sha256_of)

    def close(self) -> None:
        """Stop accepting checks. Running checks finish in the background."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
