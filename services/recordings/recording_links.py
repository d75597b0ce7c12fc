"""The URLs that Argil receives: an HTTPS address as it is, and a signed URL for each object in a store."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from models.errors import MediaRejected, RecordingChanged, StoreUnavailable
from models.media.rules import MediaRole
from models.provisioning import Provisioning
from models.recordings.addresses import is_object_uri, source_problem
from models.recordings.recording_secrets import protect_signed_urls
from services.context import AppContext
from services.run_log import log_to_run

MAX_AGE_SECONDS = 60.0
"""How long after the check of an object its URL is sent at most; a pause of all requests may delay it."""


class RecordingLinks:
    """The URLs of one submission, whose signatures are redacted while this context manager is open.

    Args:
        context: The context of this process.
        provisioning: The provisioning, with the facts of its media check.
        recordings: The addresses of the recordings of one request to Argil, by role.

    """

    def __init__(
        self, context: AppContext, provisioning: Provisioning, recordings: Mapping[MediaRole, str]
    ) -> None:
        self._context = context
        self._provisioning = provisioning
        self._recordings = recordings
        self._protections = contextlib.ExitStack()
        self._urls: Mapping[MediaRole, str] = {}
        self._made_at = 0.0
        self._is_sent = False

    async def renew(self) -> None:
        """Sign a URL for each object, if it is still the one that was checked.

        Raises:
            RecordingChanged: An object changed, or can no longer be read.
            StoreUnavailable: A store gives no access, or no URL can be signed.
            NetworkUnavailable: This machine cannot resolve host names.

        """
        recordings = self._recordings
        urls = await asyncio.gather(*(self._link(role, address) for role, address in recordings.items()))
        signed = [url for url, address in zip(urls, recordings.values(), strict=True) if url != address]
        if signed:
            self._protections.enter_context(protect_signed_urls(signed))
        self._urls = dict(zip(recordings, urls, strict=True))
        self._made_at = self._context.clock.monotonic()
        self._is_sent = False

    async def take(self) -> Mapping[MediaRole, str]:
        """Return the URLs for one attempt: signed again if they were sent before or are too old. See `renew`."""
        if self._is_sent or self._context.clock.monotonic() - self._made_at > MAX_AGE_SECONDS:
            await self.renew()
        self._is_sent = True
        return self._urls

    async def _link(self, role: MediaRole, address: str) -> str:
        if not is_object_uri(address):
            return address
        if problem := source_problem(address, self._context.settings.sources):
            raise StoreUnavailable(
                f"the {role} recording {address} {problem}",
                hint="add the bucket to AVATARS_SOURCES of this process",
            )
        await self._require_unchanged(role, address)
        signed = await self._context.url_signer.sign(address)
        if signed.warning:
            _warn_once(signed.warning)
        return signed.url

    async def _require_unchanged(self, role: MediaRole, address: str) -> None:
        facts: Mapping[str, Any] = (self._provisioning.media_facts or {}).get(role.value) or {}
        etag = facts.get("etag")
        # If-Match compares strongly, so it never matches a weak ETag (RFC 9110, 13.1.1).
        if_match = etag if etag and not etag.startswith("W/") else None
        try:
            version = await self._context.object_reader.read_version(address, if_match)
        except MediaRejected as error:
            if facts:
                raise RecordingChanged(f"the {role} recording can no longer be read: {error.message}") from None
            raise StoreUnavailable(
                error.message, hint=error.hint
            ) from None  # the media check is off, or only warns
        is_same = version is not None and (
            not facts
            or (
                (etag is None or version.etag in {None, etag})
                and version.size_bytes in {None, facts.get("size_bytes")}
            )
        )
        if not is_same:
            raise RecordingChanged(f"the {role} recording changed after it was checked")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._protections.__exit__(kind, error, traceback)


@functools.cache
def _warn_once(warning: str) -> None:
    log_to_run("%s", warning, level=logging.WARNING)
