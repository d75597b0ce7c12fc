"""SSRF guard: HTTP requests reach public addresses only, whatever name or redirect leads to them.

Recording URLs come from outside, so they can point to internal services (server-side request
forgery). The address behind a name can also change between a check and a connect (DNS rebinding).
Therefore the guard runs where the connection is opened: it resolves the name once, checks every
address, and connects to a checked numeric address. TLS still verifies the original host name.

docs/adr/0004-ssrf-guard.md compares it with the httpx-secure package.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpcore
import httpx

from media.remote.name_resolution import NameResolution, Resolver
from models.environment.certificates import explaining_certificate_errors
from models.errors import MediaRejected
from models.media.codes import MediaCode

# The only block of which public IPv6 addresses are assigned; all others are reserved or local.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# Globally routable by number, but not hosts on the internet: protocol assignments (Oracle's
# metadata service is one), 6to4 relays, Azure's metadata service, documentation. `ipaddress` does
# not list them, or only in recent versions.
_BLOCKED_NETWORKS = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv4Network("168.63.129.16/32"),
    IPv6Network("3fff::/20"),
)
# NAT64 (RFC 6052): IPv6-only networks embed IPv4 addresses here. They are as public as the embedded
# address.
_NAT64 = IPv6Network("64:ff9b::/96")
# The name does not exist or has no address, so a retry cannot succeed.
_NAME_NOT_FOUND_ERRNOS = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
# httpx gives its transport errors the names of httpcore's.
_HTTPX_ERRORS: dict[type[BaseException], type[httpx.TransportError]] = {
    httpcore.TimeoutException: httpx.TimeoutException,
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.NetworkError: httpx.NetworkError,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.ProxyError: httpx.ProxyError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
    httpcore.ProtocolError: httpx.ProtocolError,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
}

_SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


def is_public(address: str) -> bool:
    """Return whether a numeric address belongs to one host that anyone on the internet can reach."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address) and (inside := _embedded_ipv4(ip)) is not None:
        ip = inside
    elif isinstance(ip, IPv6Address) and ip not in _GLOBAL_UNICAST:
        return False
    return ip.is_global and not (
        ip.is_multicast or ip.is_reserved or any(ip in network for network in _BLOCKED_NETWORKS)
    )


def _embedded_ipv4(ip: IPv6Address) -> IPv4Address | None:
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour


class PublicOnlyBackend(httpcore.NetworkBackend):
    """Opens TCP connections to public addresses, and to `allowed_hosts` at any address.

    Args:
        allowed_hosts: Host names or numeric addresses, exactly as they appear in a URL. They are
            compared with the host of the URL, never with the addresses that a name resolves to.
        resolve: `socket.getaddrinfo`, or a function with the same signature.
        names: Tells an unknown host from a machine without DNS. Without it every unknown host counts
            as one that does not exist.
    """

    def __init__(
        self,
        allowed_hosts: Collection[str] = (),
        *,
        resolve: Resolver = socket.getaddrinfo,
        names: NameResolution | None = None,
    ) -> None:
        self._allowed_hosts = {_normalize_host(host) for host in allowed_hosts}
        self._resolve = resolve
        self._names = names
        self._tcp = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of `host` that accepts a connection.

        Args:
            host: A host name or a numeric address.
            port: The TCP port.
            timeout: Seconds for all addresses together; None waits without a limit.
            local_address: The address to connect from.
            socket_options: Options of the new socket.

        Raises:
            MediaRejected: If the name does not exist or any of its addresses is not public. No
                packet is sent.
            NetworkUnavailable: If this machine cannot resolve any name, or its network answers every
                name with a private address.
            httpcore.ConnectError: If the name cannot be resolved now, or no address accepts a
                connection.
            httpcore.ConnectTimeout: If no address accepts a connection in time.
        """
        addresses = self._addresses(host, port)
        if _normalize_host(host) not in self._allowed_hosts:
            self._require_public(host, addresses)
        deadline = None if timeout is None else time.monotonic() + timeout
        failure: Exception = httpcore.ConnectTimeout(f"no address of {host} accepted a connection in time")
        for address in addresses:
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                break
            try:
                return self._tcp.connect_tcp(address, port, remaining, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            entries = self._resolve(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if self._names is not None:
                self._names.require_working(host)
            if error.errno not in _NAME_NOT_FOUND_ERRNOS:
                raise httpcore.ConnectError(f"{host} cannot be resolved: {error.strerror}") from error
            raise _unknown_host_error(host) from error
        except UnicodeError as error:  # getaddrinfo raises it for names that DNS cannot represent
            raise _unknown_host_error(host) from error
        return list(dict.fromkeys(str(entry[4][0]) for entry in entries))

    def _require_public(self, host: str, addresses: Collection[str]) -> None:
        private = [address for address in addresses if not is_public(address)]
        if not private:
            return
        if self._names is not None and not _is_numeric(host):
            self._names.require_distinct_answer(_normalize_host(host), private)
        raise MediaRejected(
            MediaCode.ADDRESS_NOT_PUBLIC,
            f"{host} resolves to {private[0]}, which is not a public address",
            hint="host the file at a public address; for tests, set AVATARS_MEDIA_ALLOWED_HOSTS",
        )


def _normalize_host(host: str) -> str:
    return host.casefold().strip("[]").rstrip(".")


def _unknown_host_error(host: str) -> MediaRejected:
    return MediaRejected(MediaCode.UNKNOWN_HOST, f"the host {host} does not exist", hint="check the URL for typos")


def _is_numeric(host: str) -> bool:
    """Return whether a host is an address in any form that `getaddrinfo` accepts, such as 0x7f.1."""
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        return False
    return True


def default_ssl_context() -> ssl.SSLContext:
    """Return httpx's own context, which honours SSL_CERT_FILE and SSL_CERT_DIR.

    It loads certificates for 40 ms or more, so an event loop calls this in a thread.

    Raises:
        SettingsError: SSL_CERT_FILE cannot be used.
    """
    with explaining_certificate_errors():
        return httpx.create_ssl_context(trust_env=True)


class PublicOnlyTransport(httpx.BaseTransport):
    """An httpx transport that opens every connection through PublicOnlyBackend.

    It works as `httpx.HTTPTransport` does, which has no parameter for the network backend. It does
    not support proxies, because a proxy resolves names itself and bypasses the guard. Timeouts come
    from the request's "timeout" extension, in seconds by phase.

    Args:
        allowed_hosts: Hosts that need not have a public address; see PublicOnlyBackend.
        ssl_context: Verifies certificates. The default is that of `default_ssl_context`.
        resolve: `socket.getaddrinfo`, or a function with the same signature.
        names: See PublicOnlyBackend.
    """

    def __init__(
        self,
        allowed_hosts: Collection[str] = (),
        *,
        ssl_context: ssl.SSLContext | None = None,
        resolve: Resolver = socket.getaddrinfo,
        names: NameResolution | None = None,
    ) -> None:
        self._connections = httpcore.ConnectionPool(
            ssl_context=ssl_context or default_ssl_context(),
            network_backend=PublicOnlyBackend(allowed_hosts, resolve=resolve, names=names),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its response with an open body; the caller closes it.

        Raises:
            MediaRejected: If the host does not exist or its address is not public.
            httpx.TransportError: If the request fails.
        """
        if not isinstance(request.stream, httpx.SyncByteStream):
            raise TypeError("PublicOnlyTransport sends synchronous requests only")
        with _translating_httpcore_errors():
            response = self._connections.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_ResponseStream(response),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close all connections."""
        with _translating_httpcore_errors():
            self._connections.close()


class _ResponseStream(httpx.SyncByteStream):
    """The body of an httpcore response."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _translating_httpcore_errors():
            yield from self._response.iter_stream()

    def close(self) -> None:
        with _translating_httpcore_errors():
            self._response.close()


@contextlib.contextmanager
def _translating_httpcore_errors() -> Iterator[None]:
    """Raise httpcore's errors as the httpx errors of the same name."""
    try:
        yield
    except tuple(_HTTPX_ERRORS) as error:
        translated = next(_HTTPX_ERRORS[base] for base in type(error).__mro__ if base in _HTTPX_ERRORS)
        raise translated(str(error)) from error
