"""Retry delays: Retry-After headers as servers send them, and exponential backoff."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.retry import (
    MAX_RETRY_AFTER_SECONDS,
    RESET_HEADERS,
    backoff_seconds,
    delay_seconds,
    parse_http_date,
    parse_retry_after,
    retry_after_seconds,
)

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
        ("1.5", 1.5),
        ("3.5 ", 3.5),
        ("3, 3", 3),
        ("3, 7.5", 7.5),
        ("soon, 3", 3),
        ("3, -5", 3),
        ("Mon, 23 Nov 2026 09:00:30 GMT, Mon, 23 Nov 2026 09:00:30 GMT", 30),
        (", ,", None),
        (".5", None),
        ("1e3", None),
        ("inf", None),
        ("NaN", None),
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


def reset(value: str, *, status: int = 429, header: str = RESET_HEADERS[0], retry_after: str = "") -> float | None:
    return retry_after_seconds(status, {header: value, "retry-after": retry_after}, NOW)


@pytest.mark.parametrize("header", RESET_HEADERS)
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30),
        ("2.5", 2.5),
        ("30, 40", 40),
        (str(int(NOW.timestamp()) + 30), 30),
        (f"{NOW.timestamp() + 30:.1f}", 30),
        (str(int(NOW.timestamp() + 30) * 1000), 30),
        ("2026-11-23T09:00:30Z", 30),
        ("2026-11-23T09:00:30", 30),
        ("Mon, 23 Nov 2026 09:00:30 GMT", 30),
        (str(int(NOW.timestamp()) - 5), 0),
        ("86400", MAX_RETRY_AFTER_SECONDS),
        ("9" * 400, MAX_RETRY_AFTER_SECONDS),
        ("-30", None),
        ("", None),
        ("soon", None),
    ],
)
def test_reset_header_is_a_moment_or_a_duration(header: str, value: str, seconds: float | None) -> None:
    assert reset(value, header=header) == seconds


def test_reset_header_counts_with_429_only() -> None:
    assert reset("30", status=500) is None
    assert reset("30", status=200) is None


def test_longest_wait_of_a_response_counts() -> None:
    assert reset("30", retry_after="7") == 30
    assert reset("7", retry_after="30") == 30
    assert reset("soon", retry_after="3.5") == 3.5


@pytest.mark.parametrize(
    ("date", "seconds"),
    [("Mon, 23 Nov 2026 07:59:50 GMT", 40), ("sometime", MAX_RETRY_AFTER_SECONDS), (None, MAX_RETRY_AFTER_SECONDS)],
)
def test_date_is_judged_by_the_date_of_the_response(date: str | None, seconds: float) -> None:
    two_hours_slow = NOW - timedelta(hours=2)
    headers = {"retry-after": "Mon, 23 Nov 2026 08:00:30 GMT", **({"date": date} if date else {})}
    assert retry_after_seconds(503, headers, two_hours_slow) == seconds


@pytest.mark.parametrize(
    ("failures", "retry_after", "seconds"), [(1, None, 0.5), (1, 0.0, 0.5), (4, 3.0, 4.0), (4, 7.0, 7.0)]
)
def test_delay_is_never_below_our_backoff(failures: int, retry_after: float | None, seconds: float) -> None:
    assert delay_seconds(failures, retry_after) == seconds


@settings(deadline=None)
@given(st.sampled_from(["retry-after", "date", *RESET_HEADERS]), st.text() | st.floats().map(str), st.text())
def test_any_header_gives_a_bounded_wait(header: str, value: str, date: str) -> None:
    seconds = retry_after_seconds(429, {"date": date, header: value}, NOW)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_SECONDS
