"""What presigned URLs state about their validity: start, end, lifetime, and values that cannot be read."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.media.codes import MediaCode
from models.recordings.presigned_urls import describe_problem, find_problem
from models.recordings.signature_terms import MAX_LIFETIME_SECONDS, START_TOLERANCE, SignatureTerms, parse_terms

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
EPOCH = int(NOON.timestamp())
BASE = "https://store.example/bucket/ada.mp4?"
SECRET = "CANARY"


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def jwt(claims: Any) -> str:
    return f"{encoded({'alg': 'HS256'})}.{encoded(claims)}.c2ln"


@pytest.mark.parametrize(
    ("query", "starts", "expires"),
    [
        ("X-Amz-Date=20261123T110000Z&X-Amz-Expires=3600", NOON - HOUR, NOON),
        ("x-oss-date=20261123T110000Z&x-oss-expires=3600", NOON - HOUR, NOON),
        (f"x-oss-signature-version=OSS2&x-oss-expires={EPOCH}", None, NOON),
        ("X-Tos-Date=20261123T110000Z&X-Tos-Expires=3600", NOON - HOUR, NOON),
        (f"AccessKeyId=K&Expires={EPOCH}&Signature=s", None, NOON),
        (f"KeyName=k&Expires={EPOCH}&Signature=s", None, NOON),
        (f"q-sign-time={EPOCH - 3600};{EPOCH}&q-signature=s", NOON - HOUR, NOON),
        (f"q-sign-time={EPOCH - 3600}%3B{EPOCH}&q-signature=s", NOON - HOUR, NOON),
        (f"hdnts=st={EPOCH - 3600}~exp={EPOCH}~acl=/*~hmac=a=b", NOON - HOUR, NOON),
        (f"token=abc&expires={EPOCH}", None, NOON),
        ("token=abc&expires=3600", None, None),
        ("st=2026-11-23T11:00:00Z&se=2026-11-23T12:00:00Z&sig=s", NOON - HOUR, NOON),
        ("st=2026-11-23T11:00Z&se=2026-11-23T12:00:00.0000000Z&sig=s", NOON - HOUR, NOON),
        ("se=2026-11-23T12:00:00&sig=s", None, NOON),
        ("se=2026-11-23T12:00:00%2B00:00&sig=s", None, NOON),
        ("se=2026-11-23T12:00:00+00:00&sig=s", None, NOON),
        ("se=2026-11-23T14:00:00%2B02:00&sig=s", None, NOON),
        ("se=2026-11-23T04:00:00-08:00&sig=s", None, NOON),
        ("st=2026-11-23&se=2026-11-24&sig=s", NOON.replace(hour=0), NOON.replace(day=24, hour=0)),
        (
            "st=2026-11-22&skt=2026-11-23&se=2026-11-25&ske=2026-11-24&sig=s",
            NOON.replace(hour=0),
            NOON.replace(day=24, hour=0),
        ),
        (f"token={jwt({'iat': EPOCH - 7200, 'nbf': EPOCH - 3600, 'exp': EPOCH})}", NOON - HOUR, NOON),
        (f"token={jwt({'exp': EPOCH + 0.9})}", None, NOON),
        (f"token={jwt({'exp': 10**300})}", None, None),
        (f"token={jwt({})}", None, None),
        (f"other={jwt({'exp': EPOCH})}", None, None),
        ("token=not.a.jwt", None, None),
        # Two signatures: both must be valid.
        (f"AWSAccessKeyId=K&Expires={EPOCH + 60}&Signature=s&token={jwt({'exp': EPOCH})}", None, NOON),
    ],
)
def test_start_and_end_are_parsed(query: str, starts: datetime | None, expires: datetime | None) -> None:
    terms = parse_terms(BASE + query)
    assert (terms.starts, terms.expires, terms.malformed) == (starts, expires, ())


@pytest.mark.parametrize("vendor", ["Amz", "Goog", "Oss", "Tos"])
@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_lifetime_over_seven_days_is_stated(vendor: str, excess: int) -> None:
    seconds = MAX_LIFETIME_SECONDS + excess
    terms = parse_terms(f"{BASE}X-{vendor}-Date=20261123T110000Z&X-{vendor}-Expires={seconds}")
    assert terms.lifetime_seconds == (seconds if excess > 0 else None)


@pytest.mark.parametrize(
    ("query", "malformed"),
    [
        (f"X-Amz-Date={SECRET}&X-Amz-Expires=60", "X-Amz-Date"),
        ("X-Amz-Date=20261123T110000Z", "X-Amz-Expires"),
        ("X-Amz-Date=20261123T110000Z&X-Amz-Expires=-1", "X-Amz-Expires"),
        (f"AWSAccessKeyId=K&Expires={SECRET}", "Expires"),
        ("AWSAccessKeyId=K&Expires=", "Expires"),
        (f"se={SECRET}&sig=s", "se"),
        ("se=2026-13-45&sig=s", "se"),
        (f"st={SECRET}&se=2026-11-23&sig=s", "st"),
        (f"Policy={SECRET}&Key-Pair-Id=K", "Policy"),
        (f"q-sign-time={SECRET}", "q-sign-time"),
        (f"token={jwt({'exp': 'soon'})}", "token"),
        (f"token={jwt({'exp': True})}", "token"),
        (f"token={jwt([1])}", "token"),
        ("token=eyJhbGciOiJub25lIn0.AAAA.s", "token"),
    ],
)
def test_malformed_value_is_named_without_it(query: str, malformed: str) -> None:
    terms = parse_terms(BASE + query)
    assert malformed in terms.malformed
    problem = find_problem(terms, NOON)
    assert problem is not None
    assert problem.code is MediaCode.MALFORMED_SIGNATURE
    assert malformed in problem.detail
    assert SECRET not in problem.detail


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        (SignatureTerms(), None),
        (SignatureTerms(expires=NOON + HOUR), None),
        (SignatureTerms(expires=NOON), MediaCode.URL_EXPIRED),
        (SignatureTerms(starts=NOON), None),
        (SignatureTerms(starts=NOON + timedelta(seconds=1)), MediaCode.URL_NOT_YET_VALID),
        (SignatureTerms(starts=NOON + START_TOLERANCE, start_tolerance=START_TOLERANCE), None),
        (SignatureTerms(starts=NOON + HOUR, start_tolerance=START_TOLERANCE), MediaCode.URL_NOT_YET_VALID),
        (SignatureTerms(starts=NOON, expires=NOON), MediaCode.MALFORMED_SIGNATURE),
        (SignatureTerms(expires=NOON - HOUR, lifetime_seconds=10**6), MediaCode.URL_LIFETIME_TOO_LONG),
    ],
)
def test_problem_of_a_refused_signature(terms: SignatureTerms, code: MediaCode | None) -> None:
    problem = find_problem(terms, NOON)
    assert (problem and problem.code) == code
    assert problem is None or problem.detail


@settings(deadline=None)
@given(
    time=st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)),  # noqa: DTZ001  # UTC is added below
    form=st.sampled_from(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.1234567Z", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d"]),
)
def test_every_azure_form_of_a_time_is_read(time: datetime, form: str) -> None:
    expected = time.replace(microsecond=0, tzinfo=UTC)
    if "%S" not in form:
        expected = expected.replace(second=0)
    if "%H" not in form:
        expected = expected.replace(hour=0, minute=0)
    assert parse_terms(f"{BASE}sig=s&se={quote(time.strftime(form))}").expires == expected


_CLAIMS = st.dictionaries(
    st.sampled_from(["exp", "nbf", "iat"]), st.integers() | st.floats() | st.booleans() | st.text(max_size=5)
)
_NAMES = (
    "X-Amz-Date",
    "X-Amz-Expires",
    "Expires",
    "AWSAccessKeyId",
    "se",
    "st",
    "sig",
    "Policy",
    "Key-Pair-Id",
    "token",
)


@settings(deadline=None)
@given(
    query=st.dictionaries(
        st.sampled_from(_NAMES),
        st.text(max_size=10) | _CLAIMS.map(jwt),
    ),
    now=st.datetimes(timezones=st.just(UTC)),
)
def test_any_query_is_judged_without_its_values(query: dict[str, str], now: datetime) -> None:
    values = {name: f"{SECRET}{value}" if name not in {"token", "sig"} else value for name, value in query.items()}
    terms = parse_terms(BASE + "&".join(f"{name}={quote(value)}" for name, value in values.items()))
    problem = find_problem(terms, now)
    texts = [describe_problem(code, terms, now) for code in MediaCode]
    assert SECRET not in "".join([*texts, problem.detail if problem else ""])


def test_token_with_a_huge_number_is_malformed() -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 10**400}).encode()).decode().rstrip("=")
    assert parse_terms(f"{BASE}token=eyJhbGciOiJIUzI1NiJ9.{claims}.s").malformed == ("token",)
