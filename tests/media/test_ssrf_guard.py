from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from media.remote.ssrf_guard import PublicOnlyBackend, PublicOnlyTransport, _translating_httpcore_errors, is_public
from models.errors import MediaRejected
from simulator.media_host import MediaHost
from simulator.sample_videos import ensure_sample


class FakeResolver:
    """Resolves the given names, with the signature of `socket.getaddrinfo`. It records every host."""

    def __init__(self, **addresses: list[str]) -> None:
        self.addresses = addresses
        self.resolved: list[str] = []

    def __call__(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        self.resolved.append(host)
        return [(0, 0, 0, "", (address, port)) for address in self.addresses[host.partition(".")[0]]]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listening socket on loopback that must not get a connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def assert_no_connection(listener: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        listener.accept()


def get(url: str, transport: httpx.BaseTransport) -> int:
    with transport, httpx.Client(transport=transport, trust_env=False) as client:
        return client.get(url).status_code


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("64:ff9b::5db8:d70e", True),  # NAT64 of a public address
        ("2002:5db8:d70e::1", True),  # 6to4 of a public address
        ("0.0.0.0", False),  # noqa: S104  # input of is_public
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("239.255.255.250", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::127.0.0.1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::1", False),
        ("2002:7f00:1::1", False),
        ("2001:db8::1", False),
        ("2001::1", False),
        ("fc00::1", False),
        ("fd12:3456::1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("ff02::1", False),
    ],
)
def test_is_public(address: str, *, expected: bool) -> None:
    assert is_public(address) is expected


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0.0.0.0"])  # noqa: S104  # rejected by the guard
def test_private_host_gets_no_connection(host: str, listener: socket.socket) -> None:
    with pytest.raises(MediaRejected) as rejected:
        get(f"https://{host}:{port_of(listener)}/", PublicOnlyTransport())
    assert rejected.value.rule_code == "address-not-public"
    assert_no_connection(listener)


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["::ffff:127.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["127.0.0.1", "93.184.215.14"]],
)
def test_name_of_a_private_address_gets_no_connection(addresses: list[str], listener: socket.socket) -> None:
    resolver = FakeResolver(video=addresses)
    with pytest.raises(MediaRejected) as rejected:
        get(f"https://video.test:{port_of(listener)}/", PublicOnlyTransport(resolve=resolver))
    assert rejected.value.rule_code == "address-not-public"
    assert "video.test" in rejected.value.message
    assert rejected.value.hint
    assert_no_connection(listener)


def test_allowed_hosts_match_the_url_not_the_address(listener: socket.socket) -> None:
    resolver = FakeResolver(video=["127.0.0.1"])
    with pytest.raises(MediaRejected):
        get(f"https://video.test:{port_of(listener)}/", PublicOnlyTransport({"127.0.0.1"}, resolve=resolver))
    assert_no_connection(listener)


def test_name_is_resolved_once_and_verified_by_tls(
    media_host: MediaHost, trusting: ssl.SSLContext, samples: Path
) -> None:
    ensure_sample("consent.mp4", samples)
    resolver = FakeResolver(localhost=["127.0.0.1"], video=["127.0.0.1"])
    port = httpx.URL(media_host.base_url).port

    def status_of(host: str) -> int:
        transport = PublicOnlyTransport({"localhost", "Video.Test."}, ssl_context=trusting, resolve=resolver)
        return get(f"https://{host}:{port}/consent.mp4", transport)

    assert status_of("localhost") == 200
    assert resolver.resolved == ["localhost"]
    with pytest.raises(httpx.ConnectError, match=r"not valid for 'video\.test'"):
        status_of("video.test")


def test_next_address_is_tried_after_a_refusal(listener: socket.socket) -> None:
    # 127.0.0.2 has no listener on this port.
    backend = PublicOnlyBackend({"video.test"}, resolve=FakeResolver(video=["127.0.0.2", "127.0.0.1", "127.0.0.1"]))
    stream = backend.connect_tcp("video.test", port_of(listener), timeout=5)
    assert stream.get_extra_info("server_addr")[0] == "127.0.0.1"
    stream.close()


def test_refusal_by_all_addresses_is_a_connect_error(listener: socket.socket) -> None:
    backend = PublicOnlyBackend({"video.test"}, resolve=FakeResolver(video=["127.0.0.2", "127.0.0.3"]))
    with pytest.raises(httpcore.ConnectError):
        backend.connect_tcp("video.test", port_of(listener), timeout=5)


def test_timeout_covers_all_addresses(listener: socket.socket) -> None:
    backend = PublicOnlyBackend({"video.test"}, resolve=FakeResolver(video=["127.0.0.1"]))
    with pytest.raises(httpcore.ConnectTimeout):
        backend.connect_tcp("video.test", port_of(listener), timeout=0)
    assert_no_connection(listener)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), MediaRejected),
        (UnicodeError("label too long"), MediaRejected),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), httpx.ConnectError),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure"), httpx.ConnectError),
    ],
)
def test_only_an_unknown_name_is_rejected(failure: Exception, expected: type[Exception]) -> None:
    def resolve(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        raise failure

    with pytest.raises(expected):
        get("https://video.test/", PublicOnlyTransport(resolve=resolve))


def test_environment_proxies_are_ignored(
    media_host: MediaHost,
    trusting: ssl.SSLContext,
    samples: Path,
    listener: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ensure_sample("consent.mp4", samples)
    for name in ("HTTPS_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port_of(listener)}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    transport = PublicOnlyTransport({"127.0.0.1"}, ssl_context=trusting)
    with transport, httpx.Client(transport=transport) as client:
        assert client.get(media_host.url("consent.mp4")).status_code == 200
    assert_no_connection(listener)


def test_ssl_cert_file_is_honoured(media_host: MediaHost, samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_sample("consent.mp4", samples)
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        get(media_host.url("consent.mp4"), PublicOnlyTransport({"127.0.0.1"}))
    monkeypatch.setenv("SSL_CERT_FILE", str(media_host.ca_file))
    assert get(media_host.url("consent.mp4"), PublicOnlyTransport({"127.0.0.1"})) == 200


def test_httpcore_errors_become_httpx_errors_of_that_name() -> None:
    names = [name for name in httpcore.__all__ if hasattr(httpx, name)]
    pairs = [(getattr(httpcore, name), getattr(httpx, name)) for name in names]
    errors = [
        (raised, expected)
        for raised, expected in pairs
        if isinstance(raised, type) and issubclass(raised, Exception)
    ]
    assert len(errors) >= 14
    for raised, expected in errors:
        with pytest.raises(httpx.TransportError) as caught, _translating_httpcore_errors():
            raise raised("the cause")
        assert (type(caught.value), str(caught.value)) == (expected, "the cause")


@pytest.mark.parametrize(("scheme", "expected"), [("https", httpx.ConnectTimeout), ("http", httpx.ReadTimeout)])
def test_request_timeouts_are_applied(
    scheme: str, expected: type[Exception], listener: socket.socket, trusting: ssl.SSLContext
) -> None:
    url = f"{scheme}://127.0.0.1:{port_of(listener)}/"  # it accepts connections, but never sends a byte
    request = httpx.Request("GET", url, extensions={"timeout": httpx.Timeout(0.05).as_dict()})
    with PublicOnlyTransport({"127.0.0.1"}, ssl_context=trusting) as transport, pytest.raises(expected):
        transport.handle_request(request)


def test_body_is_streamed_and_close_ends_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, PublicOnlyTransport({"127.0.0.1"}) as transport:
        request = httpx.Request("GET", f"http://127.0.0.1:{port_of(server)}/")

        def respond() -> bytes:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(10)
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nfirst")
                return connection.recv(1)  # empty: the client has disconnected

        with ThreadPoolExecutor(1) as executor:
            disconnected = executor.submit(respond)
            response = transport.handle_request(request)
            assert next(response.iter_raw()) == b"first"
            response.close()
            assert disconnected.result(10) == b""


def test_incomplete_body_is_a_remote_protocol_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, PublicOnlyTransport({"127.0.0.1"}) as transport:
        request = httpx.Request("GET", f"http://127.0.0.1:{port_of(server)}/")

        def respond() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nfirst")

        with ThreadPoolExecutor(1) as executor:
            executor.submit(respond)
            response = transport.handle_request(request)
            with pytest.raises(httpx.RemoteProtocolError):
                response.read()
