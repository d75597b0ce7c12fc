"""The HTTPS URLs of the objects at AVATARS_S3_ENDPOINT: the bucket is in the path or in the host."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_BUCKET_IN_HOST = re.compile(r"[a-z0-9][a-z0-9.-]*")
"""A host name has no capital letters and no underscores."""
_URI = re.compile(r"s3://(?P<bucket>[^/]+)/(?P<key>.+)", re.DOTALL)
_DEFAULT_PORT = 443

_endpoint: tuple[str, int | None] | None = None


def configure_s3_endpoint(url: str | None) -> None:
    """Set the endpoint of the URIs `s3://` for this process (AVATARS_S3_ENDPOINT); None for AWS."""
    global _endpoint  # noqa: PLW0603  # a setting of the process, as the account in models/recordings/object_store_uris.py
    parts = urlsplit(url or "")
    host = (parts.hostname or "").rstrip(".")
    port = parts.port if parts.port != _DEFAULT_PORT else None
    _endpoint = (f"[{host}]" if ":" in host else host, port) if host else None


def has_endpoint() -> bool:
    """Whether the URIs `s3://` of this process are at a configured endpoint."""
    return _endpoint is not None


def endpoint_urls(uri: str) -> tuple[str, ...]:
    """Return the HTTPS URLs of the object with this canonical URI at the endpoint; none for other stores."""
    match = _URI.fullmatch(uri)
    if match is None or _endpoint is None or not _BUCKET.fullmatch(match["bucket"]):
        return ()
    host, port = _endpoint
    authority = host if port is None else f"{host}:{port}"
    in_path = f"https://{authority}/{match['bucket']}/{match['key']}"
    if not _BUCKET_IN_HOST.fullmatch(match["bucket"]):
        return (in_path,)
    return in_path, f"https://{match['bucket']}.{authority}/{match['key']}"


def endpoint_uri(host: str, port: int | None, path: str) -> str | None:
    """Return the URI, as a person would write it, of the object that an HTTPS URL of the endpoint names.

    Args:
        host: The canonical host, in lower case.
        port: The port; None for the default one.
        path: The path, percent-encoded, without dot segments.

    Returns:
        The URI; None for a URL of any other host, and for one that names no object.
    """
    if _endpoint is None or port != _endpoint[1]:
        return None
    endpoint_host = _endpoint[0]
    key = path.removeprefix("/")
    if host == endpoint_host:
        bucket, _, key = key.partition("/")
    elif host.endswith(f".{endpoint_host}"):
        bucket = host.removesuffix(f".{endpoint_host}")
    else:
        return None
    return f"s3://{bucket}/{key}" if _BUCKET.fullmatch(bucket) and key else None
