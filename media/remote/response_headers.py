"""Reads headers of media hosts, which may be absent, repeated or invalid."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import httpx

from models.retry import parse_http_date


def response_time(response: httpx.Response) -> datetime | None:
    """Return the time of a response: its Date, plus its Age if a cache stored it (RFC 9111, section 5.1)."""
    dates = response.headers.get_list("date")
    date = parse_http_date(dates[0]) if dates else None
    age = re.fullmatch(r"[0-9]{1,9}", response.headers.get("age", ""))
    try:
        return date and date + timedelta(seconds=int(age[0]) if age else 0)
    except OverflowError:
        return None


def content_length(response: httpx.Response) -> int | None:
    """Return the length of the body in bytes, None if the host does not send it."""
    length: str = response.headers.get("content-length", "")
    return int(length) if re.fullmatch(r"\d{1,18}", length) else None
