"""Parses the expiry of presigned URLs of the common object stores.

Supported are S3 and compatible stores (R2, MinIO, B2) with both signature versions, Google Cloud Storage, Azure and
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

from models.media_codes import MediaCode
from models.media_rules import MediaRole, RuleResult

# A signed URL has one of these parameters; without one, `Expires` can mean anything.
_SIGNATURE_PARAMETERS = ("awsaccesskeyid", "googleaccessid", "ossaccesskeyid", "key-pair-id")
_AZURE_DATE_FORMATS = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d")
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_HINT = "sign the URL again for a day or more; Argil downloads the video some time after the submission"


def parse_expiry(url: str) -> datetime | None:
    """Return when a presigned URL expires; None for any other URL, or if it does not state an expiry."""
    try:
        query = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query, max_num_fields=100)}
    except ValueError:
        return None
    return min(_expiries(query), default=None)


def _expiries(query: Mapping[str, str]) -> Iterator[datetime]:
    for vendor in ("amz", "goog"):
        signed = _parse_date(query.get(f"x-{vendor}-date", ""), "%Y%m%dT%H%M%SZ")
        seconds = _number(query.get(f"x-{vendor}-expires", ""))
        if signed and seconds is not None:
            yield from _add_seconds(signed, seconds)
    if "expires" in query and any(name in query for name in _SIGNATURE_PARAMETERS):
        seconds = _number(query["expires"])
        if seconds is not None:
            yield from _add_seconds(datetime.fromtimestamp(0, UTC), seconds)
    if "sig" in query and "se" in query:
        yield from list(filter(None, (_parse_date(query["se"], form) for form in _AZURE_DATE_FORMATS)))[:1]
    if "policy" in query and "key-pair-id" in query:
        for seconds in _cloudfront_policy_expiries(query["policy"]):
            yield from _add_seconds(datetime.fromtimestamp(0, UTC), seconds)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _parse_date(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return None


def _add_seconds(start: datetime, seconds: int) -> Iterator[datetime]:
    try:
        yield start + timedelta(seconds=seconds)
    except OverflowError:
        return  # beyond the range of datetime, so effectively never


def _cloudfront_policy_expiries(policy: str) -> list[int]:
    """Return the expiries in a CloudFront policy: JSON in a variant of base64."""
    plain = policy.translate(str.maketrans("-_~", "+=/"))
    try:
        statements = json.loads(base64.b64decode(plain, validate=True))["Statement"]
        return [int(statement["Condition"]["DateLessThan"]["AWS:EpochTime"]) for statement in statements]
    except (binascii.Error, ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return []


def check_expiry(url: str, role: MediaRole, *, now: datetime, min_validity_seconds: float) -> RuleResult | None:
    """Check the expiry of a recording's URL.

    Args:
        url: The URL of the recording.
        role: The role of the recording.
        now: The current time, in UTC.
        min_validity_seconds: A URL that expires within this time causes a warning, because Argil does not document
            when it downloads a video.

    Returns:
        A violation if the URL has expired, else a check that only warns. None if the URL states no expiry.
    """
    expires = parse_expiry(url)
    if expires is None:
        return None
    remaining = (expires - now).total_seconds()
    until = f"{expires:%Y-%m-%d %H:%M:%S} UTC"
    if remaining <= 0:
        return RuleResult(
            code=f"{role}.{MediaCode.URL_EXPIRED}",
            expected="available at a URL that has not expired",
            actual=f"its signature expired at {until}, {_format_duration(-remaining)} ago",
            passed=False,
            hint=_HINT,
        )
    return RuleResult(
        code=f"{role}.{MediaCode.URL_EXPIRES_SOON}",
        expected=f"available at a URL that is valid for {_format_duration(min_validity_seconds)} more",
        actual=f"its signature expires at {until}, in {_format_duration(remaining)}",
        passed=remaining >= min_validity_seconds,
        enforced=False,
        hint=_HINT,
    )


def _format_duration(seconds: float) -> str:
    """Return a duration in its largest unit, rounded down, for example `3 days`."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size or size == 1)
    count = int(seconds // size)
    return f"{count:,} {unit}{'' if count == 1 else 's'}"
