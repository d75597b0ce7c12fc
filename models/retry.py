"""Retry delays: what the server asks for if anything, exponential backoff otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

INITIAL_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 8.0
MAX_RETRY_AFTER_SECONDS = 120.0
"""Upper bound of a Retry-After, so that a server cannot delay requests for longer."""
MIN_EPOCH_SECONDS = 1e9
"""September 2001. A smaller number in a reset header is a duration, because no reset lies that far in the past."""
MIN_EPOCH_MILLISECONDS = 1e12
"""The same moment in milliseconds."""
RESET_HEADERS = ("x-ratelimit-reset", "ratelimit-reset", "x-rate-limit-reset", "x-ratelimit-reset-after")
"""They name the end of the current limit: epoch seconds, epoch milliseconds, seconds from now, or a date."""

_NUMBER = re.compile(r"[0-9]{1,400}(?:\.[0-9]{1,400})?")


def retry_after_seconds(
    status: int, headers: Mapping[str, str], now: datetime, *, max_seconds: float = MAX_RETRY_AFTER_SECONDS
) -> float | None:
    """Return how long a response asks to wait.

    Retry-After counts with any status, a reset header only with 429: services send it with every response. The
    longest wait counts. Dates are judged by the response's own Date header, because the clocks may differ.

    Args:
        status: The HTTP status.
        headers: The response headers, with names in lower case.
        now: The current time, used if the response has no Date header.
        max_seconds: The upper bound of the result.

    Returns:
        Seconds between 0 and `max_seconds`; None if no header names a wait.
    """
    sent_at = parse_http_date(headers.get("date", "")) or now
    waits = [_parse_wait(headers.get("retry-after"), sent_at)]
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        waits += [_parse_reset(headers.get(name), sent_at) for name in RESET_HEADERS]
    return max((_bounded(wait, max_seconds) for wait in waits if wait is not None), default=None)


def parse_retry_after(header: str | None, now: datetime) -> float | None:
    """Parse a Retry-After header: seconds or an HTTP date (RFC 9110, section 10.2.3).

    Fractions of a second and lists are accepted, too: HTTP clients join a repeated header to a list.

    Returns:
        The longest wait in seconds from `now`, between 0 and MAX_RETRY_AFTER_SECONDS; None if the header is absent
        or invalid.
    """
    wait = _parse_wait(header, now)
    return None if wait is None else _bounded(wait, MAX_RETRY_AFTER_SECONDS)


def _parse_wait(header: str | None, now: datetime) -> float | None:
    text = (header or "").strip()
    if (moment := parse_http_date(text)) is not None:
        return (moment - now).total_seconds()
    return max(_numbers(text), default=None)


def _parse_reset(header: str | None, now: datetime) -> float | None:
    text = (header or "").strip()
    if (moment := parse_http_date(text) or _parse_iso_date(text)) is not None:
        return (moment - now).total_seconds()
    return max((_seconds_until(number, now) for number in _numbers(text)), default=None)


def _seconds_until(reset: float, now: datetime) -> float:
    if reset >= MIN_EPOCH_MILLISECONDS:
        return reset / 1000 - now.timestamp()
    return reset - now.timestamp() if reset >= MIN_EPOCH_SECONDS else reset


def _numbers(text: str) -> list[float]:
    """Return the numbers of a comma-separated list, without items that are not numbers."""
    items: Iterable[str] = (item.strip() for item in text.split(","))
    return [float(item) for item in items if item.isascii() and _NUMBER.fullmatch(item)]


def _bounded(seconds: float, max_seconds: float) -> float:
    return min(max(seconds, 0.0), max_seconds)


def _parse_iso_date(text: str) -> datetime | None:
    if "-" not in text or ":" not in text:  # fromisoformat also reads a number such as 20261123
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


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


def delay_seconds(failures: int, retry_after: float | None) -> float:
    """Return the delay before the next attempt: the server's wait, but never less than our own backoff."""
    return max(backoff_seconds(failures), retry_after or 0.0)
