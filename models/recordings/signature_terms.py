"""Parses what a presigned URL states about its validity: start, end and lifetime, for each format of signature.

Sources: AWS Signature Version 4 in query parameters, Google Cloud Storage V4, Alibaba OSS V4, Volcengine TOS and
Huawei OBS share one scheme. The others are AWS Signature Version 2, Azure service SAS, CloudFront policies, Tencent
COS, the tokens of Akamai and BunnyCDN, and JSON Web Tokens (RFC 7519), which Supabase uses.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

MAX_LIFETIME_SECONDS = 604_800
"""The longest lifetime of a V4 signature, at AWS, Google, OSS and TOS alike: seven days."""
START_TOLERANCE = timedelta(minutes=15)
"""AWS, OSS and compatible stores accept a signature whose date is this far ahead of their clock."""
MAX_QUERY_PARAMETERS = 100
MAX_TOKEN_CHARACTERS = 8192

# Stores that sign with X-<vendor>-Date and, in seconds from then, X-<vendor>-Expires.
_VENDORS = ("amz", "goog", "oss", "tos", "obs")
# A signed URL has one of these parameters; without one, `Expires` can mean anything.
_SIGNER_PARAMETERS = ("awsaccesskeyid", "googleaccessid", "ossaccesskeyid", "accesskeyid", "key-pair-id", "keyname")
_JWT_PARAMETERS = ("token", "jwt", "access_token", "auth", "authorization", "sig", "signature")
_AKAMAI_PARAMETERS = ("hdnts", "hdnea", "hdntl", "__token__")
_JWT = re.compile(r"eyJ[\w-]+\.([\w-]+)\.[\w-]*", re.ASCII)
# A query decodes the + of an offset to a space.
_ISO_8601 = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(:\d\d)?(?:\.\d{1,9})?(?:Z|([ +-]\d\d):?(\d\d))?)?", re.ASCII | re.IGNORECASE
)
_EPOCH = datetime.fromtimestamp(0, UTC)


class SignatureTerms(NamedTuple):
    """The validity that a URL states; None or empty if it states nothing.

    Attributes:
        starts: Before this time the signature is not valid.
        expires: From this time on the signature is not valid.
        lifetime_seconds: The stated lifetime, only if it is longer than MAX_LIFETIME_SECONDS.
        malformed: The parameters whose value cannot be read, by their usual names.
        start_tolerance: How long before `starts` a store accepts the signature.
    """

    starts: datetime | None = None
    expires: datetime | None = None
    lifetime_seconds: int | None = None
    malformed: tuple[str, ...] = ()
    start_tolerance: timedelta = timedelta(0)

    @property
    def ends_before_start(self) -> bool:
        """Whether the signature is never valid."""
        return self.starts is not None and self.expires is not None and self.expires <= self.starts


def parse_terms(url: str) -> SignatureTerms:
    """Return the terms of a presigned URL; several signatures in one URL must all be valid."""
    try:
        pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True, max_num_fields=MAX_QUERY_PARAMETERS)
    except ValueError:
        return SignatureTerms()
    query = {name.lower(): value for name, value in pairs}
    return _merge(terms for parse in _PARSERS for terms in parse(query))


def _merge(found: Iterable[SignatureTerms]) -> SignatureTerms:
    terms = list(found)
    latest = max(
        (each for each in terms if each.starts), key=lambda each: each.starts or _EPOCH, default=SignatureTerms()
    )
    return SignatureTerms(
        starts=latest.starts,
        start_tolerance=latest.start_tolerance,
        expires=min((each.expires for each in terms if each.expires), default=None),
        lifetime_seconds=max((each.lifetime_seconds for each in terms if each.lifetime_seconds), default=None),
        malformed=tuple(dict.fromkeys(name for each in terms for name in each.malformed)),
    )


def _dated_signatures(query: Mapping[str, str]) -> Iterator[SignatureTerms]:
    for vendor in _VENDORS:
        date_name, seconds_name = f"x-{vendor}-date", f"x-{vendor}-expires"
        if seconds_name in query and date_name not in query and vendor == "oss":
            yield _epoch_expiry("x-oss-expires", query[seconds_name])  # OSS signature V2
        elif seconds_name in query or date_name in query:
            yield _dated_signature(vendor.title(), query.get(date_name, ""), query.get(seconds_name, ""))


def _dated_signature(vendor: str, date: str, lifetime: str) -> SignatureTerms:
    try:
        signed = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        signed = None
    seconds = _parse_number(lifetime)
    malformed = [f"X-{vendor}-Date"] * (signed is None) + [f"X-{vendor}-Expires"] * (seconds is None)
    return SignatureTerms(
        starts=signed,
        expires=None if signed is None or seconds is None else _add_seconds(signed, seconds),
        lifetime_seconds=seconds if seconds and seconds > MAX_LIFETIME_SECONDS else None,
        malformed=tuple(malformed),
        start_tolerance=START_TOLERANCE,
    )


def _epoch_signatures(query: Mapping[str, str]) -> Iterator[SignatureTerms]:
    if "expires" in query and any(name in query for name in _SIGNER_PARAMETERS):
        yield _epoch_expiry("Expires", query["expires"])
    elif "token" in query and re.fullmatch(r"[0-9]{10}", query.get("expires", "")):  # BunnyCDN
        yield _epoch_expiry("expires", query["expires"])
    if "q-sign-time" in query:  # Tencent COS: start;end
        starts, _, expires = query["q-sign-time"].partition(";")
        yield SignatureTerms(starts=_parse_epoch(starts))
        yield _epoch_expiry("q-sign-time", expires)


def _epoch_expiry(name: str, text: str) -> SignatureTerms:
    if _parse_number(text) is None:
        return SignatureTerms(malformed=(name,))
    return SignatureTerms(expires=_parse_epoch(text))


def _azure_signatures(query: Mapping[str, str]) -> Iterator[SignatureTerms]:
    if "sig" not in query:
        return
    # st and se limit the URL; skt and ske the key of a user delegation SAS.
    for name in ("st", "skt", "se", "ske"):
        if name in query:
            time = _parse_iso_8601(query[name])
            if time is None:
                yield SignatureTerms(malformed=(name,))
            else:
                yield SignatureTerms(starts=time) if name.endswith("t") else SignatureTerms(expires=time)


def _cloudfront_policies(query: Mapping[str, str]) -> Iterator[SignatureTerms]:
    """Parse the custom policy of CloudFront: JSON in a variant of base64."""
    if "policy" not in query or "key-pair-id" not in query:
        return
    plain = query["policy"].translate(str.maketrans("-_~", "+=/"))
    try:
        statements = json.loads(base64.b64decode(plain, validate=True))["Statement"]
        for statement in statements:
            condition = statement["Condition"]
            starts = condition.get("DateGreaterThan", {}).get("AWS:EpochTime")
            yield SignatureTerms(
                starts=None if starts is None else _add_seconds(_EPOCH, int(starts)),
                expires=_add_seconds(_EPOCH, int(condition["DateLessThan"]["AWS:EpochTime"])),
            )
    except (binascii.Error, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        yield SignatureTerms(malformed=("Policy",))


def _akamai_tokens(query: Mapping[str, str]) -> Iterator[SignatureTerms]:
    for name in _AKAMAI_PARAMETERS:
        fields = dict(part.split("=", 1) for part in query.get(name, "").split("~") if "=" in part)
        yield SignatureTerms(starts=_parse_epoch(fields.get("st", "")), expires=_parse_epoch(fields.get("exp", "")))


def _json_web_tokens(query: Mapping[str, str]) -> Iterator[SignatureTerms]:
    for name in _JWT_PARAMETERS:
        token = _JWT.fullmatch(query.get(name, "")[: MAX_TOKEN_CHARACTERS + 1])
        if token is None or len(token[0]) > MAX_TOKEN_CHARACTERS:
            continue
        try:
            claims = json.loads(base64.urlsafe_b64decode(token[1] + "=" * (-len(token[1]) % 4)))
            if not isinstance(claims, dict):
                yield SignatureTerms(malformed=(name,))
                continue
            for claim in ("nbf", "iat", "exp"):
                if claim in claims:
                    time = _add_seconds(_EPOCH, _numeric_date(claims[claim]))
                    yield SignatureTerms(expires=time) if claim == "exp" else SignatureTerms(starts=time)
        except (binascii.Error, ValueError, OverflowError, RecursionError):
            yield SignatureTerms(malformed=(name,))


_PARSERS = (
    _dated_signatures,
    _epoch_signatures,
    _azure_signatures,
    _cloudfront_policies,
    _akamai_tokens,
    _json_web_tokens,
)


def _numeric_date(value: Any) -> int:
    """Return a NumericDate of RFC 7519, section 2: seconds since 1970, possibly with a fraction."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("not a NumericDate")
    return int(value)


def _parse_iso_8601(text: str) -> datetime | None:
    """Parse a date with or without time, seconds, fraction (which is dropped) and offset, as Azure accepts them."""
    match = _ISO_8601.fullmatch(text.strip())
    if match is None:
        return None
    day, minutes, seconds, offset_hours, offset_minutes = match.groups()
    offset = f"{(offset_hours or '+00').replace(' ', '+')}:{offset_minutes or '00'}"
    try:
        return datetime.fromisoformat(f"{day}T{minutes or '00:00'}{seconds or ':00'}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _parse_number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _parse_epoch(text: str) -> datetime | None:
    seconds = _parse_number(text)
    return None if seconds is None else _add_seconds(_EPOCH, seconds)


def _add_seconds(start: datetime, seconds: int) -> datetime | None:
    """Return the later time; None beyond the range of datetime, which is effectively never."""
    try:
        return start + timedelta(seconds=seconds)
    except OverflowError:
        return None
