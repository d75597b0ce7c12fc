"""Retry delays: the Retry-After header if there is one, exponential backoff otherwise."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

INITIAL_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 8.0
MAX_RETRY_AFTER_SECONDS = 120.0
"""Upper bound of a Retry-After, so that a server cannot delay requests for longer."""


def parse_retry_after(header: str | None, now: datetime) -> float | None:
    """Parse a Retry-After header: seconds or an HTTP date (RFC 9110, section 10.2.3).

    Returns:
        Seconds from `now`, between 0 and MAX_RETRY_AFTER_SECONDS; None if the header is absent or invalid.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER_SECONDS)
    if (moment := parse_http_date(text)) is None:
        return None
    return min(max((moment - now).total_seconds(), 0.0), MAX_RETRY_AFTER_SECONDS)


def parse_http_date(text: str) -> datetime | None:
    """Parse an HTTP date to an aware datetime (UTC if it names no zone); None if it is not a date."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # OverflowError: numbers outside of any date
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def backoff_seconds(failures: int) -> float:
    """Return the delay after `failures` consecutive failures (1 or more): it doubles up to MAX_BACKOFF_SECONDS."""
    return min(INITIAL_BACKOFF_SECONDS * 2.0 ** min(failures - 1, 30), MAX_BACKOFF_SECONDS)
