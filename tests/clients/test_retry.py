"""How long to wait: Retry-After as servers send it, and the steps where they send none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.retry import LONGEST_RETRY_AFTER_SECONDS, backoff_seconds, http_date, retry_after_seconds

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
# What dates are made of, and what breaks their readers.
PIECES = ["Mon,", "23", "Nov", "2026", "09:00:30", "GMT", "+0100", "-0000", "am", ":", "-", "9" * 30, "1:2"]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("007", 7),
        ("119", 119),
        ("120", LONGEST_RETRY_AFTER_SECONDS),
        ("3600", LONGEST_RETRY_AFTER_SECONDS),
        ("9" * 400, LONGEST_RETRY_AFTER_SECONDS),
        ("Mon, 23 Nov 2026 09:00:30 GMT", 30),
        ("Mon, 23 Nov 2026 10:00:30 +0100", 30),
        ("Mon, 23 Nov 2026 09:00:30 -0000", 30),
        ("Mon, 23 Nov 2026 09:00:30", 30),
        ("Monday, 23-Nov-26 09:00:30 GMT", 30),
        ("Mon Nov 23 09:00:30 2026", 30),
        ("Mon, 23 Nov 2026 08:59:59 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Mon, 23 Nov 2026 10:00:00 GMT", LONGEST_RETRY_AFTER_SECONDS),
        ("Fri, 31 Dec 9999 23:59:59 -1200", LONGEST_RETRY_AFTER_SECONDS),
        (None, None),
        ("", None),
        ("-5", None),
        ("+5", None),
        ("1.5", None),
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
def test_retry_after_is_read_as_seconds_or_as_a_date_within_bounds(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(header, NOW) == seconds


def test_a_date_is_compared_with_now_in_any_zone() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5)))
    assert retry_after_seconds("Mon, 23 Nov 2026 09:00:30 GMT", elsewhere) == 30


@settings(deadline=None)
@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join))
def test_no_header_whatever_makes_the_reader_fail(header: str) -> None:
    seconds = retry_after_seconds(header, NOW)
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER_SECONDS


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
def test_a_date_is_aware_or_none(text: str, expected: datetime | None) -> None:
    assert http_date(text) == expected


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 0.5), (2, 1), (3, 2), (4, 4), (5, 8), (6, 8), (31, 8), (100_000, 8)]
)
def test_the_steps_double_up_to_a_ceiling(failures: int, seconds: float) -> None:
    assert backoff_seconds(failures) == seconds
