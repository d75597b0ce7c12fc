"""URLs, presigned ones above all: when they end, whose page they lead to, what of them is told, what is fetched."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from clients.range_requests import FetchLimits, RangeRequests
from models.errors import InvalidRequest
from models.manifest import format_of
from models.media import MediaRole
from models.presigned import expiry_check, expiry_of
from models.redaction import redact, redact_url
from models.request import check_url
from models.share_pages import share_service
from models.webhook import masked, receiver_url
from tests.fuzz.kinds import CANARY, Kind, assert_tells_nothing, ours, secret_urls, unspaced

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


def _policy(end: Any) -> str:
    text = json.dumps({"Statement": [{"Condition": {"DateLessThan": {"AWS:EpochTime": end}}}]})
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
    assert_tells_nothing([redact_url(url), redact(f"see {url} there"), masked(url)])
    expires = expiry_of(url)
    check = expiry_check(url, MediaRole.DATASET, now=NOW, margin_seconds=3600)
    assert (check is None) == (expires is None)
    if check is not None:
        assert_tells_nothing([check.model_dump_json()])
    ours(lambda: receiver_url(url))
    ours(lambda: format_of(url))
    ours(lambda: RangeRequests(url, _NoTransport, FetchLimits(), lambda: 0.0, lambda _: None))
    try:
        check_url(url)
    except InvalidRequest as error:
        assert_tells_nothing([str(error)])
    else:
        share_service(url)


class _Never:
    """No URL is asked here."""


_NoTransport: Any = _Never()
KIND = Kind("urls", secret_urls() | _presigned | st.text(max_size=30), _check)
