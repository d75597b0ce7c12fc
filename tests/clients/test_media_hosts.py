"""What hosts answer instead of a video: object stores, share pages, hosts that lie. All of it on a real socket."""

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

from clients.media_probe import MediaChecker
from clients.range_requests import FetchLimits
from models.errors import MediaUnreachable
from models.media import Demands, MediaReport, MediaRole
from simulator.serving import serving
from tests.clients.recordings import recorded

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


Answer = Callable[[Request], Response]


class Host:
    """A host whose every path answers as a test says."""

    def __init__(self, port: int, trusting: ssl.SSLContext) -> None:
        self.port = port
        self.trusting = trusting
        self.answer: Answer = lambda _: Response(status_code=404)

    def check(self, name: str = "127.0.0.1", path: str = "v.mp4", **options: Any) -> MediaReport:
        resolve = lambda _host, port, **_: [(0, 0, 0, "", ("127.0.0.1", port))]  # noqa: E731
        with MediaChecker(
            allowed_hosts=NAMES,
            ssl_context=self.trusting,
            resolve=resolve,
            now=lambda: NOW,
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

    async def answer(request: Request) -> Response:
        return started[0].answer(request)

    started: list[Host] = []
    app = Starlette(routes=[Route("/{path:path}", answer)])
    with serving(app, certificate=certificate) as url:
        started.append(Host(int(url.rpartition(":")[2]), trusting))
        yield started[0]


@pytest.fixture
def host(running: Host) -> Host:
    return running


def codes(report: MediaReport) -> list[str]:
    return [reason.code.removeprefix("consent.") for reason in report.reasons]


@pytest.mark.parametrize(
    ("status", "body", "headers", "code", "told"),
    [
        (403, error("AccessDenied"), {}, "forbidden", "list the bucket"),
        (403, error("AccessDenied", "Request has expired"), {}, "url-expired", "sign the URL anew"),
        (403, error("ExpiredToken"), {}, "url-expired", "sign the URL anew"),
        (400, error("ExpiredToken"), {}, "url-expired", "sign the URL anew"),
        (403, error("ExpiredRequest"), {}, "url-expired", "sign the URL anew"),
        (403, error("SignatureDoesNotMatch"), {}, "bad-signature", "&amp;"),
        (403, error("InvalidAccessKeyId"), {}, "bad-signature", "key"),
        (400, error("AuthorizationQueryParametersError"), {}, "bad-signature", "GET"),
        (403, error("MissingKey"), {}, "bad-signature", "GET"),
        (403, error("InvalidObjectState"), {}, "archived", "cold storage"),
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
            "sign the URL anew",
        ),
        (409, "", {"x-ms-error-code": "PublicAccessNotPermitted"}, "forbidden", "signer"),
        (409, "", {"x-ms-error-code": "BlobArchived"}, "archived", "cold storage"),
        (403, PAGE, {}, "forbidden", "private browser window"),
        (401, "", {}, "forbidden", "private browser window"),
        (404, PAGE, {}, "not-found", "typo"),
        (410, "", {}, "not-found", "typo"),
        (451, error(SECRET), {}, "refused", "private browser window"),
        (403, "<Code>" + "A" * 100_000, {}, "forbidden", "private browser window"),
    ],
)
def test_the_refusals_of_object_stores_are_told_apart(
    status: int, body: str, headers: dict[str, str], code: str, told: str, host: Host
) -> None:
    host.answer = lambda _: Response(body, status_code=status, headers=headers)
    report = host.check(path=f"v.mp4?X-Amz-Signature={SECRET}")
    assert codes(report) == [code]
    assert told in report.reasons[0].hint
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
def test_a_page_of_a_sharing_service_is_named_with_the_way_out(
    name: str, service: str, status: int, host: Host
) -> None:
    host.answer = lambda _: Response(PAGE, status_code=status, media_type="text/html")
    report = host.check(name, f"file/d/1/view?usp={SECRET}")
    assert codes(report) == ["share-page"]
    assert service in report.reasons[0].message
    assert "presigned URL" in report.reasons[0].hint
    assert SECRET not in report.model_dump_json()


def test_a_share_link_that_redirects_to_a_login_elsewhere_is_one_too(host: Host) -> None:
    login = f"https://127.0.0.1:{host.port}/login"
    host.answer = lambda request: (
        Response(PAGE) if request.url.path == "/login" else Response(status_code=302, headers={"location": login})
    )
    assert codes(host.check("drive.google.com")) == ["share-page"]


def test_a_link_of_a_sharing_service_that_leads_to_the_file_is_good(host: Host) -> None:
    host.answer = lambda _: Response(recorded(12), media_type="application/binary")
    assert codes(host.check("www.dropbox.com", "scl/fi/1/v.mp4?dl=1")) == []


def test_a_host_that_only_sounds_like_one_is_not_taken_for_it(host: Host) -> None:
    host.answer = lambda _: Response(PAGE)
    assert codes(host.check("notdropbox.com")) == ["not-a-video"]


# Presigned URLs


@pytest.mark.parametrize(
    ("left", "reasons", "warnings"),
    [(-60, ["url-expired"], []), (600, [], ["url-expires-soon"]), (7200, [], [])],
)
def test_a_presigned_url_must_last(left: int, reasons: list[str], warnings: list[str], host: Host) -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Response:
        asked.append(request)
        return Response(recorded(12))

    host.answer = answer
    ends = int(NOW.timestamp()) + left
    report = host.check(path=f"v.mp4?AWSAccessKeyId=K&Expires={ends}&Signature={SECRET}")
    assert codes(report) == reasons
    assert [warning.code.removeprefix("consent.") for warning in report.warnings] == warnings
    assert SECRET not in report.model_dump_json()
    assert bool(asked) is not bool(reasons)


def test_how_long_it_must_last_is_the_operators(host: Host) -> None:
    host.answer = lambda _: Response(recorded(12))
    ends = int(NOW.timestamp()) + 600
    report = host.check(
        path=f"v.mp4?AWSAccessKeyId=K&Expires={ends}&Signature=s", demands=Demands(url_margin_seconds=500)
    )
    assert report.warnings == []


@pytest.mark.parametrize(
    ("level", "reasons", "warnings"),
    [("strict", ["no-audio"], []), ("warn", [], ["consent.no-audio"]), ("off", [], [])],
)
def test_how_much_a_missing_sound_counts_is_the_operators(
    level: Any, reasons: list[str], warnings: list[str], host: Host
) -> None:
    host.answer = lambda _: Response(recorded(12, sound=0))
    report = host.check(demands=Demands(consent_audio=level))
    assert codes(report) == reasons
    assert [warning.code for warning in report.warnings] == warnings


# Hosts that lie


@pytest.mark.parametrize("content_type", ["text/html", "audio/mpeg", "application/json", ""])
def test_what_a_host_calls_a_file_does_not_count(content_type: str, host: Host) -> None:
    host.answer = lambda _: Response(recorded(12), headers={"content-type": content_type})
    assert codes(host.check(path="v.txt")) == []


def whole(data: bytes, length: int | None) -> Answer:
    """An answer of 200 that announces a length of its own, or none."""

    async def body() -> AsyncIterator[bytes]:
        yield data

    headers = {} if length is None else {"content-length": str(length)}
    return lambda _: StreamingResponse(body(), headers=headers)


def test_a_host_that_tells_no_length_is_read_to_its_end(host: Host) -> None:
    host.answer = whole(recorded(12), None)
    report = host.check()
    assert report.facts is not None
    assert (codes(report), report.facts.size_bytes) == ([], len(recorded(12)))


def test_a_length_that_is_too_long_leaves_the_video_unknown(host: Host) -> None:
    data = recorded(12)
    host.answer = whole(data[:-100], len(data))
    with pytest.raises(MediaUnreachable):
        host.check()


def test_a_length_that_is_too_short_is_a_file_cut_off(host: Host) -> None:
    data = recorded(12)
    host.answer = whole(data[: len(data) - 100], None)
    assert codes(host.check()) == ["cut-off"]


@pytest.mark.parametrize("more", [-100, 100, 10**9])
def test_a_lie_about_the_size_behind_a_range_is_found_out(more: int, host: Host) -> None:
    data = recorded(12, movflags="faststart")

    def part(request: Request) -> Response:
        first, last = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
        body = data[first : last + 1]
        told = f"bytes {first}-{first + len(body) - 1}/{len(data) + more}"
        return Response(body, status_code=206, headers={"content-range": told})

    host.answer = part
    with pytest.raises(MediaUnreachable):
        host.check()


def test_an_endless_answer_ends_at_the_size_that_a_consent_may_have(host: Host) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield recorded(12)[:-200]
        while True:
            yield bytes(1024 * 1024)
            await asyncio.sleep(0)  # let the server notice that the caller has gone

    host.answer = lambda _: StreamingResponse(body())
    assert codes(host.check()) == ["file-too-big"]


def test_a_slow_answer_ends_with_the_time_budget(host: Host) -> None:
    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.05)

    host.answer = lambda _: StreamingResponse(body())
    with pytest.raises(MediaUnreachable, match="not read within"):
        host.check(limits=FetchLimits(seconds=0.5))
