"""How long to wait before something is sent again: Retry-After, else growing steps."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_STEP_SECONDS = 0.5
LONGEST_STEP_SECONDS = 8.0
LONGEST_RETRY_AFTER_SECONDS = 120.0
"""A server may ask for more; nobody waits longer than this on its word."""


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date (RFC 9110, 10.2.3).

    Returns seconds from `now`, between 0 and LONGEST_RETRY_AFTER_SECONDS; None where the header is absent or
    no such value.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER_SECONDS)
    if (moment := http_date(text)) is None:
        return None
    return min(max((moment - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER_SECONDS)


def http_date(text: str) -> datetime | None:
    """Read an HTTP date, aware; UTC where it names no zone, None where it is no date."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter for numbers that no date has
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def backoff_seconds(failures: int) -> float:
    """Return the step after the given number of failures (1 or more): it doubles up to a ceiling."""
    return min(FIRST_STEP_SECONDS * 2.0 ** min(failures - 1, 30), LONGEST_STEP_SECONDS)
