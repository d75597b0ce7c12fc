"""Maps the 4xx responses of file hosts to media codes and hints, by their words and by the times of the URL.

Only error codes of media/remote/storage_codes.py are repeated in messages: a host may echo the signature that the
request contained. Times come from the URL, or from fields of the body that are parsed as dates.
"""

from __future__ import annotations

import re
from datetime import datetime

import httpx

from media.remote.storage_codes import (
    BAD_SIGNATURE,
    BY_CODE,
    BY_STATUS,
    BY_WORDS,
    CREDENTIALS_EXPIRED,
    DENIED,
    EXPIRED,
    MALFORMED,
    NOT_YET_VALID,
    OTHER_CLIENT_ERROR,
    SKEWED,
    VAGUE,
    VAGUE_CODES,
    StorageError,
)
from models.errors import MediaRejected
from models.media.codes import MediaCode
from models.recordings.presigned_urls import SIGNATURE_HINTS, describe_problem, find_problem
from models.recordings.signature_terms import SignatureTerms
from models.retry import parse_http_date

# Error documents of object stores are shorter. Web pages are not read further.
MAX_ERROR_BODY_BYTES = 4096
AZURE_CODE = "x-ms-error-code"

_XML_CODE = re.compile(rb"<Code>\s*([A-Za-z.]{1,64})\s*</Code>")
_JSON_CODE = re.compile(rb'"(?:code|error)"\s*:\s*"([A-Za-z_]{1,64})"')
# Supabase answers 400 to most errors, with the actual status in the body.
_JSON_STATUS = re.compile(rb'"statusCode"\s*:\s*"?(\d{3})\b')
_ERROR_DOCUMENT = re.compile(rb"\s*(?:\{|<\?xml|<Error>)")
# The time frame in Azure's AuthenticationErrorDetail.
_AZURE_TIME = re.compile(rb"(Start|Expiry|Current|Signed expiry time) \[([\w, :]{1,40} GMT)\]")
# S3-compatible stores, to RequestTimeTooSkewed.
_REQUEST_TIME = re.compile(rb"<RequestTime>([\dTZ:.-]{1,30})</RequestTime>")
_SERVER_TIME = re.compile(rb"<ServerTime>([\dTZ:.-]{1,30})</ServerTime>")
_TIME_CODES = {MediaCode.URL_EXPIRED, MediaCode.URL_NOT_YET_VALID}


def storage_error(
    redacted_url: str, status: int, azure_code: str, body: bytes, *, terms: SignatureTerms, now: datetime
) -> MediaRejected:
    """Return the error for a 4xx response.

    Args:
        redacted_url: The URL, without its query.
        status: The status code.
        azure_code: The value of the header AZURE_CODE, or an empty string.
        body: The first bytes of the body, at most MAX_ERROR_BODY_BYTES.
        terms: What the URL states about its signature.
        now: The host's time, or this machine's if the host does not send it.
    """
    # Not the host's own reason phrase: it may contain anything, for example the query of the request.
    response_text = f"{status} {httpx.codes.get_reason_phrase(status)}".strip()
    match = _XML_CODE.search(body) or _JSON_CODE.search(body)
    code = match[1].decode() if match else azure_code
    error = BY_CODE.get(code)
    if error:
        response_text += f" ({code})"
    elif _ERROR_DOCUMENT.match(body) and (inner := _JSON_STATUS.search(body)):
        error = BY_STATUS.get(int(inner[1]))
    if error in (None, *VAGUE, BAD_SIGNATURE, EXPIRED, CREDENTIALS_EXPIRED):
        terms, now = _azure_terms(body, terms, now)
        error = _by_words(code, body, terms, now) or error
    error = _explain(error or BY_STATUS.get(status, OTHER_CLIENT_ERROR), code, terms, now)
    detail = describe_problem(error.rule, terms, now)
    return MediaRejected(
        error.rule, f"{redacted_url} answered {response_text}" + (f"; {detail}" if detail else ""), hint=error.hint
    )


def _explain(error: StorageError, code: str, terms: SignatureTerms, now: datetime) -> StorageError:
    """Return what the terms of the URL say about a vague error, else the error itself."""
    if error is CREDENTIALS_EXPIRED:
        return EXPIRED if terms.expires and terms.expires <= now else error
    if error not in VAGUE and not (error is BAD_SIGNATURE and code in VAGUE_CODES):
        return error
    problem = find_problem(terms, now)
    # A store that knows the file names a malformed signature; it is not a reason to deny access.
    if problem is None or (error is DENIED and problem.code not in _TIME_CODES):
        return error
    return StorageError(problem.code, SIGNATURE_HINTS[problem.code])


def _by_words(code: str, body: bytes, terms: SignatureTerms, now: datetime) -> StorageError | None:
    """Return the error that the words of an error document name; web pages are not searched."""
    if not _ERROR_DOCUMENT.match(body):
        return None
    if b"be after signed start time" in body:  # without a start in the URL, Azure means the current time
        return MALFORMED if terms.ends_before_start else EXPIRED
    if b"not valid in the specified time frame" in body:
        return NOT_YET_VALID if terms.starts and terms.starts > now else EXPIRED
    if code == "RequestTimeTooSkewed":
        return _skew_error(body, terms, now)
    return next((error for words, error in BY_WORDS if words.search(body)), None)


def _skew_error(body: bytes, terms: SignatureTerms, now: datetime) -> StorageError:
    """Tell a signature from the future from one that the store considers too old."""
    if terms.starts and terms.expires:
        return NOT_YET_VALID if terms.starts > now else EXPIRED if terms.expires <= now else SKEWED
    times = _REQUEST_TIME.search(body), _SERVER_TIME.search(body)
    if times[0] is None or times[1] is None:
        return NOT_YET_VALID
    # Both are ISO 8601, in the basic or the extended format, so that their digits compare as the times do.
    request, server = (re.sub(rb"\D", b"", time[1])[:14] for time in (times[0], times[1]))
    return NOT_YET_VALID if request > server else SKEWED


def _azure_terms(body: bytes, terms: SignatureTerms, now: datetime) -> tuple[SignatureTerms, datetime]:
    """Return the terms and the time that Azure names: those of a stored access policy are not in the URL."""
    times = {name: parse_http_date(text.decode()) for name, text in _AZURE_TIME.findall(body)}
    starts = times.get(b"Start") or terms.starts
    expires = times.get(b"Expiry") or times.get(b"Signed expiry time") or terms.expires
    return terms._replace(starts=starts, expires=expires), times.get(b"Current") or now
