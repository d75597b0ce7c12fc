"""The errors of object stores, each with its remedy: those of obstore, and those that a store answers.

A missing or archived object is the fault of the request. Everything else is for the operator to fix: permissions,
credentials, region, endpoint and clock. No error repeats what a store sent, except its code.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import NamedTuple

import httpx

from media.remote.storage_errors import AZURE_CODE
from models.errors import MediaRejected, StoreUnavailable
from models.media.codes import MediaCode
from models.retry import parse_http_date

MAX_CLOCK_DIFFERENCE = timedelta(minutes=5)
"""Stores accept a signature whose time differs by up to 15 minutes; a difference of 5 is already wrong."""
MAX_CAUSE_CHARACTERS = 200
MAX_CODE_CHARACTERS = 64

CREDENTIAL_HINTS: Mapping[str, str] = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a machine with a role; profiles are not read: "
    'run `eval "$(aws configure export-credentials --format env)"`',
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account, which can sign URLs",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or those of a service principal",
}
_PERMISSIONS: Mapping[str, str] = {
    "s3": "s3:GetObject for this key, and s3:ListBucket to tell a missing object from a forbidden one",
    "gs": "storage.objects.get for this object",
    "az": "read permission for this container",
}
_REGION = "set AWS_REGION to the region of the bucket, or AVATARS_S3_ENDPOINT to the store that has it"
_MISSING_CREDENTIALS = re.compile(
    r"169\.254\.|metadata|Missing(?:AccessKeyId|SecretAccessKey|Account)|Account must be specified|"
    r"CredentialsError|OpenCredentials|token request",
    re.IGNORECASE,
)
_XML_CODE = re.compile(rb"<Code>\s*([A-Za-z.]{1,64})\s*</Code>")
_XML_REGION = re.compile(rb"<Region>\s*([a-z0-9-]{1,40})\s*</Region>|expecting '([a-z0-9-]{1,40})'")
_HEADER_REGION = re.compile(r"[a-z0-9-]{1,40}")
_ARCHIVED_CLASSES = {"GLACIER", "DEEP_ARCHIVE"}


class StoreAnswer(NamedTuple):
    """A response of a store without its object: the status, the headers and the first bytes of the body."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def code(self) -> str:
        """The store's own error code, empty if there is none."""
        match = _XML_CODE.search(self.body)
        if match:
            return match[1].decode()
        azure_code: str = self.headers.get(AZURE_CODE, "")
        return azure_code[:MAX_CODE_CHARACTERS]

    @property
    def region(self) -> str:
        """The region that the store names as that of the bucket, empty if there is none."""
        header: str = self.headers.get("x-amz-bucket-region", "")
        if _HEADER_REGION.fullmatch(header):
            return header
        match = _XML_REGION.search(self.body)
        region: bytes = (match[1] or match[2]) if match else b""
        return region.decode()


@contextlib.contextmanager
def translating_obstore_errors(scheme: str, bucket: str) -> Iterator[None]:
    """Raise StoreUnavailable for any error of obstore about one bucket."""
    from obstore.exceptions import BaseError  # noqa: PLC0415  # most commands need no store

    try:
        yield
    except (BaseError, ValueError, OSError) as error:
        # Without the error as the cause: its text contains the configuration of the store.
        raise _obstore_error(scheme, bucket, str(error)) from None


def _obstore_error(scheme: str, bucket: str, text: str) -> StoreUnavailable:
    subject = f"no URL can be signed for {scheme}://{bucket}"
    if "SASforSAS" in text:
        return StoreUnavailable(
            f"{subject}: a shared access signature cannot sign another one", hint=CREDENTIAL_HINTS["az"]
        )
    if _MISSING_CREDENTIALS.search(text):
        return StoreUnavailable(f"{subject}: no credentials were found", hint=CREDENTIAL_HINTS[scheme])
    cause = text.strip().partition("\n")[0][:MAX_CAUSE_CHARACTERS]
    return StoreUnavailable(f"{subject}: {cause}", hint=CREDENTIAL_HINTS[scheme])


def archived_error(uri: str, headers: httpx.Headers) -> MediaRejected | None:
    """Return the error for an object whose storage class needs a restore before it can be read."""
    storage_class = headers.get("x-amz-storage-class", "").upper()
    is_archived = (
        storage_class in _ARCHIVED_CLASSES
        or "x-amz-archive-status" in headers
        or headers.get("x-ms-access-tier", "").lower() == "archive"
    )
    if not is_archived or 'ongoing-request="false"' in headers.get("x-amz-restore", ""):
        return None
    return _archived(uri)


def _archived(uri: str) -> MediaRejected:
    return MediaRejected(
        MediaCode.COLD_STORAGE,
        f"{uri} is in an archive, which cannot be read without a restore",
        hint="restore the object, or copy it to a storage class that can be read at once",
    )


def answer_error(uri: str, answer: StoreAnswer, now: datetime) -> MediaRejected | StoreUnavailable:
    """Return the error for an answer without the object.

    Args:
        uri: The address of the recording.
        answer: The answer to a GET, whose body names the cause. That to a HEAD has no body.
        now: The time of this machine.

    """
    status = f"{answer.status} {httpx.codes.get_reason_phrase(answer.status)}".strip()
    subject = f"{uri}: the store answered {status}" + (f" ({answer.code})" if answer.code else "")
    if answer.code in _ARCHIVED_CODES:
        return _archived(uri)
    if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE} and answer.code not in _NO_BUCKET_CODES:
        return MediaRejected(
            MediaCode.NOT_FOUND,
            f"{subject}: the object does not exist",
            hint="check the key for typos; it may have been moved or deleted",
        )
    cause, hint = _find_cause(uri.partition("://")[0], answer, now)
    return StoreUnavailable(f"{subject}: {cause}", hint=hint)


def _find_cause(scheme: str, answer: StoreAnswer, now: datetime) -> tuple[str, str]:
    """Return why a store gives no access, and the remedy."""
    if _is_wrong_region(answer):
        return "the region is wrong" + (f"; the bucket is in {answer.region}" if answer.region else ""), _REGION
    if difference := _clock_difference(answer, now):
        return f"the clock of this machine differs from the store's by {difference}", _CLOCK
    for codes, status, cause, hints in _CAUSES:
        if answer.code in codes or answer.status == status:
            return cause, hints[scheme]
    return (
        "it gives no reason that is known",
        "check the store and AVATARS_S3_ENDPOINT, then run `avatars resume ID`",
    )


def _same_for_all(hint: str) -> Mapping[str, str]:
    return dict.fromkeys(CREDENTIAL_HINTS, hint)


_CLOCK = "synchronize the clock of this machine (NTP): signatures contain its time"
_ARCHIVED_CODES = {"InvalidObjectState", "BlobArchived"}
_NO_BUCKET_CODES = {"NoSuchBucket", "ContainerNotFound"}
_REGION_CODES = {"PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"}
_CREDENTIAL_CODES = {
    *("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthenticationFailed", "InvalidSecurity"),
    *("AuthorizationQueryParametersError", "AuthorizationHeaderMalformed", "InvalidSignature"),
}
_CAUSES: tuple[tuple[set[str], HTTPStatus | None, str, Mapping[str, str]], ...] = (
    (
        _NO_BUCKET_CODES,
        None,
        "the bucket does not exist",
        _same_for_all("check the address, AVATARS_SOURCES and AVATARS_S3_ENDPOINT"),
    ),
    (
        {"ExpiredToken", "TokenRefreshRequired"},
        None,
        "the credentials have expired",
        _same_for_all("renew the credentials, then run `avatars resume ID`"),
    ),
    (
        _CREDENTIAL_CODES,
        HTTPStatus.UNAUTHORIZED,
        "the store does not accept the credentials",
        CREDENTIAL_HINTS,
    ),
    (
        set(),
        HTTPStatus.FORBIDDEN,
        "the credentials may not read the object, or it does not exist",
        {scheme: f"give them {permission}" for scheme, permission in _PERMISSIONS.items()},
    ),
)
"""Codes and statuses of a store, the first match counts: the cause, and the remedy by scheme."""


def _is_wrong_region(answer: StoreAnswer) -> bool:
    if answer.code in _REGION_CODES or answer.status in {301, 302, 303, 307, 308}:
        return True
    return answer.status in _REFUSALS and b"region" in answer.body and b"is wrong" in answer.body


_REFUSALS = {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN}


def _clock_difference(answer: StoreAnswer, now: datetime) -> str:
    """Return by how much this machine's clock is wrong if that is why the store refuses the signature."""
    date = parse_http_date(answer.headers.get("date", ""))
    if answer.status in _REFUSALS and date is not None and abs(now - date) > MAX_CLOCK_DIFFERENCE:
        return f"{abs(now - date).total_seconds():,.0f} seconds"
    return "an unknown time" if answer.code == "RequestTimeTooSkewed" else ""
