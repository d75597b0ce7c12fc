"""Fetches a manifest from an https URL, bounded, past the same guard as the videos."""

from __future__ import annotations

import ssl
from collections.abc import Collection

from clients.address_guard import GuardedTransport
from clients.range_requests import FetchLimits
from clients.remote_file import RemoteFile
from models.errors import InvalidManifest, MediaRejected, MediaUnreachable
from models.manifest import MAX_BYTES, too_large

# A first look, the rest, and what attempts and redirects cost of them.
LIMITS = FetchLimits(requests=24, bytes=2 * MAX_BYTES, seconds=120.0)


def fetch_manifest(
    url: str,
    *,
    allowed_hosts: Collection[str] = (),
    ssl_context: ssl.SSLContext | None = None,
    limits: FetchLimits = LIMITS,
) -> bytes:
    """Return the whole file behind the URL; it blocks: call it from a thread.

    Raises InvalidManifest for a definite no (also for an address that is not public, or a file past
    MAX_BYTES), and MediaUnreachable where the host gave no usable answer.
    """
    try:
        with (
            GuardedTransport(allowed_hosts, ssl_context=ssl_context) as transport,
            RemoteFile(url, transport=transport, download_limit_bytes=MAX_BYTES, limits=limits) as file,
        ):
            if file.size > MAX_BYTES:
                raise too_large()
            file.fetch(0, file.size)
            return file.read()
    except MediaRejected as error:
        raise InvalidManifest(f"the manifest cannot be had: {error.message}", hint=error.hint) from None
    except MediaUnreachable as error:
        raise MediaUnreachable(
            f"the manifest cannot be had: {error.message}",
            hint="see whether the manifest's host is well, then start the batch again",
        ) from None
