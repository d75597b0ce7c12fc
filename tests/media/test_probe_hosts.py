"""Responses instead of a video, over real sockets: object stores, share pages, misbehaving hosts."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from media.checker import MediaChecker
from media.remote.fetch_limits import FetchLimits
from models.clock import SystemClock
from models.errors import MediaUnreachable
from models.media.report import MediaReport
from models.media.rules import MediaPolicy, MediaRole
from simulator.uvicorn_thread import serve_in_thread
from tests.media.sample_files import encode_video

CONSENT = MediaRole.CONSENT
NAMES = (
    "127.0.0.1",
    "drive.google.com",
    "www.dropbox.com",
    "1drv.ms",
    "ada-my.sharepoint.com",
    "wetransfer.com",
    "notdropbox.com",
)
SECRET = "CANARY"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PAGE = "<!DOCTYPE html><html><body>Sign in</body></html>"


def error(code: str, message: str = "") -> str:
    return f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>{message} {SECRET}</Message></Error>'


Responder = Callable[[Request], Response]


class FixedDateClock(SystemClock):
    """The system clock, but always at the same date."""

    def now(self) -> datetime:
        return NOW


class Host:
    """A host whose response to every path is set by the test."""

    def __init__(self, port: int, trusting: ssl.SSLContext) -> None:
        self.port = port
        self.trusting = trusting
        self.respond: Responder = lambda _: Response(status_code=404)

    def check(self, name: str = "127.0.0.1", path: str = "v.mp4", **options: Any) -> MediaReport:
        resolve = lambda _host, port, **_: [(0, 0, 0, "", ("127.0.0.1", port))]  # noqa: E731
        with MediaChecker(
            allowed_hosts=NAMES,
            ssl_context=self.trusting,
            resolve=resolve,
            clock=FixedDateClock(),
            sleep=lambda _: None,
            **options,
        ) as checker:
            url = f"https://{name}:{self.port}/{path}"
            return asyncio.run(checker.check(url, CONSENT))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    certificate: Path = folder / "host.pem"
    authority.issue_cert(*NAMES).private_key_and_cert_chain_pem.write_to_path(certificate)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def endpoint(request: Request) -> Response:
        return started[0].respond(request)

    started: list[Host] = []
    app = Starlette(routes=[Route("/{path:path}", endpoint)])
    with serve_in_thread(app, certificate=certificate, date_header=False) as url:
        started.append(Host(int(url.rpartition(":")[2]), trusting))
        yield started[0]


@pytest.fixture
def host(running: Host) -> Host:
    return running


def codes(report: MediaReport) -> list[str]:
    return [reason.code.removeprefix("consent.") for reason in report.reasons]


@pytest.mark.parametrize(
    ("status", "body", "headers", "code", "hint"),
    [
        (403, error("AccessDenied"), {}, "forbidden", "list the bucket"),
        (403, error("AccessDenied", "Request has expired"), {}, "url-expired", "sign the URL again"),
        (403, error("ExpiredToken"), {}, "url-expired", "sign the URL again"),
        (400, error("ExpiredToken"), {}, "url-expired", "sign the URL again"),
        (403, error("ExpiredRequest"), {}, "url-expired", "sign the URL again"),
        (403, error("SignatureDoesNotMatch"), {}, "bad-signature", "&amp;"),
        (403, error("InvalidAccessKeyId"), {}, "bad-signature", "key"),
        (400, error("AuthorizationQueryParametersError"), {}, "bad-signature", "GET"),
        (403, error("MissingKey"), {}, "bad-signature", "GET"),
        (403, error("InvalidObjectState"), {}, "cold-storage", "cold storage"),
        (404, error("NoSuchKey"), {}, "not-found", "moved or deleted"),
        (404, error("NoSuchBucket"), {}, "not-found", "bucket"),
        (404, "", {"x-ms-error-code": "BlobNotFound"}, "not-found", "moved or deleted"),
        (404, "", {"x-ms-error-code": "ContainerNotFound"}, "not-found", "container"),
        (403, "", {"x-ms-error-code": "AuthenticationFailed"}, "bad-signature", "GET"),
        (
            403,
            error("AuthenticationFailed", "Signature not valid in the specified time frame"),
            {"x-ms-error-code": "AuthenticationFailed"},
            "url-expired",
            "sign the URL again",
        ),
        (409, "", {"x-ms-error-code": "PublicAccessNotPermitted"}, "forbidden", "signer"),
        (409, "", {"x-ms-error-code": "BlobArchived"}, "cold-storage", "cold storage"),
        (403, PAGE, {}, "forbidden", "private browser window"),
        (401, "", {}, "forbidden", "private browser window"),
        (404, PAGE, {}, "not-found", "typo"),
        (410, "", {}, "not-found", "typo"),
        (451, error(SECRET), {}, "http-client-error", "private browser window"),
        (403, "<Code>" + "A" * 100_000, {}, "forbidden", "private browser window"),
    ],
)
def test_storage_errors_map_to_codes_and_hints(
    status: int, body: str, headers: dict[str, str], code: str, hint: str, host: Host
) -> None:
    host.respond = lambda _: Response(body, status_code=status, headers=headers)
    report = host.check(path=f"v.mp4?X-Amz-Signature={SECRET}")
    assert codes(report) == [code]
    assert hint in report.reasons[0].hint
    assert SECRET not in report.model_dump_json()


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("drive.google.com", "Google Drive"),
        ("www.dropbox.com", "Dropbox"),
        ("1drv.ms", "OneDrive"),
        ("ada-my.sharepoint.com", "OneDrive"),
        ("wetransfer.com", "WeTransfer"),
    ],
)
@pytest.mark.parametrize("status", [200, 403, 404])
def test_share_page_names_the_service_and_a_fix(name: str, service: str, status: int, host: Host) -> None:
    host.respond = lambda _: Response(PAGE, status_code=status, media_type="text/html")
    report = host.check(name, f"file/d/1/view?usp={SECRET}")
    assert codes(report) == ["share-page"]
    assert service in report.reasons[0].message
    assert "presigned URL" in report.reasons[0].hint
    assert SECRET not in report.model_dump_json()


def test_share_link_redirected_to_a_login_is_a_share_page(host: Host) -> None:
    login = f"https://127.0.0.1:{host.port}/login"
    host.respond = lambda request: (
        Response(PAGE) if request.url.path == "/login" else Response(status_code=302, headers={"location": login})
    )
    assert codes(host.check("drive.google.com")) == ["share-page"]


def test_share_link_to_the_file_is_accepted(host: Host) -> None:
    host.respond = lambda _: Response(encode_video(12), media_type="application/binary")
    assert codes(host.check("www.dropbox.com", "scl/fi/1/v.mp4?dl=1")) == []


def test_similar_host_name_is_not_a_sharing_service(host: Host) -> None:
    host.respond = lambda _: Response(PAGE)
    assert codes(host.check("notdropbox.com")) == ["not-a-video"]


# Presigned URLs


@pytest.mark.parametrize(
    ("validity_seconds", "reasons", "warnings"),
    [(-60, ["url-expired"], []), (600, [], ["url-expires-soon"]), (7200, [], [])],
)
def test_presigned_url_expiry_is_checked(
    validity_seconds: int, reasons: list[str], warnings: list[str], host: Host
) -> None:
    requests: list[Request] = []

    def respond(request: Request) -> Response:
        requests.append(request)
        return Response(encode_video(12))

    host.respond = respond
    expires = int(NOW.timestamp()) + validity_seconds
    report = host.check(path=f"v.mp4?AWSAccessKeyId=K&Expires={expires}&Signature={SECRET}")
    assert codes(report) == reasons
    assert [warning.code.removeprefix("consent.") for warning in report.warnings] == warnings
    assert SECRET not in report.model_dump_json()
    assert requests


def test_min_validity_of_presigned_urls_is_configurable(host: Host) -> None:
    host.respond = lambda _: Response(encode_video(12))
    expires = int(NOW.timestamp()) + 600
    report = host.check(
        path=f"v.mp4?AWSAccessKeyId=K&Expires={expires}&Signature=s",
        policy=MediaPolicy(url_min_validity_seconds=500),
    )
    assert report.warnings == []


@pytest.mark.parametrize(
    ("enforcement", "reasons", "warnings"),
    [("strict", ["no-audio"], []), ("warn", [], ["consent.no-audio"]), ("off", [], [])],
)
def test_enforcement_of_missing_audio_is_configurable(
    enforcement: Any, reasons: list[str], warnings: list[str], host: Host
) -> None:
    host.respond = lambda _: Response(encode_video(12, sound=0))
    report = host.check(policy=MediaPolicy(consent_audio=enforcement))
    assert codes(report) == reasons
    assert [warning.code for warning in report.warnings] == warnings


# Misbehaving hosts


@pytest.mark.parametrize("content_type", ["text/html", "audio/mpeg", "application/json", ""])
def test_content_type_and_file_name_are_ignored(content_type: str, host: Host) -> None:
    host.respond = lambda _: Response(encode_video(12), headers={"content-type": content_type})
    assert codes(host.check(path="v.txt")) == []


def full_response(data: bytes, length: int | None) -> Responder:
    """Return a responder that sends 200 with the given Content-Length, or without one."""

    async def body() -> AsyncIterator[bytes]:
        yield data

    headers = {} if length is None else {"content-length": str(length)}
    return lambda _: StreamingResponse(body(), headers=headers)


def test_response_without_length_is_read_completely(host: Host) -> None:
    host.respond = full_response(encode_video(12), None)
    report = host.check()
    assert report.facts is not None
    assert (codes(report), report.facts.size_bytes) == ([], len(encode_video(12)))


def test_too_large_content_length_is_unreachable(host: Host) -> None:
    data = encode_video(12)
    host.respond = full_response(data[:-100], len(data))
    with pytest.raises(MediaUnreachable):
        host.check()


def test_short_body_without_length_is_truncated(host: Host) -> None:
    data = encode_video(12)
    host.respond = full_response(data[: len(data) - 100], None)
    assert codes(host.check()) == ["truncated"]


@pytest.mark.parametrize("excess", [-100, 100, 10**9])
def test_wrong_size_in_content_range_is_unreachable(excess: int, host: Host) -> None:
    data = encode_video(12, movflags="faststart")

    def partial_content(request: Request) -> Response:
        first, last = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
        body = data[first : last + 1]
        content_range = f"bytes {first}-{first + len(body) - 1}/{len(data) + excess}"
        return Response(body, status_code=206, headers={"content-range": content_range})

    host.respond = partial_content
    with pytest.raises(MediaUnreachable):
        host.check()


def test_endless_response_stops_at_the_size_rule(host: Host) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield encode_video(12)[:-200]
        while True:
            yield bytes(1024 * 1024)
            await asyncio.sleep(0)  # let the server notice that the client has disconnected

    host.respond = lambda _: StreamingResponse(body())
    assert codes(host.check()) == ["file-too-large"]


def test_slow_response_stops_at_the_deadline(host: Host) -> None:
    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.05)

    host.respond = lambda _: StreamingResponse(body())
    with pytest.raises(MediaUnreachable, match="not read within"):
        host.check(limits=FetchLimits(timeout_seconds=0.5))
