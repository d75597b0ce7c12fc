"""A recording's host without an address: unknown if this machine has DNS, otherwise inconclusive."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from media.checker import MediaChecker
from media.remote.name_resolution import REUSE_SECONDS, NameResolution
from models.errors import MediaUnreachable, NetworkUnavailable
from models.media.report import MediaReport
from models.media.rules import MediaRole
from tests.fakes import FakeClock

CONSENT = MediaRole.CONSENT
API = "api.argil.test"
NAME_NOT_FOUND = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
TEMPORARY = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


class FakeDns:
    """A resolver that knows some hosts and raises `failure` for all others. It records every lookup."""

    def __init__(self, addresses: Mapping[str, str], failure: Exception = NAME_NOT_FOUND) -> None:
        self.addresses = addresses
        self.failure = failure
        self.lookups: list[str] = []

    def __call__(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        self.lookups.append(host)
        if host not in self.addresses:
            raise self.failure
        return [(0, 0, 0, "", (self.addresses[host], port))]


def check(dns: FakeDns, *urls: str, **options: Any) -> list[MediaReport | BaseException]:
    async def check_all() -> list[MediaReport | BaseException]:
        with MediaChecker(
            resolve=dns, reference_host=API, clock=FakeClock(), sleep=lambda _: None, **options
        ) as checker:
            return await asyncio.gather(*(checker.check(url, CONSENT) for url in urls), return_exceptions=True)

    return asyncio.run(check_all())


def codes(report: MediaReport | BaseException) -> list[str]:
    assert isinstance(report, MediaReport)
    return [reason.code for reason in report.reasons]


@pytest.mark.parametrize("failure", [NAME_NOT_FOUND, TEMPORARY], ids=["not-found", "temporary"])
def test_no_dns_is_inconclusive(failure: Exception) -> None:
    [result] = check(FakeDns({}, failure), "https://video.test/v.mp4?sig=CANARY")
    assert isinstance(result, NetworkUnavailable)
    assert "this machine cannot resolve host names" in result.message
    assert "video.test" in result.message
    assert API in result.message
    assert "avatars doctor" in result.hint
    assert "CANARY" not in result.message


def test_unknown_host_is_rejected_if_dns_works() -> None:
    dns = FakeDns({API: "93.184.215.14"})
    [report] = check(dns, "https://video.test/v.mp4")
    assert codes(report) == ["consent.unknown-host"]
    assert dns.lookups == ["video.test", API]


def test_temporary_failure_of_one_name_is_retried() -> None:
    dns = FakeDns({API: "93.184.215.14"}, TEMPORARY)
    [result] = check(dns, "https://video.test/v.mp4")
    assert isinstance(result, MediaUnreachable)
    assert "no usable response in 3 attempts" in result.message
    assert dns.lookups.count("video.test") == 3


def test_unknown_host_of_the_api_itself_is_inconclusive() -> None:
    [result] = check(FakeDns({}), f"https://{API}/v.mp4")
    assert isinstance(result, NetworkUnavailable)


def test_500_recordings_without_dns_cost_one_extra_lookup() -> None:
    dns = FakeDns({})
    results = check(dns, *(f"https://video-{number}.test/v.mp4" for number in range(500)))
    assert all(isinstance(result, NetworkUnavailable) for result in results)
    assert dns.lookups.count(API) == 1


def test_known_hosts_cost_no_extra_lookup() -> None:
    dns = FakeDns({"video.test": "127.0.0.1", API: "93.184.215.14"})
    [result] = check(dns, "https://video.test:1/v.mp4", allowed_hosts={"video.test"})
    assert isinstance(result, MediaUnreachable)
    assert set(dns.lookups) == {"video.test"}


@pytest.mark.parametrize(
    ("answers", "inconclusive"),
    [
        ({"video.test": "10.0.0.1", API: "10.0.0.1"}, True),
        ({"video.test": "10.0.0.1", API: "93.184.215.14"}, False),
        ({"video.test": "10.0.0.1", API: "10.0.0.2"}, False),
        ({"video.test": "10.0.0.1"}, False),
        # An API on this machine, and a URL that leads to it: the address is rejected.
        ({"video.test": "127.0.0.1", API: "127.0.0.1"}, False),
        ({"video.test": "::1", API: "::1"}, False),
    ],
)
def test_captive_portal_is_inconclusive(answers: dict[str, str], *, inconclusive: bool) -> None:
    [result] = check(FakeDns(answers), "https://video.test/v.mp4")
    if inconclusive:
        assert isinstance(result, NetworkUnavailable)
        assert "log in to the network" in result.hint
    else:
        assert codes(result) == ["consent.address-not-public"]


@pytest.mark.parametrize("host", ["10.0.0.1", "0xa.0.0.1", "167772161"])
def test_private_numeric_host_is_rejected_without_a_lookup(host: str) -> None:
    dns = FakeDns({host: "10.0.0.1", API: "10.0.0.1"})
    [report] = check(dns, f"https://{host}/v.mp4")
    assert codes(report) == ["consent.address-not-public"]
    assert API not in dns.lookups


def test_result_is_looked_up_again_after_a_while() -> None:
    clock = FakeClock()
    dns = FakeDns({})
    names = NameResolution(API, resolve=dns, clock=clock)
    for seconds in (0.0, REUSE_SECONDS / 2, REUSE_SECONDS / 2):
        clock.advance(seconds)
        with pytest.raises(NetworkUnavailable):
            names.require_working("video.test")
    assert dns.lookups == [API, API]
    dns.addresses = {API: "93.184.215.14"}
    clock.advance(REUSE_SECONDS)
    names.require_working("video.test")


def test_concurrent_callers_share_one_lookup() -> None:
    started = threading.Barrier(8)
    dns = FakeDns({API: "93.184.215.14"})
    names = NameResolution(API, resolve=dns)

    def ask(_: int) -> None:
        started.wait(10)
        names.require_working("video.test")

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(ask, range(8)))
    assert dns.lookups == [API]
