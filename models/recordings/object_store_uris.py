"""Recognizes the URLs of AWS S3, Google Cloud Storage and Azure Blob Storage, and names their object by its URI.

One object has many URLs: by path or by host, in a region, dual-stack, accelerated, or over another API. Its query
signs the request or selects a version or the headers of the response, so it is not part of the URI. Buckets of
other AWS partitions and of other Azure clouds are left out, because their names are not unique across partitions.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

URI_SCHEMES = frozenset({"s3", "gs", "az"})
"""The schemes of object URIs. A canonical Azure URI begins with the account's host: a container name has no dot."""
_URI = re.compile(rf"({'|'.join(sorted(URI_SCHEMES))})://([^/]*)/?(.*)", re.IGNORECASE | re.DOTALL)
_KEY_CHARACTERS = "/!$&'()*+,=:@"

_S3_HOST = re.compile(
    r"(?:(?P<bucket>.+)\.)?s3(?:-fips|-accelerate|-external-1)?(?:[.-]dualstack)?"
    r"(?:[.-](?!us-gov-)[a-z]{2}(?:-[a-z]+)+-\d)?\.amazonaws\.com"
)
_GCS_ENDPOINT = r"(?:storage(?:\.mtls|\.[a-z0-9-]+\.rep)?|content-storage)\.googleapis\.com"
_GCS_HOST = re.compile(
    rf"(?:(?P<bucket>.+)\.)?(?:{_GCS_ENDPOINT}|(?:storage-download|commondatastorage)\.googleapis\.com)"
    r"|storage\.cloud\.google\.com"
)
# The JSON APIs have the whole key in one segment.
_GCS_API_HOST = re.compile(rf"{_GCS_ENDPOINT}|(?:www|firebasestorage)\.googleapis\.com")
_GCS_API_PATH = re.compile(r"/(?:(?:download/)?storage/v1(?:beta2)?|v0)/b/(?P<bucket>[^/]+)/o/(?P<key>[^/]+)")
_AZURE_ENDPOINT = "blob.core.windows.net"
_AZURE_HOST = re.compile(r"(?P<account>[a-z0-9]{3,24})(?:-secondary)?\.(?:blob|dfs)\.core\.windows\.net")

_azure_account = ""


def configure_azure_account(name: str) -> None:
    """Set the account of the URIs `az://CONTAINER/KEY` for this process (AZURE_STORAGE_ACCOUNT_NAME)."""
    global _azure_account  # noqa: PLW0603  # a setting of the process, as the secrets in models/text/redaction.py
    _azure_account = name.strip().lower()


def object_uri(host: str, path: str) -> str | None:
    """Return the URI of the object that an HTTPS URL of a known store names, None for any other URL.

    Args:
        host: The canonical host, in lower case.
        path: The path, percent-encoded, without dot segments.

    """
    if match := _S3_HOST.fullmatch(host):
        # S3 decodes a plus sign in a path as a space: https://github.com/aws/aws-sdk-ruby/issues/654
        return _bucket_uri("s3", match["bucket"], path.replace("+", "%20"))
    if _GCS_API_HOST.fullmatch(host) and (api := _GCS_API_PATH.fullmatch(path)):
        return _uri("gs", _decode(api["bucket"]), _decode(api["key"]))
    if match := _GCS_HOST.fullmatch(host):
        return _bucket_uri("gs", match["bucket"], path)
    if match := _AZURE_HOST.fullmatch(host):
        container, separator, key = path[1:].partition("/")
        # A blob in the root container has no container in its URL.
        key = f"{_decode(container)}/{_decode(key)}" if separator else f"$root/{_decode(container)}"
        return _uri("az", f"{match['account']}.{_AZURE_ENDPOINT}", key)
    return None


def canonical_uri(uri: str) -> str | None:
    """Return the canonical form of a URI of an object, None for any other text.

    The key is everything after the bucket, also `?`, `#` and dot segments: an object URI has no query. It is
    percent-encoded as in any URI. `az://CONTAINER/KEY` is a blob of the configured account.
    """
    if not (match := _URI.fullmatch(uri)):
        return None
    scheme, bucket, key = match[1].lower(), _decode(match[2]), _decode(match[3])
    if scheme == "az" and _azure_account and "." not in bucket:
        return _uri(scheme, f"{_azure_account}.{_AZURE_ENDPOINT}", f"{bucket}/{key}")
    return _uri(scheme, bucket, key)


def _bucket_uri(scheme: str, bucket: str | None, path: str) -> str | None:
    """Return the URI of an object whose bucket is in the host name or, if it is None, in the path."""
    key = path[1:]
    if bucket is None:
        first, _, key = key.partition("/")
        bucket = _decode(first)
    return _uri(scheme, bucket, _decode(key)) if bucket and key else None


def _decode(text: str) -> str:
    # Latin-1 maps every byte to one character, so that keys that are not UTF-8 stay distinct.
    return unquote_to_bytes(text).decode("latin-1")


def _uri(scheme: str, bucket: str, key: str) -> str:
    bucket, key = (quote(text.encode("latin-1"), safe=_KEY_CHARACTERS) for text in (bucket, key))
    return f"{scheme}://{bucket}/{key}"
