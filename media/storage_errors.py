"""Maps the 4xx responses of file hosts to media codes and hints, with the error codes of known object stores.

Only error codes from this module are repeated in messages: a host may echo the signature that the
request contained. Times come from the URL, or from fields of the body that are parsed as dates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import NamedTuple

import httpx

from models.errors import MediaRejected
from models.media_codes import MediaCode
from models.presigned_urls import SIGNATURE_HINTS, describe_problem, find_problem
from models.retry import parse_http_date
from models.signature_terms import SignatureTerms

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
_SKEW = re.compile(
    rb"<RequestTime>([\dTZ:.-]{1,30})</RequestTime>.*?<ServerTime>([\dTZ:.-]{1,30})</ServerTime>", re.DOTALL
)


class StorageError(NamedTuple):
    """The broken rule and the hint."""

    rule: MediaCode
    hint: str


_AUTH_REQUIRED = StorageError(
    MediaCode.FORBIDDEN,
    "open the URL in a private browser window: the file may not be public, or the presigned URL may have expired",
)
_DENIED = StorageError(
    MediaCode.FORBIDDEN,
    "check that the file exists and that the signer may read it; a store reports a missing file as forbidden, "
    "unless the signer may list the bucket",
)
_OTHER_CLIENT_ERROR = StorageError(MediaCode.HTTP_CLIENT_ERROR, "open the URL in a private browser window")
_EXPIRED, _NOT_YET_VALID, _LIFETIME, _MALFORMED = (
    StorageError(code, SIGNATURE_HINTS[code])
    for code in (
        MediaCode.URL_EXPIRED,
        MediaCode.URL_NOT_YET_VALID,
        MediaCode.URL_LIFETIME_TOO_LONG,
        MediaCode.MALFORMED_SIGNATURE,
    )
)
_CREDENTIALS_EXPIRED = StorageError(
    MediaCode.URL_EXPIRED,
    "sign the URL again, for at least a day; temporary credentials end a URL early, so use permanent ones",
)
_BAD_SIGNATURE = StorageError(
    MediaCode.BAD_SIGNATURE,
    "sign the URL for GET with a valid key, and pass it on unchanged: & must not become &amp;",
)
_OLD_SIGNATURE = StorageError(MediaCode.BAD_SIGNATURE, "sign the URL with Signature Version 4 (AWS4-HMAC-SHA256)")
_WRONG_REGION = StorageError(MediaCode.BAD_SIGNATURE, "sign the URL for the region of the bucket")
_SKEWED = StorageError(
    MediaCode.BAD_SIGNATURE,
    "the store accepts the URL only shortly after it was signed: check the clocks of the store and of the signer",
)
_NOT_FOUND = StorageError(MediaCode.NOT_FOUND, "check the URL for typos; the file may have been moved or deleted")
_NO_BUCKET = StorageError(
    MediaCode.NOT_FOUND, "check the name of the bucket, container or account: it does not exist"
)
_ARCHIVED = StorageError(MediaCode.COLD_STORAGE, "restore the file from cold storage")
_REQUESTER_PAYS = StorageError(
    MediaCode.REQUESTER_PAYS,
    "Argil cannot pay for the download: turn off requester pays, or copy the file to a bucket without it",
)
_KEY_DENIED = StorageError(
    MediaCode.ENCRYPTION_KEY_DENIED,
    "let the signer use the key that encrypts the file (kms:Decrypt), or store the file without a key of its own",
)

_BY_CODE: Mapping[str, StorageError] = {
    **dict.fromkeys(("ExpiredToken", "TokenRefreshRequired"), _CREDENTIALS_EXPIRED),
    "ExpiredRequest": _EXPIRED,
    "RequestExpired": _EXPIRED,
    **dict.fromkeys(
        (
            "SignatureDoesNotMatch",
            "InvalidAccessKeyId",
            "InvalidToken",
            "InvalidSignature",
            "InvalidJWT",
            "AuthenticationFailed",
            "AuthorizationQueryParametersError",
            "InvalidAuthenticationInfo",
            "RequestTimeTooSkewed",
            "MissingKey",
            "InvalidKey",
        ),
        _BAD_SIGNATURE,
    ),
    **dict.fromkeys(
        ("MalformedPolicy", "MalformedSecurityHeader"),
        _MALFORMED,
    ),
    "InvalidArgument": _OTHER_CLIENT_ERROR,
    **dict.fromkeys(("NoSuchBucket", "ContainerNotFound"), _NO_BUCKET),
    **dict.fromkeys(("NoSuchKey", "NoSuchVersion", "BlobNotFound", "ResourceNotFound", "not_found"), _NOT_FOUND),
    **dict.fromkeys(
        (
            "AccessDenied",
            "AllAccessDisabled",
            "AuthorizationFailure",
            "AuthorizationPermissionMismatch",
            "PublicAccessNotPermitted",
        ),
        _DENIED,
    ),
    **dict.fromkeys(("InvalidObjectState", "BlobArchived"), _ARCHIVED),
    **dict.fromkeys(("UserProjectMissing", "UserProjectAccessDenied"), _REQUESTER_PAYS),
    **dict.fromkeys(
        (
            "KMS.DisabledException",
            "KMS.KMSInvalidStateException",
            "KMS.NotFoundException",
            "KMS.UnrecognizedClientException",
            "KeyVaultAccessTokenCannotBeAcquired",
            "KeyVaultEncryptionKeyNotFound",
            "KeyVaultVaultNotFound",
        ),
        _KEY_DENIED,
    ),
}
_BY_STATUS: Mapping[int, StorageError] = {
    HTTPStatus.UNAUTHORIZED: _AUTH_REQUIRED,
    HTTPStatus.FORBIDDEN: _AUTH_REQUIRED,
    HTTPStatus.NOT_FOUND: _NOT_FOUND,
    HTTPStatus.GONE: _NOT_FOUND,
}
# The words of error documents that are more specific than their code; the first match counts.
_BY_WORDS = tuple(
    (re.compile(words, re.IGNORECASE), error)
    for words, error in (
        (rb"requester pays", _REQUESTER_PAYS),
        (rb"kms:Decrypt|stored using a form of Server Side Encryption", _KEY_DENIED),
        (rb"require AWS Signature Version 4|Please use AWS4-HMAC-SHA256", _OLD_SIGNATURE),
        (rb"less than a week|604,?800", _LIFETIME),
        (rb"region '[\w-]+' is wrong", _WRONG_REGION),
        (rb"should be a number|must be non-?negative|ISO8601|mal-?formed (?:jwt|date)|jwt malformed", _MALFORMED),
        (rb"not (?:yet valid|valid yet|active)|(?:nbf|iat)\W{1,4}claim timestamp check failed", _NOT_YET_VALID),
        (rb"Request has expired|signature expired at|jwt expired|exp\W{1,4}claim timestamp check failed", _EXPIRED),
    )
)
# What the terms of the URL may explain better.
_VAGUE = {_AUTH_REQUIRED, _DENIED, _MALFORMED, _OTHER_CLIENT_ERROR}
# Codes with many causes, which only the details name.
_VAGUE_CODES = {"AuthenticationFailed", "AuthorizationQueryParametersError"}
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
    error = _BY_CODE.get(code)
    if error:
        response_text += f" ({code})"
    elif _ERROR_DOCUMENT.match(body) and (inner := _JSON_STATUS.search(body)):
        error = _BY_STATUS.get(int(inner[1]))
    if error in (None, *_VAGUE, _BAD_SIGNATURE, _EXPIRED, _CREDENTIALS_EXPIRED):
        terms, now = _azure_terms(body, terms, now)
        error = _by_words(code, body, terms, now) or error
    error = _explain(error or _BY_STATUS.get(status, _OTHER_CLIENT_ERROR), code, terms, now)
    detail = describe_problem(error.rule, terms, now)
    return MediaRejected(
        error.rule, f"{redacted_url} answered {response_text}" + (f"; {detail}" if detail else ""), hint=error.hint
    )


def _explain(error: StorageError, code: str, terms: SignatureTerms, now: datetime) -> StorageError:
    """Return what the terms of the URL say about a vague error, else the error itself."""
    if error is _CREDENTIALS_EXPIRED:
        return _EXPIRED if terms.expires and terms.expires <= now else error
    if error not in _VAGUE and not (error is _BAD_SIGNATURE and code in _VAGUE_CODES):
        return error
    problem = find_problem(terms, now)
    # A store that knows the file names a malformed signature; it is not a reason to deny access.
    if problem is None or (error is _DENIED and problem.code not in _TIME_CODES):
        return error
    return StorageError(problem.code, SIGNATURE_HINTS[problem.code])


def _by_words(code: str, body: bytes, terms: SignatureTerms, now: datetime) -> StorageError | None:
    """Return the error that the words of an error document name; web pages are not searched."""
    if not _ERROR_DOCUMENT.match(body):
        return None
    if b"be after signed start time" in body:  # without a start in the URL, Azure means the current time
        return _MALFORMED if terms.ends_before_start else _EXPIRED
    if b"not valid in the specified time frame" in body:
        return _NOT_YET_VALID if terms.starts and terms.starts > now else _EXPIRED
    if code == "RequestTimeTooSkewed":
        return _skew_error(body, terms, now)
    return next((error for words, error in _BY_WORDS if words.search(body)), None)


def _skew_error(body: bytes, terms: SignatureTerms, now: datetime) -> StorageError:
    """Tell a signature from the future from one that the store considers too old."""
    if terms.starts and terms.expires:
        return _NOT_YET_VALID if terms.starts > now else _EXPIRED if terms.expires <= now else _SKEWED
    times = _SKEW.search(body)
    # Both are ISO 8601, in the basic or the extended format, so that their digits compare as the times do.
    request, server = (re.sub(rb"\D", b"", time)[:14] for time in times.groups()) if times else (b"1", b"0")
    return _NOT_YET_VALID if request > server else _SKEWED


def _azure_terms(body: bytes, terms: SignatureTerms, now: datetime) -> tuple[SignatureTerms, datetime]:
    """Return the terms and the time that Azure names: those of a stored access policy are not in the URL."""
    times = {name: parse_http_date(text.decode()) for name, text in _AZURE_TIME.findall(body)}
    starts = times.get(b"Start") or terms.starts
    expires = times.get(b"Expiry") or times.get(b"Signed expiry time") or terms.expires
    return terms._replace(starts=starts, expires=expires), times.get(b"Current") or now
