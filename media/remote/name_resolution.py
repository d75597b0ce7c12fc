"""Tells a host that does not exist from a machine that cannot resolve host names.

A laptop that is offline and a URL with a typo give the same error of `getaddrinfo`. Only the second
one is the fault of the request. The difference is whether a host that certainly exists has an
address.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Collection
from ipaddress import ip_address
from typing import Any

from models.clock import Clock, SystemClock
from models.errors import NetworkUnavailable

Resolver = Callable[..., list[tuple[Any, ...]]]

HTTPS_PORT = 443
# Many rows of a batch fail together; they share one lookup of the reference host.
REUSE_SECONDS = 5.0


class NameResolution:
    """Checks whether this machine resolves host names, with one lookup of a reference host.

    The result is reused for REUSE_SECONDS, and concurrent callers share a lookup. Nothing is looked
    up until a caller has a reason to doubt.

    Args:
        reference_host: A host that certainly exists; see `models.environment.reference_host`.
        resolve: `socket.getaddrinfo`, or a function with the same signature.
        clock: Measures the age of the result.
    """

    def __init__(
        self, reference_host: str, *, resolve: Resolver = socket.getaddrinfo, clock: Clock | None = None
    ) -> None:
        self.reference_host = reference_host
        self._resolve = resolve
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._addresses: frozenset[str] = frozenset()
        self._looked_up_at: float | None = None

    def require_working(self, failed_host: str) -> None:
        """Raise if no name can be resolved, so that `failed_host` may well exist.

        Raises:
            NetworkUnavailable: If the reference host has no address either.
        """
        if not self._reference_addresses():
            raise NetworkUnavailable(
                f"this machine cannot resolve host names: it finds an address neither of {failed_host} "
                f"nor of Argil's API, {self.reference_host}",
                hint="check this machine's network, DNS and ARGIL_API_URL with `avatars doctor`, then run "
                "`avatars resume ID`",
            )

    def require_distinct_answer(self, host: str, private_addresses: Collection[str]) -> None:
        """Raise if a private address of `host` is also one of the reference host.

        The login page of a guest network (captive portal) answers every name with its own address.
        Loopback is not such an address: a proxy on this machine may serve the API.

        Raises:
            NetworkUnavailable: If this network answers both names with the same address.
        """
        if host == self.reference_host:
            return
        shared = self._reference_addresses().intersection(private_addresses)
        if address := next((entry for entry in sorted(shared) if not ip_address(entry).is_loopback), None):
            raise NetworkUnavailable(
                f"this network answers {host} and {self.reference_host} with the same private address {address}",
                hint="log in to the network if it has a login page, or fix its DNS, then run `avatars resume ID`",
            )

    def _reference_addresses(self) -> frozenset[str]:
        """Return the addresses of the reference host; none if it cannot be resolved."""
        with self._lock:
            now = self._clock.monotonic()
            if self._looked_up_at is None or now - self._looked_up_at >= REUSE_SECONDS:
                try:
                    entries = self._resolve(self.reference_host, HTTPS_PORT, type=socket.SOCK_STREAM)
                except (OSError, UnicodeError):  # gaierror is an OSError
                    entries = []
                self._addresses = frozenset(str(entry[4][0]) for entry in entries)
                self._looked_up_at = self._clock.monotonic()
            return self._addresses
