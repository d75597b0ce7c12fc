"""Hosts and origins that may call the embedded Prefect server."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

import pytest

from models.environment.authority import Authority, parse_authority
from models.environment.browser_access import AccessPolicy, BrowserRequest, own_origins

POLICY = AccessPolicy.create(hosts=(), origins=own_origins(4200), ui_api_url=None, api_path="/api")
PROXIED = AccessPolicy.create(
    hosts=("avatars.example", "other.example:8443", "192.168.1.5", "localhost:9443"),
    origins=(*own_origins(4200), "https://portal.example"),
    ui_api_url="http://127.0.0.1:4200/api",
    api_path="/api",
)
REQUEST = BrowserRequest(
    method="POST",
    path="/api/flow_runs/filter",
    hosts=("127.0.0.1:4200",),
    origins=(),
    fetch_sites=(),
    fetch_modes=(),
    fetch_destinations=(),
)
LINK = replace(
    REQUEST,
    method="GET",
    path="/v2/runs",
    fetch_sites=("cross-site",),
    fetch_modes=("navigate",),
    fetch_destinations=("document",),
)


def status(policy: AccessPolicy, request: BrowserRequest) -> int | None:
    refusal = policy.refusal(request)
    return None if refusal is None else int(refusal.status)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:4200",
        "localhost:4200",
        "[::1]:4200",
        "127.0.0.1",
        "localhost",
        "[::1]",
        "localhost:9",
        "LOCALHOST:80",
    ],
)
def test_loopback_hosts_are_allowed_with_any_port(host: str) -> None:
    assert status(POLICY, replace(REQUEST, hosts=(host,))) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:4200",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil-localhost",
        "127.1",
        "127.0.0.2",
        "127.000.000.001",
        "0x7f.0.0.1",
        "2130706433",
        "0177.0.0.1",
        "0.0.0.0",  # noqa: S104  # a Host header
        "[::]",
        "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:0:0:1]",
        "avatars.example",
    ],
)
def test_other_hosts_are_misdirected(host: str) -> None:
    refusal = POLICY.refusal(replace(REQUEST, hosts=(host,)))
    assert refusal is not None
    assert refusal.status == HTTPStatus.MISDIRECTED_REQUEST
    assert "AVATARS_ALLOWED_HOSTS" in refusal.text
    assert repr(host) in refusal.text


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "localhost:",
        "localhost:0",
        "localhost:04200",
        "localhost:65536",
        "localhost:4200:4200",
        "localhost:+80",
        "localhost:http",
        "localhost.",
        "localhost.:4200",
        "127.0.0.1.",
        ".localhost",
        "user@localhost",
        "localhost@evil.example",
        "evil.example#localhost",
        "evil.example/localhost",
        "localhost\\evil.example",
        "localhost,evil.example",
        "localhost evil.example",
        "http://localhost",
        "::1",
        "[::1",
        "::1]",
        "[::1%25eth0]",
        "[::1]evil.example",
        "loc%61lhost",
        "localhost\0",
        "localhost\n",
        "l\xf6calhost",
        "127。0。0。1",
        "１27.0.0.1",
        "localhost:٤٢٠٠",
    ],
)
def test_malformed_host_is_refused(host: str) -> None:
    assert status(POLICY, replace(REQUEST, hosts=(host,))) == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    "hosts", [(), ("localhost", "localhost"), ("localhost", "evil.example"), ("evil.example", "localhost")]
)
def test_host_must_occur_once(hosts: tuple[str, ...]) -> None:
    assert status(POLICY, replace(REQUEST, hosts=hosts)) == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("path", ["http://localhost:4200/api/health", "*", "evil.example:80", ""])
def test_target_must_be_a_path(path: str) -> None:
    assert status(POLICY, replace(REQUEST, path=path)) == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("avatars.example", True),
        ("avatars.example:8080", True),
        ("AVATARS.example", True),
        ("other.example:8443", True),
        ("192.168.1.5:4200", True),
        ("other.example", False),
        ("other.example:4200", False),
        ("sub.avatars.example", False),
        ("avatars.example.evil.example", False),
        ("notavatars.example", False),
    ],
)
def test_allowed_hosts_extend_loopback(host: str, allowed: bool) -> None:
    expected = None if allowed else HTTPStatus.MISDIRECTED_REQUEST
    assert status(PROXIED, replace(REQUEST, hosts=(host,))) == expected


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:4200", "http://127.0.0.1:4200"),
        ("localhost:4200", "http://localhost:4200"),
        ("127.0.0.1:4200", "http://localhost:4200"),
        ("localhost:9999", "http://localhost:9999"),
        ("[::1]:9999", "http://[::1]:9999"),
    ],
    ids=["address", "name", "name-to-address", "tunnel", "tunnel-ipv6"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_own_pages_may_call_the_api(method: str, host: str, origin: str) -> None:
    assert status(POLICY, replace(REQUEST, method=method, hosts=(host,), origins=(origin,))) is None


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "*",
        "https://evil.example",
        "http://evil.example:4200",
        "http://localhost:8000",
        "http://127.0.0.1:8000",
        "http://127.0.0.1",
        "http://[::1]:4200",
        "https://127.0.0.1:4200",
        "https://localhost:4200",
        "ws://localhost:4200",
        "file://",
        "chrome-extension://localhost:4200",
        "http://localhost:4200.evil.example",
        "http://localhost:4200@evil.example",
        "http://evil.example#http://localhost:4200",
        "http://localhost:4200/",
        "http://localhost:4200 https://evil.example",
        "http://localhost:4200, https://evil.example",
        "http://127.0.0.1.:4200",
        "http://2130706433:4200",
        "//localhost:4200",
        "localhost:4200",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
def test_foreign_origin_is_refused(method: str, origin: str) -> None:
    refusal = POLICY.refusal(replace(REQUEST, method=method, origins=(origin,)))
    assert refusal is not None
    assert refusal.status == HTTPStatus.FORBIDDEN
    assert "AVATARS_ALLOWED_HOSTS" in refusal.text


def test_second_origin_is_refused() -> None:
    own = "http://127.0.0.1:4200"
    for origins in ((own, own), (own, "https://evil.example"), ("https://evil.example", own)):
        assert status(POLICY, replace(REQUEST, origins=origins)) == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("avatars.example", "https://avatars.example", True),
        ("avatars.example:8080", "http://avatars.example:8080", True),
        ("127.0.0.1:4200", "https://avatars.example", True),
        ("127.0.0.1:4200", "https://other.example:8443", True),
        ("127.0.0.1:4200", "https://portal.example", True),
        ("localhost:9443", "https://localhost:9443", True),
        ("127.0.0.1:4200", "https://avatars.example:9000", False),
        ("127.0.0.1:4200", "https://other.example", False),
        ("127.0.0.1:4200", "http://portal.example", False),
        ("127.0.0.1:4200", "https://evil.example", False),
        ("avatars.example", "https://evil.example", False),
        ("avatars.example", "http://localhost:8000", False),
    ],
)
def test_pages_behind_a_proxy_are_own_pages(host: str, origin: str, allowed: bool) -> None:
    expected = None if allowed else HTTPStatus.FORBIDDEN
    assert status(PROXIED, replace(REQUEST, hosts=(host,), origins=(origin,))) == expected


@pytest.mark.parametrize(
    ("ui_api_url", "host", "origin", "allowed"),
    [
        ("https://avatars.example/api", "avatars.example", "https://avatars.example", True),
        ("https://avatars.example/api", "127.0.0.1:4200", "https://avatars.example", True),
        ("https://localhost:8443/api", "localhost:8443", "https://localhost:8443", True),
        ("https://localhost:8443/api", "localhost:4200", "https://localhost:9443", False),
        ("https://avatars.example/api", "evil.example", "https://avatars.example", False),
        ("/api", "127.0.0.1:4200", "http://127.0.0.1:4200", True),
        ("/api", "evil.example", "http://127.0.0.1:4200", False),
    ],
)
def test_address_of_the_ui_is_allowed(ui_api_url: str, host: str, origin: str, allowed: bool) -> None:
    policy = AccessPolicy.create(hosts=(), origins=own_origins(4200), ui_api_url=ui_api_url, api_path="/api")
    assert (policy.refusal(replace(REQUEST, hosts=(host,), origins=(origin,))) is None) is allowed


def test_every_origin_can_be_allowed_but_not_every_host() -> None:
    policy = AccessPolicy.create(hosts=(), origins=("*",), ui_api_url=None, api_path="/api")
    for origin in ("https://elsewhere.example", "null"):
        assert policy.refusal(replace(REQUEST, origins=(origin,))) is None
    assert policy.refusal(replace(REQUEST, method="GET", fetch_sites=("cross-site",))) is None
    assert status(policy, replace(REQUEST, hosts=("evil.example",))) == HTTPStatus.MISDIRECTED_REQUEST


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_typed_addresses_and_own_resources_are_allowed(site: str) -> None:
    assert status(POLICY, replace(REQUEST, method="GET", fetch_sites=(site,))) is None


def test_link_from_another_site_opens_a_page() -> None:
    for path in ("/", "/v2/runs", "/apiary", "/runs/flow-run/1"):
        assert status(POLICY, replace(LINK, path=path)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"path": "/api"},
        {"path": "/api/csrf-token"},
        {"method": "POST"},
        {"method": "HEAD"},
        {"fetch_destinations": ("iframe",)},
        {"fetch_destinations": ("image",), "fetch_modes": ("no-cors",)},
        {"fetch_destinations": ("script",), "fetch_modes": ("no-cors",)},
        {"fetch_destinations": ()},
        {"fetch_modes": ("no-cors",)},
        {"fetch_modes": ("navigate", "navigate")},
        {"fetch_sites": ("same-site",), "path": "/api/health"},
        {"fetch_sites": ("same-origin", "cross-site"), "path": "/api/health"},
        {"fetch_sites": ("unknown",), "path": "/api/health"},
    ],
    ids=str,
)
def test_other_loads_from_another_site_are_refused(change: dict[str, object]) -> None:
    assert status(POLICY, replace(LINK, **change)) == HTTPStatus.FORBIDDEN  # type: ignore[arg-type]


def test_long_value_is_shown_in_part() -> None:
    refusal = POLICY.refusal(replace(REQUEST, origins=("https://" + "a" * 10_000,)))
    assert refusal is not None
    assert len(refusal.text) < 500


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A.example:8443", Authority("a.example", 8443)),
        ("[2001:DB8::1]", Authority("[2001:db8::1]", None)),
        ("1.2.3.4:65535", Authority("1.2.3.4", 65535)),
    ],
)
def test_authority_is_parsed(text: str, expected: Authority) -> None:
    assert parse_authority(text) == expected
