"""Has a manifest: from a file of this machine, or from an https URL past the same guard as the videos; bounded."""

from __future__ import annotations

import ssl
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from clients.address_guard import GuardedTransport
from clients.range_requests import FetchLimits
from clients.remote_file import RemoteFile
from models.errors import InvalidManifest, MediaRejected, MediaUnreachable
from models.manifest import MAX_BYTES, ManifestRow, format_of, read_manifest, too_large
from models.redaction import redact_url

# A first look, the rest, and what attempts and redirects cost of them.
LIMITS = FetchLimits(requests=24, bytes=2 * MAX_BYTES, seconds=120.0)


def load_manifest(place: str, *, allowed_hosts: Collection[str] = ()) -> list[ManifestRow]:
    """Return the rows of the manifest at a path or https URL; it blocks: call it from a thread.

    Raises InvalidManifest where it cannot be had or read as a whole, and MediaUnreachable where its host gave no
    usable answer.
    """
    if "://" in place:
        try:
            form = format_of(urlsplit(place).path)
        except ValueError:
            raise InvalidManifest(f"{redact_url(place)} is no URL", hint="look for a typo") from None
        return read_manifest(fetch_manifest(place, allowed_hosts=allowed_hosts), form)
    form = format_of(place)
    try:
        with Path(place).expanduser().open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or "this is no path"
        raise InvalidManifest(
            f"the manifest {redact_url(place)} cannot be read: {why}", hint="look for a typo, and for its rights"
        ) from None
    return read_manifest(data, form)


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
