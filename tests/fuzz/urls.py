"""Fuzzes URLs, especially presigned ones: expiry, sharing services, redaction, validation."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from media.remote.fetch_limits import FetchLimits
from media.remote.file_host import FileHost
from models.argil.webhook import mask_token, receiver_url
from models.errors import InvalidRequest
from models.manifest.formats import format_of_name, split_location
from models.media.rules import MediaRole
from models.recordings.file_sharing import match_service
from models.recordings.identity import RecordingIdentity
from models.recordings.presigned_urls import check_expiry, find_problem
from models.recordings.signature_terms import parse_terms
from models.request import validate_recording
from models.text.redaction import redact
from models.text.url_redaction import redact_url
from tests.fakes import FakeClock
from tests.fuzz.target import CANARY, FuzzTarget, assert_no_secrets, expect_own_errors, secret_urls, unspaced

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
_NAMES = [
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Goog-Date",
    "X-Goog-Expires",
    "Expires",
    "AWSAccessKeyId",
    "se",
    "sig",
    "Policy",
]
_NAMES += ["Key-Pair-Id", "GoogleAccessId", "X-Amz-Signature"]
_VALUES = [
    "20261123T090000Z",
    "99991231T235959Z",
    "00010101T000000Z",
    "86400",
    "9" * 18,
    "9" * 19,
    "0",
    "-1",
    "2026-11-23",
]
_VALUES += ["2026-11-23T09:00Z", "0001-01-01", "٣", ""]
_NUMBERS = st.integers() | st.floats() | st.text(max_size=3) | st.none() | st.builds(pow, st.just(10), st.just(400))


def _policy(expires: Any) -> str:
    text = json.dumps({"Statement": [{"Condition": {"DateLessThan": {"AWS:EpochTime": expires}}}]})
    return base64.b64encode(text.encode()).decode().translate(str.maketrans("+=/", "-_~"))


_parameters = st.tuples(
    st.sampled_from(_NAMES) | unspaced(),
    st.sampled_from(_VALUES) | unspaced() | _NUMBERS.map(_policy) | _NUMBERS.map(str) | st.just("9" * 5000),
)
_presigned = st.builds(
    lambda parts: (
        f"https://videos.example/ada.mp4?sig={CANARY}&" + "&".join(f"{name}={value}" for name, value in parts)
    ),
    st.lists(_parameters, min_size=1, max_size=6),
)


def _check(url: str) -> None:
    assert_no_secrets([redact_url(url), redact(f"see {url} there"), mask_token(url)])
    RecordingIdentity.from_facts(url)
    terms = parse_terms(url)
    if problem := find_problem(terms, NOW):
        assert_no_secrets([problem.detail])
    result = check_expiry(url, MediaRole.DATASET, now=NOW, min_validity_seconds=3600)
    assert (result is None) == (terms.expires is None)
    if result is not None:
        assert_no_secrets([result.model_dump_json()])
    expect_own_errors(lambda: receiver_url(url))
    expect_own_errors(lambda: format_of_name(split_location(url).path_or_url))
    expect_own_errors(lambda: FileHost(url, _NO_TRANSPORT, FetchLimits(), FakeClock(), lambda _: None))
    try:
        validate_recording(url)
    except InvalidRequest as error:
        assert_no_secrets([str(error)])
    else:
        match_service(url)


_NO_TRANSPORT: Any = object()
TARGET = FuzzTarget("urls", secret_urls() | _presigned | st.text(max_size=30), _check)
