"""Retry delays: Retry-After headers as servers send them, and exponential backoff."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.retry import MAX_RETRY_AFTER_SECONDS, backoff_seconds, parse_http_date, parse_retry_after

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
# Parts of dates, and values that break date parsers.
PIECES = ["Mon,", "23", "Nov", "2026", "09:00:30", "GMT", "+0100", "-0000", "am", ":", "-", "9" * 30, "1:2"]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("007", 7),
        ("119", 119),
        ("120", MAX_RETRY_AFTER_SECONDS),
        ("3600", MAX_RETRY_AFTER_SECONDS),
        ("9" * 400, MAX_RETRY_AFTER_SECONDS),
        ("Mon, 23 Nov 2026 09:00:30 GMT", 30),
        ("Mon, 23 Nov 2026 10:00:30 +0100", 30),
        ("Mon, 23 Nov 2026 09:00:30 -0000", 30),
        ("Mon, 23 Nov 2026 09:00:30", 30),
        ("Monday, 23-Nov-26 09:00:30 GMT", 30),
        ("Mon Nov 23 09:00:30 2026", 30),
        ("Mon, 23 Nov 2026 08:59:59 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Mon, 23 Nov 2026 10:00:00 GMT", MAX_RETRY_AFTER_SECONDS),
        ("Fri, 31 Dec 9999 23:59:59 -1200", MAX_RETRY_AFTER_SECONDS),
        (None, None),
        ("", None),
        ("-5", None),
        ("+5", None),
        ("5s", None),
        ("²", None),
        ("٧", None),
        ("soon", None),
        ("Mon, 99 Nov 2026 09:00:30 GMT", None),
        ("Mon, 23 Nov 2026 09:00:30 +9999", None),
        ("Mon, 23 Nov 99999999999999999999 09:00:30 GMT", None),
        ("Mon, 23 Nov 2026 09:00:30 +99999999999999", None),
    ],
)
def test_retry_after_is_parsed_as_seconds_or_date(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, NOW) == seconds


def test_retry_after_date_is_compared_across_time_zones() -> None:
    now_elsewhere = NOW.astimezone(timezone(timedelta(hours=5)))
    assert parse_retry_after("Mon, 23 Nov 2026 09:00:30 GMT", now_elsewhere) == 30


@settings(deadline=None)
@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join))
def test_parse_retry_after_never_raises(header: str) -> None:
    seconds = parse_retry_after(header, NOW)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_SECONDS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mon, 23 Nov 2026 09:00:00 GMT", NOW),
        ("Mon, 23 Nov 2026 09:00:00", NOW),
        ("Mon, 23 Nov 2026 11:00:00 +0200", NOW),
        ("", None),
        ("7", None),
    ],
)
def test_http_date_is_aware_or_none(text: str, expected: datetime | None) -> None:
    assert parse_http_date(text) == expected


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 0.5), (2, 1), (3, 2), (4, 4), (5, 8), (6, 8), (31, 8), (100_000, 8)]
)
def test_backoff_doubles_up_to_a_maximum(failures: int, seconds: float) -> None:
    assert backoff_seconds(failures) == seconds
