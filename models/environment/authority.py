"""The authority of a URL or Host header (RFC 3986): a host and perhaps a port."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_PORT = 65535

_AUTHORITY = re.compile(r"([a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?")


@dataclass(frozen=True)
class Authority:
    """Host and port of a URL or Host header; the port is None if the text has none."""

    host: str
    port: int | None


def parse_authority(text: str) -> Authority:
    """Parse `host` or `host:port`; IPv6 addresses are in brackets.

    Raises:
        ValueError: The text is anything else, for example contains a user, a scheme or an empty port.
    """
    match = _AUTHORITY.fullmatch(text.lower())
    if match is None or int(match[2] or 0) > MAX_PORT or match[1].startswith(".") or match[1].endswith("."):
        raise ValueError("must be a host or host:port, without scheme and path")
    return Authority(match[1], int(match[2]) if match[2] else None)
