"""The framing rules; tests/deployments/webhooks/test_connection.py sends whole requests to the receiver."""

from __future__ import annotations

import pytest

from models.argil.http_framing import find_framing_error

LINE = b"POST /webhooks/argil/token HTTP/1.1"
HOST = (b"host", b"avatars.example.com")


@pytest.mark.parametrize("name", [b"Host", b"HOST", b"host"])
@pytest.mark.parametrize(
    "value", [b"a", b"a_b.example:443", b"127.0.0.1:4201", b"[::1]", b"[2001:db8::1]:4201", b"a "]
)
def test_valid_host_is_accepted(name: bytes, value: bytes) -> None:
    assert find_framing_error(LINE, [(name, value)]) is None


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_one_chunked_coding_is_accepted_in_http_1_1(version: bytes) -> None:
    error = find_framing_error(b"POST /a HTTP/" + version, [HOST, (b"Transfer-Encoding", b"Chunked")])
    assert error == (
        None if version == b"1.1" else "HTTP/1.0 does not define Transfer-Encoding: send Content-Length"
    )


def test_missing_host_is_accepted_in_http_1_0_only() -> None:
    assert find_framing_error(b"GET / HTTP/1.0", []) is None
    assert find_framing_error(b"GET / HTTP/1.1", []) == "there must be exactly one Host header"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([HOST, HOST], "there must be exactly one Host header"),
        ([(b"host", b"")], "Host must be a host name or an address, with an optional port"),
        ([HOST, (b"transfer-encoding", b"gzip, chunked")], "Transfer-Encoding must be chunked and nothing else"),
        (
            [HOST, (b"transfer-encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")],
            "Transfer-Encoding must be chunked and nothing else",
        ),
    ],
)
def test_ambiguous_headers_are_named(headers: list[tuple[bytes, bytes]], message: str) -> None:
    assert find_framing_error(LINE, headers) == message


@pytest.mark.parametrize(
    "line", [b"", b"GET", b"GET /", b"GET / HTTP/3.0", b"GET / HTTP/1.1\r", b"G\xc3\x84T / HTTP/1.1"]
)
def test_other_request_lines_are_refused(line: bytes) -> None:
    assert (find_framing_error(line, [HOST]) or "").startswith("the request line must be")
