from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from clients.address_guard import GuardedBackend, GuardedTransport, is_public
from models.errors import MediaRejected
from simulator.media_host import MediaHost
from simulator.videos import sample


class Names:
    """A resolver with names of its own, as `socket.getaddrinfo` would answer; it counts what it is asked."""

    def __init__(self, **addresses: list[str]) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        return [(0, 0, 0, "", (address, port)) for address in self.addresses[host.partition(".")[0]]]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listening socket on loopback that nobody may connect to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def assert_nobody_came(listener: socket.socket) -> None:
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
        ("0.0.0.0", False),  # noqa: S104  # an address to judge
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
def test_public_addresses(address: str, *, expected: bool) -> None:
    assert is_public(address) is expected


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0.0.0.0"])  # noqa: S104  # refused
def test_a_guarded_host_sees_no_connection(host: str, listener: socket.socket) -> None:
    with pytest.raises(MediaRejected) as refused:
        get(f"https://{host}:{port_of(listener)}/", GuardedTransport())
    assert refused.value.rule == "address-not-public"
    assert_nobody_came(listener)


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["::ffff:127.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["127.0.0.1", "93.184.215.14"]],
)
def test_a_name_that_leads_to_a_guarded_address_gets_no_connection(
    addresses: list[str], listener: socket.socket
) -> None:
    names = Names(video=addresses)
    with pytest.raises(MediaRejected) as refused:
        get(f"https://video.test:{port_of(listener)}/", GuardedTransport(resolve=names))
    assert refused.value.rule == "address-not-public"
    assert "video.test" in refused.value.message
    assert refused.value.hint
    assert_nobody_came(listener)


def test_being_allowed_goes_by_the_name_in_the_url_and_not_by_what_it_resolves_to(listener: socket.socket) -> None:
    names = Names(video=["127.0.0.1"])
    with pytest.raises(MediaRejected):
        get(f"https://video.test:{port_of(listener)}/", GuardedTransport({"127.0.0.1"}, resolve=names))
    assert_nobody_came(listener)


def test_a_name_is_resolved_once_and_tls_still_asks_for_it(
    media_host: MediaHost, trusting: ssl.SSLContext, samples: Path
) -> None:
    sample("consent.mp4", samples)
    names = Names(localhost=["127.0.0.1"], video=["127.0.0.1"])
    port = httpx.URL(media_host.base_url).port

    def ask(host: str) -> int:
        guarded = GuardedTransport({"localhost", "Video.Test."}, ssl_context=trusting, resolve=names)
        return get(f"https://{host}:{port}/consent.mp4", guarded)

    assert ask("localhost") == 200
    assert names.asked == ["localhost"]
    with pytest.raises(httpx.ConnectError, match=r"not valid for 'video\.test'"):
        ask("video.test")


def test_the_next_address_is_tried_where_the_first_does_not_answer(listener: socket.socket) -> None:
    # 127.0.0.2 has no listener on this port.
    backend = GuardedBackend({"video.test"}, resolve=Names(video=["127.0.0.2", "127.0.0.1", "127.0.0.1"]))
    stream = backend.connect_tcp("video.test", port_of(listener), timeout=5)
    assert stream.get_extra_info("server_addr")[0] == "127.0.0.1"
    stream.close()


def test_addresses_that_all_refuse_are_a_connect_error(listener: socket.socket) -> None:
    backend = GuardedBackend({"video.test"}, resolve=Names(video=["127.0.0.2", "127.0.0.3"]))
    with pytest.raises(httpcore.ConnectError):
        backend.connect_tcp("video.test", port_of(listener), timeout=5)


def test_the_timeout_is_for_all_addresses_together(listener: socket.socket) -> None:
    backend = GuardedBackend({"video.test"}, resolve=Names(video=["127.0.0.1"]))
    with pytest.raises(httpcore.ConnectTimeout):
        backend.connect_tcp("video.test", port_of(listener), timeout=0)
    assert_nobody_came(listener)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), MediaRejected),
        (UnicodeError("label too long"), MediaRejected),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), httpx.ConnectError),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure"), httpx.ConnectError),
    ],
)
def test_only_a_name_that_does_not_exist_is_a_definite_no(failure: Exception, expected: type[Exception]) -> None:
    def resolve(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        raise failure

    with pytest.raises(expected):
        get("https://video.test/", GuardedTransport(resolve=resolve))


def test_proxies_of_the_environment_are_not_used(
    media_host: MediaHost,
    trusting: ssl.SSLContext,
    samples: Path,
    listener: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sample("consent.mp4", samples)
    for name in ("HTTPS_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port_of(listener)}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    transport = GuardedTransport({"127.0.0.1"}, ssl_context=trusting)
    with transport, httpx.Client(transport=transport) as client:
        assert client.get(media_host.url("consent.mp4")).status_code == 200
    assert_nobody_came(listener)


def test_ssl_cert_file_is_honoured(media_host: MediaHost, samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample("consent.mp4", samples)
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        get(media_host.url("consent.mp4"), GuardedTransport({"127.0.0.1"}))
    monkeypatch.setenv("SSL_CERT_FILE", str(media_host.ca_file))
    assert get(media_host.url("consent.mp4"), GuardedTransport({"127.0.0.1"})) == 200
