"""Loads a manifest from a local file, or from an HTTPS URL through the SSRF guard. The size is limited."""

from __future__ import annotations

import ssl
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from media.name_resolution import NameResolution
from media.range_client import FetchLimits
from media.remote_file import RemoteFile
from media.ssrf_guard import PublicOnlyTransport
from models.errors import InvalidManifest, MediaRejected, MediaUnreachable
from models.manifest import MAX_BYTES, ManifestRow, detect_format, manifest_too_large_error, parse_manifest
from models.recording_secrets import protect_urls
from models.redaction import redact_url

# The first range, the rest, and room for retries and redirects of both.
MANIFEST_FETCH_LIMITS = FetchLimits(max_requests=24, max_bytes=2 * MAX_BYTES, timeout_seconds=120.0)


def load_manifest(
    path_or_url: str, *, allowed_hosts: Collection[str] = (), reference_host: str | None = None
) -> list[ManifestRow]:
    """Read and parse a manifest. Blocks; call it from a thread.

    Args:
        path_or_url: A local path or an HTTPS URL. Its suffix determines the format.
        allowed_hosts: Hosts that need not have a public address.
        reference_host: Tells an unknown host from a machine without DNS; see `models.reference_host`.

    Raises:
        InvalidManifest: If the manifest cannot be read, is too large or cannot be parsed.
        MediaUnreachable: If the host of the URL gives no usable response.
        NetworkUnavailable: If this machine cannot resolve host names.
    """
    if "://" in path_or_url:
        if "#" in path_or_url:
            raise InvalidManifest(
                f"{redact_url(path_or_url)} is cut at a #", hint="in the name of a file it must be written %23"
            )
        try:
            form = detect_format(urlsplit(path_or_url).path)
        except ValueError:
            raise InvalidManifest(
                f"{redact_url(path_or_url)} is not a valid URL", hint="check it for typos"
            ) from None
        with protect_urls([path_or_url]):
            data = fetch_manifest(path_or_url, allowed_hosts=allowed_hosts, reference_host=reference_host)
        return parse_manifest(data, form)
    form = detect_format(path_or_url)
    try:
        with Path(path_or_url).expanduser().open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:
        cause = getattr(error, "strerror", None) or "not a valid path"
        raise InvalidManifest(
            f"cannot read the manifest {redact_url(path_or_url)}: {cause}",
            hint="check the path and the file's permissions",
        ) from None
    return parse_manifest(data, form)


def fetch_manifest(
    url: str,
    *,
    allowed_hosts: Collection[str] = (),
    reference_host: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    limits: FetchLimits = MANIFEST_FETCH_LIMITS,
) -> bytes:
    """Download the file at an HTTPS URL. Blocks; call it from a thread.

    Raises:
        InvalidManifest: If the host rejects the request, its address is not public, or the file is
            larger than MAX_BYTES.
        MediaUnreachable: If the host gives no usable response.
        NetworkUnavailable: If this machine cannot resolve host names.
    """
    names = NameResolution(reference_host) if reference_host else None
    try:
        with (
            PublicOnlyTransport(allowed_hosts, ssl_context=ssl_context, names=names) as transport,
            RemoteFile(url, transport=transport, download_limit_bytes=MAX_BYTES, limits=limits) as file,
        ):
            if file.size > MAX_BYTES:
                raise manifest_too_large_error()
            file.fetch(0, file.size)
            return file.read()
    except MediaRejected as error:
        raise InvalidManifest(f"cannot download the manifest: {error.message}", hint=error.hint) from None
    except MediaUnreachable as error:
        raise MediaUnreachable(
            f"cannot download the manifest: {error.message}",
            hint="check this machine's network and the manifest's host, then start the batch again",
        ) from None
