"""The addresses of recordings: HTTPS URLs, and URIs of objects in stores that AVATARS_SOURCES allows.

A URI is percent-encoded as any URI (RFC 3986) and has no query: `s3://bucket/folder/Ada%20Lovelace.mp4`. It is
stored and shown as it is. A URL that a store signs for it exists only in memory.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from models.recordings.object_store_uris import URI_SCHEMES
from models.text.normalization import refuse_hidden_characters

MAX_KEY_BYTES = 1024
"""The longest key of AWS S3, Google Cloud Storage and Azure Blob Storage, in UTF-8."""
ADDRESS_PATTERN = "^(https|s3|gs|az)://"
"""How the address of a recording begins, for the JSON schema of a form."""

_SCHEMES = "https://, s3://, gs:// or az://"
_URI = re.compile(rf"(?P<scheme>{'|'.join(sorted(URI_SCHEMES))})://(?P<bucket>[^/]*)(?:/(?P<key>.*))?", re.DOTALL)
_ANY_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://", re.IGNORECASE)
# A Windows path begins with the letter of a drive, or with \\ and the name of a server.
_LOCAL_PATH = re.compile(r"(?:/|\./|\.\./|~|file:|[a-z]:[\\/]|\\\\)", re.IGNORECASE)
# Stores that are compatible with S3 permit capital letters and underscores, which AWS does not.
_BUCKET = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,220}[A-Za-z0-9])?")
_AZURE_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9])+|\$root|\$web")
_INVALID_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_REPLACEMENTS = {"#": "%23", "\\": "%5C"}
_URI_REPLACEMENTS = {"?": "%3F", **_REPLACEMENTS}


@dataclass(frozen=True, slots=True)
class ObjectAddress:
    """An object in a store.

    Attributes:
        scheme: `s3`, `gs` or `az`.
        bucket: The bucket, or the container of Azure.
        segments: The decoded key between its slashes; no segment is empty, `.` or `..`.

    """

    scheme: str
    bucket: str
    segments: tuple[str, ...]

    @property
    def key(self) -> str:
        """The decoded key."""
        return "/".join(self.segments)

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Return the object that a URI names.

        Raises:
            ValueError: The URI is malformed, or its key could name another object to another program.
        """
        scheme, bucket, key = _split_uri(uri)
        if not key:
            raise ValueError(f"must name an object, for example {scheme}://{bucket}/ada.mp4")
        return cls(scheme, bucket, _decode_segments(scheme, key))


@dataclass(frozen=True, slots=True)
class SourcePrefix:
    """An entry of AVATARS_SOURCES: a bucket, and the first segments of the keys that it allows."""

    scheme: str
    bucket: str
    segments: tuple[str, ...]

    @classmethod
    def parse(cls, prefix: str) -> Self:
        """Return the entry for a text such as `s3://bucket` or `s3://bucket/folder/`. Raises ValueError."""
        scheme, bucket, key = _split_uri(prefix)
        if "*" in key:  # as in patterns of other programs; a folder with this name is written as %2A
            raise ValueError(f"it has a wildcard, but an entry allows all keys below it; it is {prefix!r}")
        if len(key) > 1:
            key = key.removesuffix("/")
        return cls(scheme, bucket, _decode_segments(scheme, key) if key else ())

    def address_of(self, name: str) -> str:
        """Return the URI of an object with this name in the folder."""
        key = "/".join(quote(segment, safe="") for segment in (*self.segments, name))
        return f"{self.scheme}://{self.bucket}/{key}"

    def contains(self, address: ObjectAddress) -> bool:
        """Whether it allows an object: the same bucket, and a key that begins with the same whole segments."""
        count = len(self.segments)
        return (self.scheme, self.bucket, self.segments) == (
            address.scheme,
            address.bucket,
            address.segments[:count],
        )


def is_object_uri(address: str) -> bool:
    """Whether the address of a recording is the URI of an object, not an HTTPS URL."""
    return _URI.fullmatch(address) is not None


def parse_sources(texts: Collection[str]) -> frozenset[SourcePrefix]:
    """Return the entries of AVATARS_SOURCES. Raises ValueError with the entry that is malformed."""
    sources = []
    for text in texts:
        try:
            sources.append(SourcePrefix.parse(text))
        except ValueError as error:
            raise ValueError(
                f"each entry must be a bucket or a folder in it, such as s3://bucket/folder/: {error}"
            ) from None
    return frozenset(sources)


def source_problem(address: str, sources: Collection[SourcePrefix]) -> str:
    """Return why AVATARS_SOURCES does not allow a valid address; empty if it does. HTTPS URLs need no entry."""
    if not is_object_uri(address):
        return ""
    parsed = ObjectAddress.parse(address)
    if any(source.contains(parsed) for source in sources):
        return ""
    if not sources:
        return "must be an https URL, because AVATARS_SOURCES lists no bucket"
    return (
        "must be in a bucket and folder that AVATARS_SOURCES lists; the bucket and each segment of the key are "
        "compared exactly"
    )


def validate_address(address: str) -> str:
    """Return the address of a recording unchanged: an HTTPS URL, or the URI of an object.

    Raises:
        ValueError: It breaks a rule of its kind, or is neither.
    """
    if is_object_uri(address):
        ObjectAddress.parse(address)
        return address
    if address.startswith("https://"):
        return validate_https_url(address)
    raise ValueError(_neither_problem(address))


def validate_https_url(url: str) -> str:
    """Return an HTTPS URL unchanged. Raises ValueError with the rule that it breaks."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError("must be a valid URL") from error
    if parts.scheme.lower() != "https" or not url.startswith("https://"):
        raise ValueError("must begin with https://")
    if not host:
        raise ValueError("must name a host")
    # RFC 3986 lets a program decode the host, which turns h.example%2Fq into h.example/q.
    if "%" in unicodedata.normalize("NFKC", host):
        raise ValueError("must not contain % in its host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a user name or password")
    _refuse_characters(url, _REPLACEMENTS)  # a host never receives what follows a #; programs disagree about \
    return url


def _neither_problem(address: str) -> str:
    if not address.strip():
        return "must not be empty"
    if _LOCAL_PATH.match(address):
        return f"must begin with {_SCHEMES}: the path of a local file is accepted by the commands of `avatars` only"
    if (match := _ANY_SCHEME.match(address)) and match["scheme"].lower() in URI_SCHEMES:
        return f"must begin with {match['scheme'].lower()}:// in lower case"
    return f"must begin with {_SCHEMES}"


def _split_uri(uri: str) -> tuple[str, str, str]:
    match = _URI.fullmatch(uri)
    if match is None:
        raise ValueError("must begin with s3://, gs:// or az://")
    _refuse_characters(uri, _URI_REPLACEMENTS)  # a URI has no query, so a ? would be lost where queries are removed
    scheme, bucket = match["scheme"], match["bucket"]
    if scheme == "az" and not _AZURE_CONTAINER.fullmatch(bucket):
        raise ValueError(
            "must be az://CONTAINER/KEY, with the name of a container of the account AZURE_STORAGE_ACCOUNT_NAME"
        )
    if not _BUCKET.fullmatch(bucket) and scheme != "az":
        raise ValueError(f"must be {scheme}://BUCKET/KEY, with the name of a bucket")
    return scheme, bucket, match["key"] or ""


def _refuse_characters(address: str, replacements: dict[str, str]) -> None:
    if " " in address:
        raise ValueError("must not contain a space: in the name of a file it must be written %20")
    if any(character.isspace() or not character.isprintable() for character in address):
        raise ValueError("must not contain white space or control characters")
    refuse_hidden_characters(address)  # the others are letters or marks by category
    for character, replacement in replacements.items():
        if character in address:
            raise ValueError(
                f"must not contain {character}: in the name of a file it must be written {replacement}"
            )


def _decode_segments(scheme: str, key: str) -> tuple[str, ...]:
    """Return the segments of a key. Raises ValueError if stores, proxies or people could read another key."""
    if _INVALID_ESCAPE.search(key):
        raise ValueError("must not contain a lone %: in the name of a file it must be written %25")
    try:
        decoded = unquote(key, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("must have a key in UTF-8") from None
    if len(decoded.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"must have a key of at most {MAX_KEY_BYTES:,} bytes")
    segments = tuple(decoded.split("/"))
    for rule, is_broken in _SEGMENT_RULES:
        if any(map(is_broken, segments)):
            raise ValueError(rule)
    # Azure removes dots at the end of a segment.
    if scheme == "az" and any(segment.endswith(".") for segment in segments):
        raise ValueError("must not have a segment that ends with a dot, which Azure removes")
    return segments


def _is_dot_segment(segment: str) -> bool:
    """Whether a segment is `.` or `..`, also if it is percent-encoded once or twice more: a proxy may decode it."""
    return not {segment, unquote(segment), unquote(unquote(segment))}.isdisjoint({".", ".."})


_SEGMENT_RULES: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("must not have an empty segment: two slashes in a row, or one at the end", lambda segment: not segment),
    ("must not have the segment . or .., also not as %2e", _is_dot_segment),
    (
        "must not contain a backslash, a line break or a control character, also not percent-encoded",
        lambda segment: "\\" in segment or not segment.isprintable(),
    ),
)
