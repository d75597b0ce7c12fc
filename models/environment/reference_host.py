"""Chooses the host whose name is resolved to find out whether this machine can resolve names at all."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

ARGIL_API_HOST = "api.argil.ai"


def reference_host(api_url: str) -> str:
    """Return the host of the Argil API, which must have an address for anything to work.

    Args:
        api_url: The setting ARGIL_API_URL.

    Returns:
        The host of `api_url`; ARGIL_API_HOST if it is a numeric address, which needs no DNS and so proves nothing.
    """
    host = urlsplit(api_url).hostname or ARGIL_API_HOST
    try:
        ip_address(host)
    except ValueError:
        return host
    return ARGIL_API_HOST
