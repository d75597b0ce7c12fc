"""Maps the 4xx responses of file hosts to media codes and hints, with the error codes of known object stores.

Only error codes from this module are repeated in messages: a host may echo the signature that the
request contained.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

import httpx

from models.errors import MediaRejected
from models.media_codes import MediaCode

# Error documents of object stores are shorter. Web pages are not read further.
MAX_ERROR_BODY_BYTES = 4096
AZURE_CODE = "x-ms-error-code"

_CODE = re.compile(rb"<Code>\s*([A-Za-z]{1,64})\s*</Code>")
_EXPIRED_MARKERS = (b"Request has expired", b"not valid in the specified time frame")


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
_EXPIRED = StorageError(MediaCode.URL_EXPIRED, "sign the URL again, for at least a day")
_BAD_SIGNATURE = StorageError(
    MediaCode.BAD_SIGNATURE,
    "sign the URL for GET with a valid key, and pass it on unchanged: & must not become &amp;",
)
_NOT_FOUND = StorageError(MediaCode.NOT_FOUND, "check the URL for typos; the file may have been moved or deleted")
_NO_BUCKET = StorageError(
    MediaCode.NOT_FOUND, "check the name of the bucket, container or account: it does not exist"
)
_ARCHIVED = StorageError(MediaCode.COLD_STORAGE, "restore the file from cold storage")

_BY_CODE: Mapping[str, StorageError] = {
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
    **dict.fromkeys(("NoSuchKey", "NoSuchVersion", "BlobNotFound", "ResourceNotFound"), _NOT_FOUND),
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
_BY_STATUS: Mapping[int, StorageError] = {
    HTTPStatus.UNAUTHORIZED: _AUTH_REQUIRED,
    HTTPStatus.FORBIDDEN: _AUTH_REQUIRED,
    HTTPStatus.NOT_FOUND: _NOT_FOUND,
    HTTPStatus.GONE: _NOT_FOUND,
}
_OTHER_CLIENT_ERROR = StorageError(MediaCode.HTTP_CLIENT_ERROR, "open the URL in a private browser window")


def storage_error(redacted_url: str, status: int, azure_code: str, body: bytes) -> MediaRejected:
    """Return the error for a 4xx response.

    Args:
        redacted_url: The URL, without its query.
        status: The status code.
        azure_code: The value of the header AZURE_CODE, or an empty string.
        body: The first bytes of the body, at most MAX_ERROR_BODY_BYTES.
    """
    # Not the host's own reason phrase: it may contain anything, for example the query of the request.
    response_text = f"{status} {httpx.codes.get_reason_phrase(status)}".strip()
    match = _CODE.search(body)
    code = match[1].decode() if match else azure_code
    known = _BY_CODE.get(code)
    if known is not None and any(marker in body for marker in _EXPIRED_MARKERS):
        known = _EXPIRED
    rule, hint = known or _BY_STATUS.get(status, _OTHER_CLIENT_ERROR)
    if known:
        response_text += f" ({code})"
    return MediaRejected(rule, f"{redacted_url} answered {response_text}", hint=hint)
