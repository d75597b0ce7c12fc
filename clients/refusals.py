"""What a host's definite no amounts to, with the words of object stores told apart.

Of what a host writes only codes that are known here are repeated: it may write the signature it was asked with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

import httpx

from models.errors import MediaRejected

# An object store's answer is shorter; a page in its place is not worth more.
READ_BYTES = 4096
AZURE_CODE = "x-ms-error-code"

_CODE = re.compile(rb"<Code>\s*([A-Za-z]{1,64})\s*</Code>")
_EXPIRED_WORDS = (b"Request has expired", b"not valid in the specified time frame")


class Refusal(NamedTuple):
    """The rule that is broken, and the way out."""

    rule: str
    hint: str


_LOGIN = Refusal(
    "forbidden", "a presigned URL may have expired, or the file is not public: open it in a private browser window"
)
_DENIED = Refusal(
    "forbidden",
    "the signer may not read the file, or there is none: a store tells a missing file from a forbidden one only to "
    "who may list the bucket",
)
_EXPIRED = Refusal("url-expired", "sign the URL anew, for a day or more")
_BAD_SIGNATURE = Refusal(
    "bad-signature",
    "sign it for GET, with a key that is still valid, and pass it on unchanged: & must not have become &amp;",
)
_GONE = Refusal("not-found", "look for a typo in the URL; the file may have been moved or deleted")
_NO_BUCKET = Refusal("not-found", "the bucket, container or account does not exist: look for a typo in it")
_ARCHIVED = Refusal("archived", "the file lies in cold storage: restore it there first")

_BY_CODE: Mapping[str, Refusal] = {
    **dict.fromkeys(("ExpiredToken", "ExpiredRequest", "TokenRefreshRequired"), _EXPIRED),
    **dict.fromkeys(
        (
            "SignatureDoesNotMatch",
            "InvalidAccessKeyId",
            "InvalidToken",
            "InvalidSignature",
            "AuthenticationFailed",
            "InvalidAuthenticationInfo",
            "AuthorizationQueryParametersError",
            "RequestTimeTooSkewed",
            "MalformedPolicy",
            "MissingKey",
            "InvalidKey",
        ),
        _BAD_SIGNATURE,
    ),
    **dict.fromkeys(("NoSuchBucket", "ContainerNotFound"), _NO_BUCKET),
    **dict.fromkeys(("NoSuchKey", "NoSuchVersion", "BlobNotFound", "ResourceNotFound"), _GONE),
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
}
_BY_STATUS: Mapping[int, Refusal] = {
    HTTPStatus.UNAUTHORIZED: _LOGIN,
    HTTPStatus.FORBIDDEN: _LOGIN,
    HTTPStatus.NOT_FOUND: _GONE,
    HTTPStatus.GONE: _GONE,
}
_OTHER = Refusal("refused", "open it in a private browser window")


def refusal(shown: str, status: int, azure_code: str, body: bytes) -> MediaRejected:
    """Return the error for a 4xx: `shown` is the URL as it may be shown, `body` the beginning of the answer."""
    # Not the host's own phrase: a host can write anything there, also the query it was asked with.
    answered = f"{status} {httpx.codes.get_reason_phrase(status)}".strip()
    found = _CODE.search(body)
    code = found[1].decode() if found else azure_code
    known = _BY_CODE.get(code)
    if known is not None and any(words in body for words in _EXPIRED_WORDS):
        known = _EXPIRED
    rule, hint = known or _BY_STATUS.get(status, _OTHER)
    told = f"{answered} ({code})" if known else answered
    return MediaRejected(rule, f"{shown} answered {told}", hint=hint)
