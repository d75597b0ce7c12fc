"""Rules about the head of an HTTP/1 request that llhttp, the parser of the webhook receiver, does not enforce.

llhttp (httptools 0.9) refuses most requests whose end two servers could find in different places. This module
refuses the others, because a proxy in front of the receiver may read them differently (request smuggling).

Source: RFC 9112, sections 3 (request line), 3.2 (Host) and 6.1 (Transfer-Encoding).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_REQUEST_LINE = re.compile(rb"[A-Z]+ [!\"$-~]+ HTTP/1\.([01])")
"""One space between the parts, and a target without control characters, white space and fragment.

llhttp also skips empty lines before the request line, and line feeds without a carriage return."""
_HOST = re.compile(rb"(?:[A-Za-z0-9._~%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
"""A host name, an IPv4 address or an IPv6 address in brackets, with an optional port."""


def find_framing_error(request_line: bytes, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return why a server must not trust the boundaries of this request, or None.

    Args:
        request_line: The first line as received, without its line end.
        headers: The names and values as parsed. llhttp has checked their syntax and Content-Length, and that there
            is only one of Content-Length and Transfer-Encoding.
    """
    matched = _REQUEST_LINE.fullmatch(request_line)
    if matched is None:
        return "the request line must be METHOD TARGET HTTP/1.1, separated by single spaces"
    is_http_1_0 = matched[1] == b"0"
    values: dict[bytes, list[bytes]] = {b"host": [], b"transfer-encoding": []}
    for name, value in headers:
        values.get(name.lower(), []).append(value.strip(b" \t"))
    codings, hosts = values[b"transfer-encoding"], values[b"host"]
    if codings and is_http_1_0:
        return "HTTP/1.0 does not define Transfer-Encoding: send Content-Length"
    if codings and [coding.lower() for coding in codings] != [b"chunked"]:
        return "Transfer-Encoding must be chunked and nothing else"
    if len(hosts) > 1 or not (hosts or is_http_1_0):
        return "there must be exactly one Host header"
    if hosts and not _HOST.fullmatch(hosts[0]):
        return "Host must be a host name or an address, with an optional port"
    return None
