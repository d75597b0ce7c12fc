"""The expiry of presigned URLs, for the URL format of each object store."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from models.media.rules import MediaRole
from models.recordings.presigned_urls import check_expiry
from models.recordings.signature_terms import parse_terms

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
EPOCH = int(NOON.timestamp())
BASE = "https://store.example/bucket/ada.mp4?"


def policy(*expiries: object) -> str:
    statements = [
        {"Resource": "*", "Condition": {"DateLessThan": {"AWS:EpochTime": expiry}}} for expiry in expiries
    ]
    text = base64.b64encode(json.dumps({"Statement": statements}).encode()).decode()
    return text.translate(str.maketrans("+=/", "-_~"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261123T110000Z&X-Amz-Expires=3600&X-Amz-Signature=s", NOON),
        ("x-amz-date=20261123T110000Z&x-amz-expires=3600", NOON),
        ("X-Goog-Date=20261123T110000Z&X-Goog-Expires=3600&X-Goog-Signature=s", NOON),
        (f"AWSAccessKeyId=K&Expires={EPOCH}&Signature=s", NOON),
        (f"GoogleAccessId=me%40project&Expires={EPOCH}&Signature=s", NOON),
        (f"OSSAccessKeyId=K&Expires={EPOCH}&Signature=s", NOON),
        (f"Expires={EPOCH}&Signature=s&Key-Pair-Id=K", NOON),
        (f"Policy={policy(EPOCH)}&Signature=s&Key-Pair-Id=K", NOON),
        (f"Policy={policy(EPOCH + 60, EPOCH)}&Signature=s&Key-Pair-Id=K", NOON),
        ("sv=2024-11-04&se=2026-11-23T12%3A00%3A00Z&sp=r&sig=s", NOON),
        ("se=2026-11-23T12:00Z&sig=s", NOON),
        ("se=2026-11-23&sig=s", NOON.replace(hour=0)),
        ("", None),
        (f"Expires={EPOCH}", None),
        ("se=2026-11-23", None),
        ("se=tomorrow&sig=s", None),
        ("X-Amz-Date=20261123T110000Z", None),
        ("X-Amz-Date=yesterday&X-Amz-Expires=3600", None),
        ("X-Amz-Date=20261123T110000Z&X-Amz-Expires=-1", None),
        (f"X-Amz-Date=20261123T110000Z&X-Amz-Expires={'9' * 18}", None),
        (f"AWSAccessKeyId=K&Expires={'9' * 400}&Signature=s", None),
        ("Policy=%00&Key-Pair-Id=K", None),
        (f"Policy={policy('soon')}&Key-Pair-Id=K", None),
        (f"Policy={policy(None)}&Key-Pair-Id=K", None),
        ("&".join("a=1" for _ in range(1000)), None),
    ],
)
def test_expiry_is_parsed_for_each_object_store(query: str, expected: datetime | None) -> None:
    assert parse_terms(BASE + query).expires == expected


@pytest.mark.parametrize(
    ("remaining", "code", "passed", "text"),
    [
        (timedelta(seconds=-30), "consent.url-expired", False, "30 seconds ago"),
        (timedelta(days=-2), "consent.url-expired", False, "2 days ago"),
        (timedelta(0), "consent.url-expired", False, "0 seconds ago"),
        (timedelta(seconds=1), "consent.url-expires-soon", False, "in 1 second"),
        (timedelta(minutes=59, seconds=59), "consent.url-expires-soon", False, "in 59 minutes"),
        (timedelta(hours=1), "consent.url-expires-soon", True, "in 1 hour"),
        (timedelta(days=7), "consent.url-expires-soon", True, "in 7 days"),
    ],
)
def test_check_expiry_reports_the_remaining_time(
    remaining: timedelta, code: str, text: str, *, passed: bool
) -> None:
    url = f"{BASE}AWSAccessKeyId=K&Expires={int((NOON + remaining).timestamp())}&Signature=CANARY"
    check = check_expiry(url, MediaRole.CONSENT, now=NOON, min_validity_seconds=3600)
    assert check is not None
    assert (check.code, check.passed) == (code, passed)
    assert text in check.actual
    assert check.enforced is (code == "consent.url-expired")
    assert "CANARY" not in check.model_dump_json()


def test_url_without_expiry_is_not_checked() -> None:
    assert check_expiry(BASE, MediaRole.DATASET, now=NOON, min_validity_seconds=3600) is None


def test_infinite_expiry_is_ignored() -> None:
    terms = parse_terms(f"{BASE}Key-Pair-Id=K&Policy={policy(float('inf'))}")
    assert (terms.expires, terms.malformed) == (None, ("Policy",))
