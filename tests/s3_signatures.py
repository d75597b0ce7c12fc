"""Verifies AWS Signature Version 4 as S3 does, for signed headers and signed queries.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
It shares no code with the clients, so that a wrong signature cannot pass because both sides have the same mistake.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote, unquote, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
LONGEST_EXPIRY_SECONDS = 604_800
HEADER_TOLERANCE = timedelta(minutes=15)
NEVER = datetime.min.replace(tzinfo=UTC)
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_UNRESERVED = "-_.~"


class S3Error(Exception):
    """A refusal of S3's: the HTTP status, the code and further elements of the XML body, and further headers."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, **elements: str
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.headers = dict(headers or {})
        self.elements = {"Code": code, "Message": message, **elements}


class Credential(NamedTuple):
    """A secret key, and the session token that every request must then have."""

    secret_access_key: str
    session_token: str | None = None


@dataclass(frozen=True)
class SignedRequest:
    """What a signature covers: the parts of a request as they arrived. `path` and `query` are not decoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False, default=b"")


@dataclass(frozen=True)
class SignatureRules:
    """What a server accepts. `now` counts for signed queries, `wall_time` for signed headers."""

    credentials: Mapping[str, Credential]
    region: str
    now: datetime
    wall_time: datetime
    expired_before: datetime = NEVER


class _Signature(NamedTuple):
    credential: str
    date: str
    signed_headers: str
    value: str
    token: str | None


def verify_signature(request: SignedRequest, rules: SignatureRules) -> None:
    """Return if the signature of the request is right and valid now.

    Raises:
        S3Error: The answer that S3 gives otherwise.
    """
    parameters = [_split_parameter(pair) for pair in request.query.split("&") if pair]
    query = dict(parameters)
    authorization = request.headers.get("authorization")
    if authorization is None and "X-Amz-Signature" not in query:
        raise S3Error(403, "AccessDenied", "Access Denied")
    if authorization is not None and "X-Amz-Signature" in query:
        raise S3Error(400, "InvalidArgument", "Only one auth mechanism allowed")
    if authorization is None:
        signature, payload = _query_signature(query, rules), UNSIGNED_PAYLOAD
    else:
        signature, payload = _header_signature(authorization, request, rules), _payload_digest(request)
    key_id, scope = _parse_credential(signature, rules, in_query=authorization is None)
    credential = rules.credentials.get(key_id)
    if credential is None:
        message = "The AWS Access Key Id you provided does not exist in our records."
        raise S3Error(403, "InvalidAccessKeyId", message, AWSAccessKeyId=key_id)
    if signature.token != credential.session_token:
        raise S3Error(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
    canonical = "\n".join(
        [
            request.method,
            quote(unquote_to_bytes(request.path), safe="/" + _UNRESERVED),
            _canonical_query(parameters),
            _canonical_headers(request, signature.signed_headers),
            signature.signed_headers,
            payload,
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = "\n".join([ALGORITHM, signature.date, scope, digest])
    if not hmac.compare_digest(_sign(credential.secret_access_key, scope, to_sign), signature.value):
        message = "The request signature we calculated does not match the signature you provided."
        raise S3Error(403, "SignatureDoesNotMatch", message, AWSAccessKeyId=key_id, StringToSign=to_sign)


def _split_parameter(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    return unquote(name), unquote(value)


def _query_signature(query: Mapping[str, str], rules: SignatureRules) -> _Signature:
    try:
        signature = _Signature(
            credential=query["X-Amz-Credential"],
            date=query["X-Amz-Date"],
            signed_headers=query["X-Amz-SignedHeaders"],
            value=query["X-Amz-Signature"],
            token=query.get("X-Amz-Security-Token"),
        )
        expires = int(query["X-Amz-Expires"])
        signed_at = _parse_date(signature.date)
    except (KeyError, ValueError) as error:
        message = "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, ..."
        raise S3Error(400, "AuthorizationQueryParametersError", message) from error
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        message = f'X-Amz-Algorithm only supports "{ALGORITHM}"'
        raise S3Error(400, "AuthorizationQueryParametersError", message)
    if not 0 < expires <= LONGEST_EXPIRY_SECONDS:
        message = "X-Amz-Expires must be less than a week (in seconds)"
        raise S3Error(400, "AuthorizationQueryParametersError", message)
    end = signed_at + timedelta(seconds=expires)
    if rules.now >= end or signed_at < rules.expired_before:
        raise S3Error(
            403, "AccessDenied", "Request has expired", Expires=end.isoformat(), ServerTime=rules.now.isoformat()
        )
    return signature


def _header_signature(authorization: str, request: SignedRequest, rules: SignatureRules) -> _Signature:
    pattern = ALGORITHM + r" Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]+)"
    match = re.fullmatch(pattern, authorization)
    date = request.headers.get("x-amz-date", "")
    if match is None:
        raise S3Error(
            400, "AuthorizationHeaderMalformed", "The authorization header that you provided is not valid."
        )
    try:
        signed_at = _parse_date(date)
    except ValueError as error:
        raise S3Error(
            403, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header"
        ) from error
    if abs(rules.wall_time - signed_at) > HEADER_TOLERANCE:
        message = "The difference between the request time and the current time is too large."
        raise S3Error(403, "RequestTimeTooSkewed", message)
    return _Signature(match[1], date, match[2], match[3], request.headers.get("x-amz-security-token"))


def _payload_digest(request: SignedRequest) -> str:
    declared = request.headers.get("x-amz-content-sha256")
    if declared is None:
        raise S3Error(400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    if declared.startswith("STREAMING-"):
        raise S3Error(501, "NotImplemented", "The server of the tests supports no signed chunks.")
    if declared not in {UNSIGNED_PAYLOAD, hashlib.sha256(request.body).hexdigest()}:
        message = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise S3Error(400, "XAmzContentSHA256Mismatch", message)
    return declared


def _parse_date(text: str) -> datetime:
    return datetime.strptime(text, _DATE_FORMAT).replace(tzinfo=UTC)


def _parse_credential(signature: _Signature, rules: SignatureRules, *, in_query: bool) -> tuple[str, str]:
    """Return the key id and the scope of the signature."""
    code = "AuthorizationQueryParametersError" if in_query else "AuthorizationHeaderMalformed"
    parts = signature.credential.split("/")
    if len(parts) != 5 or parts[3:] != ["s3", "aws4_request"] or not signature.date.startswith(parts[1]):
        raise S3Error(400, code, "Error parsing the X-Amz-Credential parameter")
    if parts[2] != rules.region:
        message = f"The authorization is malformed; the region '{parts[2]}' is wrong; expecting '{rules.region}'"
        raise S3Error(400, code, message, Region=rules.region)
    return parts[0], "/".join(parts[1:])


def _canonical_query(parameters: Sequence[tuple[str, str]]) -> str:
    encoded = sorted(
        (quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED))
        for name, value in parameters
        if name != "X-Amz-Signature"
    )
    return "&".join(f"{name}={value}" for name, value in encoded)


def _canonical_headers(request: SignedRequest, signed_headers: str) -> str:
    names = signed_headers.split(";")
    unsigned = [name for name in request.headers if name.startswith("x-amz-") and name not in names]
    if "host" not in names or unsigned:
        message = "There were headers present in the request which were not signed"
        raise S3Error(403, "AccessDenied", message, HeadersNotSigned=", ".join(unsigned or ["host"]))
    return "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in names)


def _sign(secret: str, scope: str, text: str) -> str:
    key = f"AWS4{secret}".encode()
    for part in [*scope.split("/"), text]:
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()
