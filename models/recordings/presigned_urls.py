"""Judges the signature of a presigned URL by its terms: expired, not yet valid, valid for too long, malformed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from models.media.codes import MediaCode
from models.media.report import RuleResult
from models.media.rules import MediaRole
from models.recordings.signature_terms import MAX_LIFETIME_SECONDS, SignatureTerms, parse_terms

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_EXPIRY_HINT = "sign the URL again for a day or more; Argil downloads the file some time after the submission"
SIGNATURE_HINTS: Mapping[MediaCode, str] = {
    MediaCode.URL_EXPIRED: "sign the URL again, for at least a day",
    MediaCode.URL_NOT_YET_VALID: "wait until then, or sign the URL again with a start time in the past; "
    "check the clock of the machine that signs",
    MediaCode.URL_LIFETIME_TOO_LONG: f"sign the URL again for at most 7 days ({MAX_LIFETIME_SECONDS} seconds)",
    MediaCode.MALFORMED_SIGNATURE: "create the URL again with the store's own tool, and pass it on unchanged: "
    "& must not become &amp;",
}
"""The remedy for each problem of a signature."""
SIGNATURE_NOTICE = (
    "a URL of a recording carries a signature, which ends at some time and is stored with the request; a URI "
    "such as s3://BUCKET/KEY is signed just before it is used (AVATARS_SOURCES)"
)
"""Recommends URIs to the caller of a request that is accepted."""


class SignatureProblem(NamedTuple):
    """Why a signature is not valid: the code, and the details with the time in UTC."""

    code: MediaCode
    detail: str


def find_problem(terms: SignatureTerms, now: datetime) -> SignatureProblem | None:
    """Return why a host refuses a URL with these terms, as far as the terms explain it.

    Call it only after the host refused the URL: some stores permit longer lifetimes and other formats.

    Args:
        terms: The terms of the URL.
        now: The host's time, or this machine's if the host does not send it.
    """
    if terms.lifetime_seconds:
        code = MediaCode.URL_LIFETIME_TOO_LONG
    elif terms.malformed or terms.ends_before_start:
        code = MediaCode.MALFORMED_SIGNATURE
    elif terms.expires and terms.expires <= now:
        code = MediaCode.URL_EXPIRED
    elif terms.starts and terms.starts - now > terms.start_tolerance:
        code = MediaCode.URL_NOT_YET_VALID
    else:
        return None
    return SignatureProblem(code, describe_problem(code, terms, now))


def describe_problem(code: MediaCode, terms: SignatureTerms, now: datetime) -> str:
    """Return the details of a problem, with the time in UTC; empty if the terms do not state them."""
    describe = _DETAILS.get(code)
    return describe(terms, now) if describe else ""


def _describe_expiry(terms: SignatureTerms, now: datetime) -> str:
    if terms.expires is None:
        return ""
    ago = (now - terms.expires).total_seconds()
    if ago < 0:
        return f"its signature states {_format_time(terms.expires)} as its end"
    return f"its signature expired at {_format_time(terms.expires)}, {_format_duration(ago)} ago"


def _describe_start(terms: SignatureTerms, now: datetime) -> str:
    if terms.starts is None:
        return ""
    ahead = (terms.starts - now).total_seconds()
    wait = f", in {_format_duration(ahead)}" if ahead > 0 else ""
    return f"its signature is valid from {_format_time(terms.starts)}{wait}"


def _describe_lifetime(terms: SignatureTerms, _: datetime) -> str:
    if terms.lifetime_seconds is None:
        return ""
    end = f", until {_format_time(terms.expires)}" if terms.expires else ""
    return (
        f"its signature states a lifetime of {terms.lifetime_seconds:,} seconds{end}; "
        f"the limit is {MAX_LIFETIME_SECONDS:,} seconds (7 days)"
    )


def _describe_malformed(terms: SignatureTerms, _: datetime) -> str:
    if terms.malformed:
        return f"{' and '.join(terms.malformed)} of its signature cannot be read"
    if terms.starts and terms.expires and terms.ends_before_start:
        return f"its signature ends at {_format_time(terms.expires)}, but starts at {_format_time(terms.starts)}"
    return ""


_DETAILS: Mapping[MediaCode, Callable[[SignatureTerms, datetime], str]] = {
    MediaCode.URL_EXPIRED: _describe_expiry,
    MediaCode.URL_NOT_YET_VALID: _describe_start,
    MediaCode.URL_LIFETIME_TOO_LONG: _describe_lifetime,
    MediaCode.MALFORMED_SIGNATURE: _describe_malformed,
}


def check_expiry(url: str, role: MediaRole, *, now: datetime, min_validity_seconds: float) -> RuleResult | None:
    """Check the expiry of a recording's URL that the host accepted.

    Args:
        url: The URL of the recording.
        role: The role of the recording.
        now: The host's time, or this machine's if the host does not send it.
        min_validity_seconds: A URL that expires within this time causes a warning, because Argil does not document
            when it downloads a file.

    Returns:
        A violation if the URL has expired, else a check that only warns. None if the URL states no expiry.
    """
    terms = parse_terms(url)
    if terms.expires is None:
        return None
    remaining = (terms.expires - now).total_seconds()
    if remaining <= 0:
        return RuleResult(
            code=f"{role}.{MediaCode.URL_EXPIRED}",
            expected="available at a URL that has not expired",
            actual=describe_problem(MediaCode.URL_EXPIRED, terms, now),
            passed=False,
            hint=_EXPIRY_HINT,
        )
    return RuleResult(
        code=f"{role}.{MediaCode.URL_EXPIRES_SOON}",
        expected=f"available at a URL that is valid for {_format_duration(min_validity_seconds)} more",
        actual=f"its signature expires at {_format_time(terms.expires)}, in {_format_duration(remaining)}",
        passed=remaining >= min_validity_seconds,
        enforced=False,
        hint=_EXPIRY_HINT,
    )


def _format_time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _format_duration(seconds: float) -> str:
    """Return a duration in its largest unit, rounded down, for example `3 days`."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size or size == 1)
    count = int(seconds // size)
    return f"{count:,} {unit}{'' if count == 1 else 's'}"
