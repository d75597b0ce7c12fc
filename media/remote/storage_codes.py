"""The errors of known object stores and file hosts: what each code, status and phrase means, and its remedy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from models.media.codes import MediaCode
from models.recordings.presigned_urls import SIGNATURE_HINTS


class StorageError(NamedTuple):
    """The broken rule and the hint."""

    rule: MediaCode
    hint: str


_AUTH_REQUIRED = StorageError(
    MediaCode.FORBIDDEN,
    "open the URL in a private browser window: the file may not be public, or the presigned URL may have expired",
)
DENIED = StorageError(
    MediaCode.FORBIDDEN,
    "check that the file exists and that the signer may read it; a store reports a missing file as forbidden, "
    "unless the signer may list the bucket",
)
OTHER_CLIENT_ERROR = StorageError(MediaCode.HTTP_CLIENT_ERROR, "open the URL in a private browser window")
EXPIRED, NOT_YET_VALID, _LIFETIME, MALFORMED = (
    StorageError(code, SIGNATURE_HINTS[code])
    for code in (
        MediaCode.URL_EXPIRED,
        MediaCode.URL_NOT_YET_VALID,
        MediaCode.URL_LIFETIME_TOO_LONG,
        MediaCode.MALFORMED_SIGNATURE,
    )
)
CREDENTIALS_EXPIRED = StorageError(
    MediaCode.URL_EXPIRED,
    "sign the URL again, for at least a day; temporary credentials end a URL early, so use permanent ones",
)
BAD_SIGNATURE = StorageError(
    MediaCode.BAD_SIGNATURE,
    "sign the URL for GET with a valid key, and pass it on unchanged: & must not become &amp;",
)
_OLD_SIGNATURE = StorageError(MediaCode.BAD_SIGNATURE, "sign the URL with Signature Version 4 (AWS4-HMAC-SHA256)")
_WRONG_REGION = StorageError(MediaCode.BAD_SIGNATURE, "sign the URL for the region of the bucket")
SKEWED = StorageError(
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

BY_CODE: Mapping[str, StorageError] = {
    **dict.fromkeys(("ExpiredToken", "TokenRefreshRequired"), CREDENTIALS_EXPIRED),
    "ExpiredRequest": EXPIRED,
    "RequestExpired": EXPIRED,
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
        BAD_SIGNATURE,
    ),
    **dict.fromkeys(
        ("MalformedPolicy", "MalformedSecurityHeader"),
        MALFORMED,
    ),
    "InvalidArgument": OTHER_CLIENT_ERROR,
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
        DENIED,
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
BY_STATUS: Mapping[int, StorageError] = {
    HTTPStatus.UNAUTHORIZED: _AUTH_REQUIRED,
    HTTPStatus.FORBIDDEN: _AUTH_REQUIRED,
    HTTPStatus.NOT_FOUND: _NOT_FOUND,
    HTTPStatus.GONE: _NOT_FOUND,
}
# The words of error documents that are more specific than their code; the first match counts.
BY_WORDS = tuple(
    (re.compile(words, re.IGNORECASE), error)
    for words, error in (
        (rb"requester pays", _REQUESTER_PAYS),
        (rb"kms:Decrypt|stored using a form of Server Side Encryption", _KEY_DENIED),
        (rb"require AWS Signature Version 4|Please use AWS4-HMAC-SHA256", _OLD_SIGNATURE),
        (rb"less than a week|604,?800", _LIFETIME),
        (rb"region '[\w-]+' is wrong", _WRONG_REGION),
        (rb"should be a number|must be non-?negative|ISO8601|mal-?formed (?:jwt|date)|jwt malformed", MALFORMED),
        (rb"not (?:yet valid|valid yet|active)|(?:nbf|iat)\W{1,4}claim timestamp check failed", NOT_YET_VALID),
        (rb"Request has expired|signature expired at|jwt expired|exp\W{1,4}claim timestamp check failed", EXPIRED),
    )
)
# What the terms of the URL may explain better.
VAGUE = {_AUTH_REQUIRED, DENIED, MALFORMED, OTHER_CLIENT_ERROR}
# Codes with many causes, which only the details name.
VAGUE_CODES = {"AuthenticationFailed", "AuthorizationQueryParametersError"}
