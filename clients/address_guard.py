"""Refuses to connect to addresses that are not public, whatever name led there.

A video URL comes from outside, and the address behind its name may change between a look and a connect (DNS
rebinding). So the check sits where the connection is made: the name is resolved once, every address it has is
checked, and the connection goes to a checked numeric address. TLS still asks for the original host name.

httpx-secure was considered: its version 2 opens a TCP probe to addresses it then denies, which a listener sees.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

import httpcore
import httpx

from models.errors import MediaRejected

# The only block from which public IPv6 addresses are given out; all others are reserved or local.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# Public by their number, and yet no host on the internet: protocol assignments (Oracle's metadata service is one),
# relays of 6to4, Azure's metadata service, documentation. Python's own table lacks them, or did until lately.
_NO_HOSTS = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv4Network("168.63.129.16/32"),
    IPv6Network("3fff::/20"),
)
# IPv4 addresses as a network with IPv6 alone writes them (RFC 6052): as public as the IPv4 address inside.
_NAT64 = IPv6Network("64:ff9b::/96")
# The name does not exist, or has no address: no later attempt would differ.
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}

Resolver = Callable[..., list[tuple[Any, ...]]]
_SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


def is_public(address: str) -> bool:
    """Whether a numeric address can be reached by anyone on the internet, and is one host."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address) and (inside := _embedded(ip)) is not None:
        ip = inside
    elif isinstance(ip, IPv6Address) and ip not in _GLOBAL_UNICAST:
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or any(ip in network for network in _NO_HOSTS))


def _embedded(ip: IPv6Address) -> IPv4Address | None:
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour


class GuardedBackend(httpcore.NetworkBackend):
    """Opens TCP connections to public addresses, and to `allowed_hosts` wherever they are.

    `allowed_hosts` are host names or numeric addresses exactly as they stand in a URL; what a name resolves to is
    never compared with them. `resolve` is `socket.getaddrinfo` or its like.
    """

    def __init__(self, allowed_hosts: Collection[str] = (), *, resolve: Resolver = socket.getaddrinfo) -> None:
        self._allowed = {_plain(host) for host in allowed_hosts}
        self._resolve = resolve
        self._tcp = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to `host`. `timeout` (seconds) is for all its addresses together.

        Raises MediaRejected where the name does not exist or any of its addresses is not public, before any packet
        is sent there; httpcore.ConnectError or ConnectTimeout where no connection came about.
        """
        addresses = self._addresses(host, port)
        if _plain(host) not in self._allowed:
            for address in addresses:
                _refuse_unless_public(host, address)
        deadline = None if timeout is None else time.monotonic() + timeout
        failure: Exception = httpcore.ConnectTimeout(f"no address of {host} answered in time")
        for address in addresses:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            try:
                return self._tcp.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = self._resolve(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno not in _NO_SUCH_NAME:
                raise httpcore.ConnectError(f"{host} could not be looked up: {error.strerror}") from error
            raise _unknown_host(host) from error
        except UnicodeError as error:  # what getaddrinfo raises for a name that no DNS could hold
            raise _unknown_host(host) from error
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _plain(host: str) -> str:
    return host.casefold().strip("[]").rstrip(".")


def _unknown_host(host: str) -> MediaRejected:
    return MediaRejected("unknown-host", f"no host is called {host}", hint="look for a typo in the URL")


def _refuse_unless_public(host: str, address: str) -> None:
    if not is_public(address):
        raise MediaRejected(
            "address-not-public",
            f"{host} is at {address}, which is not a public address",
            hint="put it where the internet can reach it; for a test, see AVATARS_MEDIA_ALLOWED_HOSTS",
        )


class GuardedTransport(httpx.HTTPTransport):
    """An httpx transport whose every connection passes the guard. It knows no proxy: one would go round it.

    `ssl_context` is by default httpx's own, which honours SSL_CERT_FILE and SSL_CERT_DIR.
    """

    def __init__(
        self,
        allowed_hosts: Collection[str] = (),
        *,
        ssl_context: ssl.SSLContext | None = None,
        resolve: Resolver = socket.getaddrinfo,
    ) -> None:
        context = ssl_context or httpx.create_ssl_context(trust_env=True)
        super().__init__(verify=context, trust_env=False)
        # httpx has no parameter for the network backend; the pool it has just made was not used yet.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, network_backend=GuardedBackend(allowed_hosts, resolve=resolve)
        )
