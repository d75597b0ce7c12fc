"""Refused signatures over real HTTPS: each problem by its name, with the time, judged by the host's clock."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from media.checker import MediaChecker
from media.remote.storage_errors import storage_error
from models.clock import SystemClock
from models.media.codes import MediaCode
from models.media.report import MediaReport
from models.media.rules import MediaRole
from models.recordings.signature_terms import SignatureTerms
from simulator.uvicorn_thread import serve_in_thread
from tests.media.sample_files import encode_video

SECRET = "CANARY"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class WrongClock(SystemClock):
    """The clock of a machine whose date is wrong by `error`."""

    def __init__(self, error: timedelta) -> None:
        self.error = error

    def now(self) -> datetime:
        return NOW + self.error


class Store:
    """A host whose response, with its Date, is set by the test."""

    def __init__(self, port: int, trusting: ssl.SSLContext) -> None:
        self.port = port
        self.trusting = trusting
        self.respond: Callable[[Request], Response] = lambda _: Response(status_code=404)

    def check(
        self,
        query: str,
        status: int = 200,
        body: str = "",
        *,
        clock_error: timedelta = timedelta(0),
        **headers: str,
    ) -> MediaReport:
        content = encode_video(12) if status == 200 else body
        self.respond = lambda _: Response(content, status, headers)
        return self.check_current(query, clock_error)

    def check_current(self, query: str, clock_error: timedelta = timedelta(0)) -> MediaReport:
        """Check a URL of this host, which responds as the test has set it."""
        with MediaChecker(
            allowed_hosts={"127.0.0.1"},
            ssl_context=self.trusting,
            clock=WrongClock(clock_error),
            sleep=lambda _: None,
        ) as checker:
            url = f"https://127.0.0.1:{self.port}/v.mp4?{query}"
            report = asyncio.run(checker.check(url, MediaRole.CONSENT))
        assert SECRET not in report.model_dump_json()
        return report


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    authority = trustme.CA()
    certificate: Path = tmp_path_factory.mktemp("certificates") / "host.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    stores: list[Store] = []

    async def respond(request: Request) -> Response:
        return stores[0].respond(request)

    with serve_in_thread(
        Starlette(routes=[Route("/v.mp4", respond)]), certificate=certificate, date_header=False
    ) as url:
        stores.append(Store(int(url.rpartition(":")[2]), trusting))
        yield stores[0]


@pytest.fixture
def store(running: Store) -> Store:
    return running


def http_date(time: datetime) -> str:
    return format_datetime(time, usegmt=True)


def aws(signed: datetime, seconds: int = 3600) -> str:
    return f"X-Amz-Date={signed:%Y%m%dT%H%M%SZ}&X-Amz-Expires={seconds}&X-Amz-Signature={SECRET}"


def azure(**times: str) -> str:
    return "&".join(f"{name}={time}" for name, time in times.items()) + f"&sp=r&sig={SECRET}"


def jwt(**claims: Any) -> str:
    header, payload = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "HS256"}, claims)
    )
    return f"token={header}.{payload}.{SECRET}"


def xml(code: str, message: str = "", more: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>{more}<Signature>{SECRET}</Signature></Error>"
    )


def azure_xml(detail: str) -> str:
    message = "Server failed to authenticate the request.\nRequestId:1\nTime:2026-11-23T12:00:00.1234567Z"
    return xml("AuthenticationFailed", message, f"<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail>")


def supabase(error: str, message: str, status: str = "400") -> str:
    return json.dumps({"statusCode": status, "error": error, "message": message, "echo": SECRET})


def epoch(time: datetime) -> int:
    return int(time.timestamp())


FUTURE, PAST = NOW + DAY, NOW - DAY
WEEK_ERROR = (
    "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
    "604800 seconds"
)


@pytest.mark.parametrize(
    ("query", "status", "body", "code", "detail"),
    [
        # Not yet valid
        (
            aws(FUTURE),
            403,
            xml("AccessDenied", "Request is not yet valid", "<ServerTime>2026-11-23T12:00:00Z</ServerTime>"),
            "url-not-yet-valid",
            "valid from 2026-11-24 12:00:00 UTC, in 1 day",
        ),
        (
            aws(FUTURE),
            403,
            xml("AccessDenied", "Request is not valid yet"),
            "url-not-yet-valid",
            "2026-11-24 12:00:00 UTC",
        ),
        (
            aws(FUTURE),
            403,
            xml(
                "RequestTimeTooSkewed",
                "The difference between the request time and the server's time is too large.",
            ),
            "url-not-yet-valid",
            "2026-11-24 12:00:00 UTC",
        ),
        (f"X-Amz-Signature={SECRET}", 403, xml("RequestTimeTooSkewed"), "url-not-yet-valid", ""),
        (
            aws(FUTURE).replace("Amz", "Goog"),
            400,
            xml("ExpiredToken", "Invalid argument.", "<Details>Request is not yet valid.</Details>"),
            "url-not-yet-valid",
            "2026-11-24 12:00:00 UTC",
        ),
        (
            azure(st="2026-11-24T12:00:00Z", se="2026-11-25T12:00:00Z"),
            403,
            azure_xml("Signature not valid in the specified time frame"),
            "url-not-yet-valid",
            "2026-11-24 12:00:00 UTC",
        ),
        # A stored access policy: the times are in the response only.
        (
            f"si=policy&sig={SECRET}",
            403,
            azure_xml(
                "Signature not valid in the specified time frame: Start [Tue, 24 Nov 2026 12:00:00 GMT] - "
                "Expiry [Wed, 25 Nov 2026 12:00:00 GMT] - Current [Mon, 23 Nov 2026 12:00:00 GMT]"
            ),
            "url-not-yet-valid",
            "valid from 2026-11-24 12:00:00 UTC, in 1 day",
        ),
        (azure(st="2026-11-24", se="2026-11-25"), 403, "", "url-not-yet-valid", "2026-11-24 00:00:00 UTC"),
        (
            jwt(nbf=epoch(FUTURE)),
            400,
            supabase("InvalidJWT", '"nbf" claim timestamp check failed'),
            "url-not-yet-valid",
            "2026-11-24 12:00:00 UTC",
        ),
        (jwt(nbf=epoch(FUTURE)), 401, "", "url-not-yet-valid", "2026-11-24 12:00:00 UTC"),
        (
            f"Key-Pair-Id=K&Signature={SECRET}&Policy="
            + base64.b64encode(
                json.dumps(
                    {
                        "Statement": [
                            {
                                "Condition": {
                                    "DateGreaterThan": {"AWS:EpochTime": epoch(FUTURE)},
                                    "DateLessThan": {"AWS:EpochTime": epoch(FUTURE + DAY)},
                                }
                            }
                        ]
                    }
                ).encode()
            )
            .decode()
            .translate(str.maketrans("+=/", "-_~")),
            403,
            xml("AccessDenied", "Access denied"),
            "url-not-yet-valid",
            "2026-11-24 12:00:00 UTC",
        ),
        # Too long
        (
            aws(NOW, 604801),
            400,
            xml("AuthorizationQueryParametersError", WEEK_ERROR),
            "url-lifetime-too-long",
            "604,801 seconds, until 2026-11-30 12:00:01 UTC; the limit is 604,800 seconds (7 days)",
        ),
        (
            f"X-Amz-Signature={SECRET}",
            400,
            xml("AuthorizationQueryParametersError", WEEK_ERROR),
            "url-lifetime-too-long",
            "",
        ),
        (
            aws(NOW, 700_000).replace("Amz", "Goog"),
            400,
            xml("InvalidArgument", "Invalid argument."),
            "url-lifetime-too-long",
            "700,000 seconds",
        ),
        (
            aws(NOW, 691_200).replace("X-Amz", "x-oss"),
            400,
            xml("AuthorizationQueryParametersError"),
            "url-lifetime-too-long",
            "691,200 seconds",
        ),
        # Expired
        (
            aws(PAST),
            403,
            xml("AccessDenied", "Request has expired", "<Expires>2026-11-22T13:00:00Z</Expires>"),
            "url-expired",
            "expired at 2026-11-22 13:00:00 UTC, 23 hours ago",
        ),
        (aws(PAST), 403, "<html>Forbidden</html>", "url-expired", "2026-11-22 13:00:00 UTC"),
        (
            aws(PAST).replace("Amz", "Goog"),
            400,
            xml(
                "ExpiredToken",
                "Invalid argument.",
                "<Details>The provided token has expired. Request signature expired at: "
                "2026-11-22T13:00:00+00:00</Details>",
            ),
            "url-expired",
            "2026-11-22 13:00:00 UTC",
        ),
        (
            azure(se="2026-11-22T12:00:00Z"),
            403,
            azure_xml(
                "Signed expiry time [Sun, 22 Nov 2026 12:00:00 GMT] must be after signed start time "
                "[Mon, 23 Nov 2026 12:00:00 GMT]"
            ),
            "url-expired",
            "2026-11-22 12:00:00 UTC, 1 day ago",
        ),
        (
            f"si=policy&sig={SECRET}",
            403,
            azure_xml(
                "Signed expiry time [Sun, 22 Nov 2026 12:00:00 GMT] has to be after signed start time "
                "[Mon, 23 Nov 2026 12:00:00 GMT]"
            ),
            "url-expired",
            "2026-11-22 12:00:00 UTC",
        ),
        (azure(se="2026-11-23T11:59:59.1234567Z"), 403, azure_xml(""), "url-expired", "2026-11-23 11:59:59 UTC"),
        (azure(se="2026-11-23T11:59Z"), 403, azure_xml(""), "url-expired", "2026-11-23 11:59:00 UTC"),
        (azure(se="2027-11-23", ske="2026-11-23"), 403, azure_xml(""), "url-expired", "2026-11-23 00:00:00 UTC"),
        (
            f"Expires={epoch(PAST)}&Key-Pair-Id=K&Signature={SECRET}",
            403,
            xml("AccessDenied"),
            "url-expired",
            "1 day ago",
        ),
        (
            f"OSSAccessKeyId=K&Expires={epoch(PAST)}&Signature={SECRET}",
            403,
            xml("AccessDenied", "Request has expired."),
            "url-expired",
            "1 day ago",
        ),
        (
            f"x-oss-signature-version=OSS2&x-oss-expires={epoch(PAST)}&x-oss-signature={SECRET}",
            403,
            "",
            "url-expired",
            "1 day ago",
        ),
        (
            f"q-sign-time={epoch(PAST)};{epoch(NOW - DAY / 2)}&q-signature={SECRET}",
            403,
            xml("AccessDenied"),
            "url-expired",
            "12 hours ago",
        ),
        (f"hdnts=st={epoch(PAST)}~exp={epoch(NOW)}~acl=/*~hmac={SECRET}", 403, "", "url-expired", "0 seconds ago"),
        (f"token={SECRET}&expires={epoch(PAST)}", 403, "", "url-expired", "1 day ago"),
        (
            jwt(iat=epoch(PAST), exp=epoch(PAST) + 60),
            400,
            supabase("InvalidJWT", '"exp" claim timestamp check failed'),
            "url-expired",
            "2026-11-22 12:01:00 UTC, 23 hours ago",
        ),
        (jwt(exp=epoch(PAST)), 400, supabase("jwt expired", "jwt expired"), "url-expired", "1 day ago"),
        (jwt(exp=epoch(PAST) + 0.5), 401, "", "url-expired", "2026-11-22 12:00:00 UTC"),
        # The credentials expired before the URL.
        (
            aws(NOW),
            403,
            xml("ExpiredToken", "The provided token has expired."),
            "url-expired",
            "states 2026-11-23 13:00:00 UTC",
        ),
        # Malformed
        (
            aws(NOW).replace("3600", "1h"),
            400,
            xml("AuthorizationQueryParametersError", "X-Amz-Expires should be a number"),
            "malformed-signature",
            "X-Amz-Expires",
        ),
        (
            f"X-Amz-Date=today&X-Amz-Expires=60&X-Amz-Signature={SECRET}",
            400,
            xml("AuthorizationQueryParametersError"),
            "malformed-signature",
            "X-Amz-Date",
        ),
        (azure(se="tomorrow"), 403, azure_xml("se is not valid"), "malformed-signature", "se of"),
        (
            azure(st="2026-11-25", se="2026-11-24"),
            403,
            azure_xml(
                "Signed expiry time [Tue, 24 Nov 2026 00:00:00 GMT] must be after signed start time "
                "[Wed, 25 Nov 2026 00:00:00 GMT]"
            ),
            "malformed-signature",
            "ends at 2026-11-24 00:00:00 UTC, but starts at 2026-11-25 00:00:00 UTC",
        ),
        (
            f"Policy=%00&Key-Pair-Id=K&Signature={SECRET}",
            400,
            xml("MalformedPolicy"),
            "malformed-signature",
            "Policy",
        ),
        (jwt(exp="soon"), 400, "", "malformed-signature", "token"),
        # Other refusals keep their names.
        (aws(NOW), 403, xml("SignatureDoesNotMatch"), "bad-signature", ""),
        (aws(PAST), 403, xml("InvalidAccessKeyId"), "bad-signature", ""),
        (aws(NOW), 403, xml("AccessDenied", "Access Denied"), "forbidden", ""),
        # Stores accept a clock that is up to 15 minutes fast.
        (aws(NOW + timedelta(minutes=5)), 403, xml("AccessDenied", "Access Denied"), "forbidden", ""),
        # Some stores permit more than seven days.
        (aws(NOW, 2_592_000), 403, xml("AccessDenied", "Access Denied"), "forbidden", ""),
        (aws(NOW), 403, xml("RequestTimeTooSkewed"), "bad-signature", ""),
        (
            aws(NOW),
            400,
            xml("AuthorizationQueryParametersError", "the region 'us-east-1' is wrong; expecting 'eu-west-1'"),
            "bad-signature",
            "",
        ),
        (jwt(exp=epoch(FUTURE)), 400, supabase("InvalidJWT", "signature verification failed"), "bad-signature", ""),
        (jwt(exp=epoch(FUTURE)), 400, supabase("not_found", "Object not found", "404"), "not-found", ""),
        (jwt(exp=epoch(FUTURE)), 400, supabase("Bucket not found", "Bucket not found", "404"), "not-found", ""),
        (aws(PAST), 404, xml("NoSuchKey"), "not-found", ""),
        (
            aws(NOW),
            403,
            xml("InvalidObjectState", "The operation is not valid for the object's storage class"),
            "cold-storage",
            "",
        ),
        (
            aws(NOW),
            400,
            xml("UserProjectMissing", "Bucket is a requester pays bucket but no user project provided."),
            "requester-pays",
            "",
        ),
        (
            aws(NOW),
            400,
            json.dumps(
                {
                    "error": {
                        "code": 400,
                        "message": "Bucket is a requester pays bucket but no user project provided.",
                    }
                }
            ),
            "requester-pays",
            "",
        ),
        (
            aws(NOW),
            403,
            xml("AccessDenied", "User: arn:aws:iam::1:user/a is not authorized to perform: kms:Decrypt"),
            "encryption-key-denied",
            "",
        ),
        (aws(NOW), 400, xml("KMS.DisabledException"), "encryption-key-denied", ""),
        # A page is not an error document: its words mean nothing.
        (aws(NOW), 403, "<html>Request has expired, requester pays</html>", "forbidden", ""),
    ],
)
def test_refused_signature_is_named_with_its_time(
    query: str, status: int, body: str, code: str, detail: str, store: Store
) -> None:
    report = store.check(query, status, body, date=http_date(NOW))
    [reason] = report.reasons
    assert reason.code == f"consent.{code}"
    assert detail in reason.message
    assert bool(detail) is ("its signature" in reason.message)
    assert reason.hint


@pytest.mark.parametrize("error", [-400 * DAY, -DAY, DAY, 400 * DAY])
def test_wrong_clock_of_this_machine_does_not_matter(error: timedelta, store: Store) -> None:
    valid = store.check(aws(NOW - DAY / 2, 86_400), clock_error=error, date=http_date(NOW))
    assert (valid.reasons, valid.warnings) == ([], [])
    soon = store.check(aws(NOW, 600), clock_error=error, date=http_date(NOW))
    assert [warning.code for warning in soon.warnings] == ["consent.url-expires-soon"]
    expired = store.check(aws(PAST), 403, xml("AccessDenied"), clock_error=error, date=http_date(NOW))
    assert "23 hours ago" in expired.reasons[0].message


def test_expired_by_the_date_of_the_host_is_rejected(store: Store) -> None:
    report = store.check(aws(NOW), clock_error=-DAY, date=http_date(NOW + DAY))
    assert [reason.code for reason in report.reasons] == ["consent.url-expired"]


def test_age_of_a_cached_response_counts(store: Store) -> None:
    report = store.check(aws(NOW, 600), date=http_date(NOW - DAY), age="86400")
    assert "in 10 minutes" in report.warnings[0].message


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_unusable_date_of_the_host_is_ignored(date: str, store: Store) -> None:
    report = store.check(aws(NOW, 600), date=date, age="999999999")
    assert "in 10 minutes" in report.warnings[0].message


def test_redirect_to_an_expired_url_is_named(store: Store) -> None:
    def respond(request: Request) -> Response:
        if "X-Amz-Date" in request.url.query:
            return Response(xml("AccessDenied"), 403, {"date": http_date(NOW)})
        return Response(status_code=307, headers={"location": f"/v.mp4?{aws(PAST)}"})

    store.respond = respond
    [reason] = store.check_current("id=1").reasons
    assert reason.code == "consent.url-expired"
    assert "2026-11-22 13:00:00 UTC" in reason.message


@pytest.mark.parametrize(
    "query",
    [aws(NOW + timedelta(minutes=5), 86_400), aws(FUTURE), aws(NOW, 2_592_000), jwt(exp="soon"), azure(se="soon")],
)
def test_host_that_accepts_a_signature_is_right(query: str, store: Store) -> None:
    report = store.check(query, date=http_date(NOW))
    assert (report.reasons, report.warnings) == ([], [])


_FRAGMENTS = st.sampled_from(
    [
        b"<Error><Code>",
        b"</Code>",
        b"AccessDenied",
        b"AuthenticationFailed",
        b"RequestTimeTooSkewed",
        b"not valid in the specified time frame: Start [",
        b"Expiry [Mon, 31 Dec 9999 23:59:59 GMT]",
        b"Signed expiry time [Mon, 01 Jan 0001 00:00:00 GMT] must be after signed start time",
        b"<RequestTime>99Z</RequestTime><ServerTime>1Z</ServerTime>",
        b'{"statusCode":"404","error":"',
        b"Request has expired",
        SECRET.encode(),
    ]
)

_TIMES = (None, PAST, NOW, FUTURE, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


@settings(deadline=None)
@given(
    body=st.lists(_FRAGMENTS, max_size=6).map(b"".join),
    status=st.integers(400, 499),
    azure_code=st.sampled_from(["", "AuthenticationFailed", SECRET]),
    terms=st.builds(
        SignatureTerms,
        starts=st.sampled_from(_TIMES),
        expires=st.sampled_from(_TIMES),
    ),
    now=st.sampled_from(_TIMES[1:]),
)
def test_any_error_document_is_a_rejection_without_its_text(
    body: bytes, status: int, azure_code: str, terms: SignatureTerms, now: datetime
) -> None:
    error = storage_error("https://store.test/v.mp4?…", status, azure_code, body, terms=terms, now=now)
    assert error.rule_code in MediaCode
    assert error.hint
    assert SECRET not in error.message + error.hint
