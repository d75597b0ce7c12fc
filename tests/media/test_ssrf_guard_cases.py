"""Every way to write a private address is rejected, and a local listener gets no connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import httpcore
import pytest

from media.checker import MediaChecker
from media.remote.ssrf_guard import PublicOnlyBackend
from models.errors import InvalidRequest, MediaRejected
from models.media.rules import MediaRole
from models.request import validate_recording
from simulator.media_host import MediaHost

REJECTION_CODES = {"address-not-public", "bad-url", "not-https", "unknown-host"}
PUBLIC = "93.184.215.14"
ALLOWED = "allowed.localhost"

HOSTS = [
    # IPv4 in its usual form
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104  # rejected by the guard
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.88.99.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    # IPv4 in unusual forms
    "127.1",
    "127.0.1",
    "0",
    "2130706433",
    "2852039166",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.0x0.00.1",
    "127.0.0.1.",
    "１２７.0.0.1",
    "127。0。0。1",
    # IPv6
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:0:127.0.0.1]",
    "[::127.0.0.1]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fe80::1%lo]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fec0::1]",
    "[ff02::1]",
    "[2002:7f00:1::1]",
    "[2002:a9fe:a9fe::1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::7f00:1]",
    "[2001:0:7f00:1::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    # Names
    "localhost",
    "LOCALHOST",
    "localhost.",
    "loopback.test",
    "loopback6.test",
    "mapped.test",
    "metadata.google.internal",
    "first-public.test",
    "last-public.test",
    "127.0.0.1.nip.test",
    # User names
    "user@127.0.0.1",
    "user:password@127.0.0.1",
    "videos.example@127.0.0.1",
    "user:password@loopback.test",
    "127.0.0.1%40videos.example@127.0.0.1",
]
NAMES = {
    ALLOWED: ["127.0.0.1"],
    "loopback.test": ["127.0.0.1"],
    "loopback6.test": ["::1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "metadata.google.internal": ["169.254.169.254"],
    "first-public.test": [PUBLIC, "127.0.0.1"],
    "last-public.test": ["127.0.0.1", PUBLIC],
    "127.0.0.1.nip.test": ["127.0.0.1"],
}


def resolve(host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
    """Resolve the names above; other names with the system resolver."""
    if host in NAMES:
        return [(0, 0, 0, "", (address, port)) for address in NAMES[host]]
    return list(socket.getaddrinfo(host, port, **options))


@pytest.fixture
def listener() -> Iterator[int]:
    """A port with listeners on every local address, which must not get a connection."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("", 0)))]
        port = int(servers[0].getsockname()[1])
        with contextlib.suppress(OSError):  # this machine has no IPv6
            servers.append(stack.enter_context(socket.create_server(("::", port), family=socket.AF_INET6)))
        for server in servers:
            server.setblocking(False)
        yield port
        for server in servers:
            with pytest.raises(BlockingIOError):
                server.accept()


@pytest.fixture
def checker(trusting: ssl.SSLContext) -> Iterator[MediaChecker]:
    """A checker that allows the video host, under a name that nothing else uses."""
    with MediaChecker(
        allowed_hosts={ALLOWED}, ssl_context=trusting, resolve=resolve, sleep=lambda _: None
    ) as running:
        yield running


async def rejection_code(checker: MediaChecker, url: str) -> str:
    """The code, without the role, of the only reason why the URL is rejected."""
    [reason] = (await checker.check(url, MediaRole.CONSENT)).reasons
    assert reason.hint
    assert "user:password" not in reason.message
    return reason.code.removeprefix("consent.")


@pytest.mark.parametrize("host", HOSTS)
async def test_no_form_of_a_private_address_is_connected(host: str, checker: MediaChecker, listener: int) -> None:
    assert await rejection_code(checker, f"https://{host}:{listener}/v.mp4") in REJECTION_CODES


@pytest.mark.parametrize("port", ["0", "22", "80", "5432", "6379", "65536", "99999", "-1", "1e3", " 443"])
async def test_no_local_port_is_connected(port: str, checker: MediaChecker, listener: int) -> None:
    assert await rejection_code(checker, f"https://127.0.0.1:{port}/v.mp4") in REJECTION_CODES


@pytest.mark.parametrize("host", [host for host in HOSTS if "@" in host])
def test_url_with_user_name_is_an_invalid_request(host: str) -> None:
    with pytest.raises(InvalidRequest) as invalid:
        validate_recording(f"https://{host}/v.mp4")
    assert "user:password" not in str(invalid.value)


@pytest.mark.parametrize("hops", [1, 2, 4])
@pytest.mark.parametrize(
    "target",
    [
        "https://127.0.0.1:{port}/",
        "https://[::1]:{port}/",
        "https://[::ffff:127.0.0.1]:{port}/",
        "https://2130706433:{port}/",
        "https://loopback.test:{port}/",
        "https://first-public.test:{port}/",
        "https://169.254.169.254/latest/meta-data/",
        "https://user:password@127.0.0.1:{port}/",
        "https://user:password@allowed.localhost:{port}/",
        "http://127.0.0.1:{port}/",
        "http://allowed.localhost:{port}/",
        "file:///etc/passwd",
        "ftp://127.0.0.1:{port}/",
        "gopher://127.0.0.1:{port}/",
    ],
)
async def test_redirects_to_private_addresses_are_rejected(
    target: str, hops: int, checker: MediaChecker, media_host: MediaHost, listener: int
) -> None:
    url = target.format(port=listener)
    for _ in range(hops):
        url = media_host.redirect_url(url).replace("127.0.0.1", ALLOWED, 1)
    assert await rejection_code(checker, url) in REJECTION_CODES
    assert len(media_host.requests) == hops


def test_name_is_checked_at_every_connection(listener: int) -> None:
    addresses_by_attempt = (["127.0.0.1"], [PUBLIC, "127.0.0.1"], ["::1"])
    with pytest.MonkeyPatch.context() as patch:
        backend = PublicOnlyBackend(resolve=resolve)
        for addresses in addresses_by_attempt:
            patch.setitem(NAMES, "rebound.test", addresses)
            with pytest.raises(MediaRejected):
                backend.connect_tcp("rebound.test", listener, timeout=5)


def test_connection_uses_the_checked_address(
    listener: int,
) -> None:
    addresses_by_attempt = [[PUBLIC], ["127.0.0.1"]]
    resolved: list[str] = []

    def rebinding(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        resolved.append(host)
        return [(0, 0, 0, "", (address, port)) for address in addresses_by_attempt[len(resolved) - 1]]

    backend = PublicOnlyBackend(resolve=rebinding)
    with pytest.raises(httpcore.ConnectTimeout):
        backend.connect_tcp("rebound.test", listener, timeout=0)  # nothing is sent to the public address
    assert len(resolved) == 1
    with pytest.raises(MediaRejected):
        backend.connect_tcp("rebound.test", listener, timeout=5)
