"""Reads from a presigned URL until when it is valid, for each kind of object store whose form is public.

S3 and what speaks like it (R2, MinIO, B2), by either version of its signature; Google Cloud Storage; Azure;
CloudFront.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

from models.media import Check, MediaRole

# What stands beside `Expires` in a signed URL; alone it may mean anything.
_SIGNED_WITH = ("awsaccesskeyid", "googleaccessid", "ossaccesskeyid", "key-pair-id")
_AZURE_FORMS = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d")
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_HINT = "sign the URL anew, for a day or more: Argil fetches the video some time after the create"


def expiry_of(url: str) -> datetime | None:
    """Return when a presigned URL ends to be valid; None for any other URL, and where it does not tell."""
    try:
        query = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query, max_num_fields=100)}
    except ValueError:
        return None
    return min(_expiries(query), default=None)


def _expiries(query: Mapping[str, str]) -> Iterator[datetime]:
    for vendor in ("amz", "goog"):
        signed = _moment(query.get(f"x-{vendor}-date", ""), "%Y%m%dT%H%M%SZ")
        seconds = _number(query.get(f"x-{vendor}-expires", ""))
        if signed and seconds is not None:
            yield from _after(signed, seconds)
    if "expires" in query and any(name in query for name in _SIGNED_WITH):
        seconds = _number(query["expires"])
        if seconds is not None:
            yield from _after(datetime.fromtimestamp(0, UTC), seconds)
    if "sig" in query and "se" in query:
        yield from list(filter(None, (_moment(query["se"], form) for form in _AZURE_FORMS)))[:1]
    if "policy" in query and "key-pair-id" in query:
        for seconds in _policy_ends(query["policy"]):
            yield from _after(datetime.fromtimestamp(0, UTC), seconds)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _moment(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return None


def _after(start: datetime, seconds: int) -> Iterator[datetime]:
    try:
        yield start + timedelta(seconds=seconds)
    except OverflowError:
        return  # later than any calendar: as good as never


def _policy_ends(policy: str) -> list[int]:
    """Return the ends that a CloudFront policy names: JSON in a base64 of its own."""
    plain = policy.translate(str.maketrans("-_~", "+=/"))
    try:
        statements = json.loads(base64.b64decode(plain, validate=True))["Statement"]
        return [int(one["Condition"]["DateLessThan"]["AWS:EpochTime"]) for one in statements]
    except (binascii.Error, ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return []


def expiry_check(url: str, role: MediaRole, *, now: datetime, margin_seconds: float) -> Check | None:
    """Hold a URL's expiry against the time; None where it tells of none.

    One that is past is a violation, one within the margin a warning: nobody knows when Argil fetches a video.
    """
    expires = expiry_of(url)
    if expires is None:
        return None
    left = (expires - now).total_seconds()
    until = f"{expires:%Y-%m-%d %H:%M:%S} UTC"
    if left <= 0:
        return Check(
            code=f"{role}.url-expired",
            rule="under a URL that is still valid",
            seen=f"its signature expired at {until}, {_span(-left)} ago",
            passed=False,
            hint=_HINT,
        )
    return Check(
        code=f"{role}.url-expires-soon",
        rule=f"under a URL that is valid for {_span(margin_seconds)} more",
        seen=f"its signature expires at {until}, in {_span(left)}",
        passed=left >= margin_seconds,
        binding=False,
        hint=_HINT,
    )


def _span(seconds: float) -> str:
    """Return a length of time in its largest unit, rounded down."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size or size == 1)
    count = int(seconds // size)
    return f"{count:,} {unit}{'' if count == 1 else 's'}"
