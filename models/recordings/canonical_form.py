"""One canonical form for every URL and URI that names the same recording.

It is the normal form of RFC 3986 (6.2.2 and 6.2.3) without the parameters that sign the URL, or the URI of the
object for a URL of AWS S3, Google Cloud Storage or Azure. It can contain a query; `shown_form` has none.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
import socket
from collections.abc import Collection, Iterator
from functools import lru_cache
from urllib.parse import SplitResult, quote, unquote, unquote_to_bytes, urlsplit

from models.recordings.endpoint_uris import endpoint_uri, endpoint_urls, has_endpoint
from models.recordings.object_store_uris import canonical_uri, object_uri
from models.recordings.service_urls import common_form
from models.recordings.signature_parameters import RECORDING_EXTENSION, SIGNATURE_SCHEMES, names_recording

_DEFAULT_PORTS = {"https": 443, "http": 80}
# RFC 3986 pchar without the semicolon, which begins a path parameter.
_SEGMENT_CHARACTERS = "!$&'()*+,=:@"
_NUMERIC_HOST = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}", re.IGNORECASE)
# Servers in Java drop path parameters, also where the path names a file: /a.mp4;v=1 is /a.mp4.
_SESSION_PARAMETER = re.compile(r";jsessionid=[^;/]*", re.IGNORECASE)
# The atomic group keeps the match linear: only the first extension before a semicolon counts.
_FILE_PARAMETERS = re.compile(
    rf"(?>(.+?{RECORDING_EXTENSION})(?=;))(?:;[^;=]+=[^;]*)*+;?", re.IGNORECASE | re.DOTALL
)
_JWT = re.compile(r"eyJ[\w-]*\.([\w-]+)\.[\w-]*")
# The registered claims (RFC 7519, 4.1) that differ each time a token is issued; `jti` may also be the file's id.
_TIME_CLAIMS = {"exp", "nbf", "iat"}

MAX_URL_CHARACTERS = 8192
"""Of the URL of a recording. The normal form of a host with many combining marks takes quadratic time."""
CACHED_URLS = 4096
"""Canonical forms that are kept: the identity of one recording is needed about 20 times on its way to READY."""

_configured_parameters: frozenset[str] = frozenset()


def configure_signature_parameters(names: Collection[str]) -> None:
    """Set the further query parameters that sign, for this process (AVATARS_SIGNATURE_PARAMETERS)."""
    global _configured_parameters  # noqa: PLW0603  # a setting of the process, as the secrets in models/text/redaction.py
    _configured_parameters = frozenset(name.lower() for name in names)


def canonical_form(recording: str) -> str:
    """Return the form that all URLs and URIs of one recording share.

    It can contain a query, so it must not be shown or stored: `shown_form` has none, models/recordings/identity.py
    has its digest. Text that is neither a URL nor a URI of an object, or too long for one, is returned as it is.
    """
    try:
        if uri := canonical_uri(recording):
            return uri
        return _canonical_url(recording, _configured_parameters)
    except ValueError:
        return recording


def split_url(url: str) -> SplitResult:
    """Return the parts of a URL. Raises ValueError if it is malformed or has more than MAX_URL_CHARACTERS."""
    if len(url) > MAX_URL_CHARACTERS:
        raise ValueError(f"must have at most {MAX_URL_CHARACTERS:,} characters")
    return urlsplit(url)


def shown_form(recording: str) -> str:
    """Return the canonical form without its query, for people and for the ledger."""
    return re.split(r"[?#]", canonical_form(recording), maxsplit=1)[0]


def equivalent_forms(recording: str) -> frozenset[str]:
    """Return the canonical forms of all addresses of one recording.

    There is more than one for an object at AVATARS_S3_ENDPOINT: its URI, and its HTTPS URLs with the bucket in the
    path and in the host. Each keeps its own canonical form, so that the setting changes no identity on record.
    """
    form = canonical_form(recording)
    uri = _uri_at_endpoint(recording) if has_endpoint() else None
    return frozenset({form}) if uri is None else frozenset({form, uri, *map(canonical_form, endpoint_urls(uri))})


def _uri_at_endpoint(recording: str) -> str | None:
    """Return the canonical URI of an object at the endpoint, None for any other recording.

    An HTTPS URL of AWS is another one, and so is a URL whose query selects something.
    """
    if (uri := canonical_uri(recording)) is not None:
        return uri
    try:
        parts = split_url(recording)
        host, path = _canonical_host(parts.hostname or ""), _without_dot_segments(parts.path)
        port = parts.port if parts.port != _DEFAULT_PORTS["https"] else None
    except ValueError:
        return None
    uri = endpoint_uri(host, port, path) if parts.scheme.lower() == "https" else None
    if uri is None or any(_selecting_parameters(host, path, parts.query, _configured_parameters)):
        return None
    return canonical_uri(uri)


@lru_cache(maxsize=CACHED_URLS)
def _canonical_url(url: str, configured_parameters: frozenset[str]) -> str:
    """Return the canonical form of an HTTP URL, any other text as it is. Raises ValueError if it is malformed."""
    parts = split_url(url)
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS or not parts.hostname:
        return url
    host = _canonical_host(parts.hostname or "")
    port = parts.port if parts.port != _DEFAULT_PORTS[scheme] else None
    path = _without_dot_segments(parts.path)
    if port is None and (uri := object_uri(host, path)):
        return uri
    path = _canonical_path(path)
    if port is None:
        host, path = common_form(host, path)
    parameters = _selecting_parameters(host, path, parts.query, configured_parameters)
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters)
    authority = host if port is None else f"{host}:{port}"
    return f"{scheme}://{authority}{path}{'?' if query else ''}{query}"


def _canonical_host(host: str) -> str:
    host = unquote(host).lower().rstrip(".")
    if not host.isascii():
        try:
            host = _ascii_host(host)
        except UnicodeError:
            return host
    if ":" in host:
        address = ipaddress.IPv6Address(host)
        return str(address.ipv4_mapped) if address.ipv4_mapped else f"[{address.compressed}]"
    if _NUMERIC_HOST.fullmatch(host):
        try:
            return str(ipaddress.IPv4Address(socket.inet_aton(host)))
        except OSError:
            return host
    return host


def _ascii_host(host: str) -> str:
    import idna  # noqa: PLC0415  # its tables take longer to import than all of models/

    try:
        return idna.encode(host, uts46=True).decode().rstrip(".")
    except idna.IDNAError:
        # IDNA 2008 forbids emoji, but DNS and browsers have such hosts: https://unicode.org/faq/idn.html
        labels = idna.uts46_remap(host, std3_rules=False).rstrip(".").split(".")
        return ".".join(
            label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels
        )


def _without_dot_segments(path: str) -> str:
    """Return an absolute path without its dot segments (RFC 3986, 5.2.4), also percent-encoded ones."""
    kept: list[str] = []
    segments = path.split("/")[1:] or [""]
    for segment in segments:
        decoded = unquote_to_bytes(segment)
        if decoded == b"..":
            del kept[-1:]
        elif decoded != b".":
            kept.append(segment)
    if unquote_to_bytes(segments[-1]) in {b".", b".."}:
        kept.append("")
    return "/" + "/".join(kept)


def _canonical_path(path: str) -> str:
    """Return a path with one encoding per segment, and without repeated slashes and path parameters."""
    *folders, name = _SESSION_PARAMETER.sub("", path)[1:].split("/")
    if parameters := _FILE_PARAMETERS.fullmatch(name):
        name = parameters[1]
    segments = [*filter(None, folders), name]
    return "/" + "/".join(quote(unquote_to_bytes(segment), safe=_SEGMENT_CHARACTERS) for segment in segments)


def is_signed(recording: str) -> bool:
    """Whether the address of a recording is a URL that carries a signature, which ends at some time."""
    try:
        parts = split_url(recording)
        host, path = _canonical_host(parts.hostname or ""), _without_dot_segments(parts.path)
    except ValueError:
        return False
    if parts.scheme.lower() not in _DEFAULT_PORTS or not parts.query:
        return False
    dropped, prefixes, parameters = _signing_parameters(host, path, parts.query, _configured_parameters)
    return any(name in dropped or name.startswith(prefixes) for name, _, _ in parameters)


def _signing_parameters(
    host: str, path: str, query: str, configured_parameters: frozenset[str]
) -> tuple[frozenset[str], tuple[str, ...], list[tuple[str, bytes, bytes]]]:
    """Return the names and prefixes of the parameters that sign, and all parameters, with their lower-case name."""
    decoded = [
        tuple(unquote_to_bytes(part) for part in item.replace("+", "%20").partition("=")[::2])
        for item in query.split("&")
        if item
    ]
    parameters = [(name.decode("latin-1").lower(), name, value) for name, value in decoded]
    values = {lower_name: value.decode("latin-1") for lower_name, _, value in parameters}
    schemes = [scheme for scheme in SIGNATURE_SCHEMES if scheme.applies(host, path, values)]
    dropped = configured_parameters.union(*(scheme.dropped for scheme in schemes))
    return dropped, tuple(prefix for scheme in schemes for prefix in scheme.prefixes), parameters


def _selecting_parameters(
    host: str, path: str, query: str, configured_parameters: frozenset[str]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the parameters that select the file, by name; those of one name keep their order."""
    dropped, prefixes, parameters = _signing_parameters(host, path, query, configured_parameters)
    for lower_name, name, value in sorted(parameters, key=lambda parameter: parameter[1]):
        is_dropped = lower_name in dropped or lower_name.startswith(prefixes)
        if not is_dropped and (lasting := _lasting_value(path, value)) is not None:
            yield name, lasting


def _lasting_value(path: str, value: bytes) -> bytes | None:
    """Return a JSON web token as its claims, without those that differ each time, or None if it has no others.

    Its other claims may select the file, also a lone `jti` or a token without claims unless the path names a
    recording. Any other value is returned unchanged.
    """
    if not (token := _JWT.fullmatch(value.decode("latin-1"))):
        return value
    try:
        claims = json.loads(base64.urlsafe_b64decode(token[1] + "=" * (-len(token[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return value
    if not isinstance(claims, dict):
        return value
    if not claims:
        return None if names_recording(path) else value
    kept = {name: claim for name, claim in claims.items() if name not in _TIME_CLAIMS}
    if kept.keys() != {"jti"} or names_recording(path):
        kept.pop("jti", None)
    return json.dumps(kept, sort_keys=True).encode() if kept else None
