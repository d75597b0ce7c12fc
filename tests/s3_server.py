"""An S3 server for tests: moto behind TLS on loopback, which verifies every signature as S3 does.

Path style: https://127.0.0.1:PORT/BUCKET/KEY. Virtual-hosted style: the same address with the host name
BUCKET.s3.localhost; a machine may not resolve this name.

moto keeps its objects per process, so only one server runs at a time in a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock
from urllib.parse import parse_qsl, quote, unquote
from xml.sax.saxutils import escape, unescape

import trustme
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from simulator.uvicorn_thread import HOST, serve_in_thread
from tests.s3_signatures import NEVER, Credential, S3Error, SignatureRules, SignedRequest, verify_signature

REGION = "eu-west-1"
KEY_ID = "AKIATESTSTESTSTESTS1"
SECRET_KEY = "canary-s3-secret-key"
HOST_SUFFIX = ".s3.localhost"
ACCOUNT, PARTITION = "123456789012", "aws"
LARGE_BYTES = 16 * 2**20
BLOCK_BYTES = 2**20
ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")
_SIGNING_PARAMETERS = re.compile(
    r"X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature|Security-Token)"
)


class S3Request(NamedTuple):
    """A received request. `query` has no signature; `status` is that of the answer; sizes are in bytes."""

    method: str
    bucket: str
    key: str
    query: dict[str, str]
    range: str
    if_match: str
    body_bytes: int
    is_query_signed: bool
    status: int
    user_agent: str


@dataclass
class S3Server:
    """A running server. The attributes may change while it runs.

    Attributes:
        endpoint: The address of path style, without a bucket.
        ca_file: The PEM file of the authority that signed the certificate.
        region: The region that signatures must name; requests for a bucket of another region are redirected.
        credentials: The accepted keys by id.
        clock_offset: Added to the current time where the end of a signed URL is compared with it.
        expired_before: Signed URLs made before this time have expired.
        denied: Buckets, or BUCKET/KEY, for which the credentials have no permission.
        before_request: Called in a thread of its own before each answer. It may block, and may raise `S3Error`.
        requests: All requests, in the order of their answers.
    """

    endpoint: str
    ca_file: Path
    region: str = REGION
    credentials: dict[str, Credential] = field(default_factory=lambda: {KEY_ID: Credential(SECRET_KEY)})
    clock_offset: timedelta = timedelta(0)
    expired_before: datetime = NEVER
    denied: set[str] = field(default_factory=set)
    before_request: Callable[[S3Request], None] | None = None
    requests: list[S3Request] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which clients find and trust this server."""
        return {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": self.region,
            "AVATARS_S3_ENDPOINT": self.endpoint,
            "SSL_CERT_FILE": str(self.ca_file),
        }

    def create_bucket(self, bucket: str, region: str | None = None) -> None:
        """Create an empty bucket."""
        _backend().create_bucket(bucket, region or self.region)

    def put(self, bucket: str, key: str, data: bytes | Path, *, storage_class: str = "STANDARD") -> None:
        """Create or replace an object. The bytes of a path are read when they are requested."""
        if isinstance(data, bytes):
            _backend().put_object(bucket, key, data, storage=storage_class)
            return
        facts = data.stat()
        etag = f"{facts.st_ino:016x}{facts.st_mtime_ns % 2**64:016x}"
        stored = _backend().put_object(bucket, key, b"", storage=storage_class, etag=etag)
        stored._value_buffer.close()
        stored._value_buffer = data.open("rb")
        stored.contentsize = facts.st_size

    def read(self, bucket: str, key: str) -> bytes:
        """Return the bytes of an object."""
        data: bytes = _backend().get_object(bucket, key).value
        return data

    def sizes(self, bucket: str) -> dict[str, int]:
        """Return the size in bytes of each complete object by key."""
        return {key: stored.size for key, stored in _backend().buckets[bucket].keys.items()}

    def open_uploads(self, bucket: str) -> list[str]:
        """Return the keys of the multipart uploads that are neither complete nor aborted."""
        return [upload.key_name for upload in _backend().buckets[bucket].multiparts.values()]

    def set_storage_class(self, bucket: str, key: str, storage_class: str) -> None:
        """Change the storage class of an object, for example to GLACIER."""
        _backend().get_object(bucket, key).set_storage_class(storage_class)

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object."""
        _backend().delete_object(bucket, key)

    def count(self, method: str, bucket: str | None = None) -> int:
        """Return how many requests with this method succeeded."""
        return sum(
            request.method == method and bucket in {None, request.bucket} and request.status < 300
            for request in self.requests
        )


@contextlib.contextmanager
def running_s3_server(*, authority: trustme.CA | None = None) -> Iterator[S3Server]:
    """Serve an empty S3 while the context is open. `authority` signs the certificate; the default is a new one."""
    from moto.moto_server.werkzeug_app import create_backend_app  # takes a second to import
    from moto.s3.models import s3_backends

    authority = authority or trustme.CA()
    with tempfile.TemporaryDirectory(prefix="s3-server-") as folder:
        ca_file, certificate = Path(folder, "ca.pem"), Path(folder, "host.pem")
        authority.cert_pem.write_to_path(ca_file)
        authority.issue_cert(HOST, "localhost", "*" + HOST_SUFFIX).private_key_and_cert_chain_pem.write_to_path(
            certificate
        )
        s3_backends.reset()
        front = _Front(create_backend_app("s3"))
        # Parts of uploads are files, not memory.
        buffered = mock.patch.dict(os.environ, MOTO_S3_DEFAULT_KEY_BUFFER_SIZE=str(BLOCK_BYTES))
        try:
            with buffered, serve_in_thread(front, certificate=certificate) as base_url:
                front.server = S3Server(base_url, ca_file)
                yield front.server
        finally:
            s3_backends.reset()


def _backend() -> Any:
    from moto.s3.models import s3_backends

    return s3_backends[ACCOUNT][PARTITION]


class _Front:
    """Verifies the signature of a request, then lets moto answer it."""

    server: S3Server

    def __init__(self, app: Any) -> None:
        self._app = app
        self._lock = threading.Lock()  # moto has none of its own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        signed = SignedRequest(
            request.method,
            scope["raw_path"].decode("ascii"),
            scope["query_string"].decode("ascii"),
            {name.lower(): value for name, value in request.headers.items()},
            await request.body(),
        )
        recorded = _record(signed)
        try:
            response = await asyncio.to_thread(self._respond, signed, recorded)
        except S3Error as error:
            response = _error_response(error, is_head=signed.method == "HEAD")
        self.server.requests.append(recorded._replace(status=response.status_code))
        await response(scope, receive, send)

    def _respond(self, request: SignedRequest, recorded: S3Request) -> Response:
        if self.server.before_request is not None:
            self.server.before_request(recorded)
        now = datetime.now(UTC)
        verify_signature(
            request,
            SignatureRules(
                self.server.credentials,
                self.server.region,
                now=now + self.server.clock_offset,
                wall_time=now,
                expired_before=self.server.expired_before,
            ),
        )
        if self.server.denied & {recorded.bucket, f"{recorded.bucket}/{recorded.key}"}:
            raise S3Error(403, "AccessDenied", "Access Denied")
        with self._lock:
            self._check_region(recorded.bucket)
            if request.method == "GET" and recorded.key and _is_large(recorded):
                return self._large_object(recorded)
            if request.method == "POST" and "delete" in recorded.query and self._denied_keys(request, recorded):
                return self._delete_none(request, recorded)
            if (upload_id := recorded.query.get("uploadId")) is not None:
                upload = _backend().buckets[recorded.bucket].multiparts.get(upload_id)
                if upload is None:  # moto fails for a part that arrives after the upload was aborted
                    raise S3Error(404, "NoSuchUpload", "The specified upload does not exist.")
                if request.method == "POST" and sum(part.size for part in upload.parts.values()) > LARGE_BYTES:
                    return self._complete_large_upload(request, recorded, upload)
            return self._ask_moto(request, recorded)

    def _check_region(self, bucket: str) -> None:
        stored = _backend().buckets.get(bucket)
        if stored is not None and stored.region_name != self.server.region:
            endpoint = f"{bucket}.s3.{stored.region_name}.amazonaws.com"
            raise S3Error(
                301,
                "PermanentRedirect",
                "The bucket you are attempting to access must be addressed using the specified endpoint.",
                headers={"x-amz-bucket-region": stored.region_name},
                Endpoint=endpoint,
                Bucket=bucket,
            )

    def _denied_keys(self, request: SignedRequest, recorded: S3Request) -> set[str]:
        keys = {unescape(key) for key in re.findall(r"<Key>(.*?)</Key>", request.body.decode())}
        return {key for key in keys if f"{recorded.bucket}/{key}" in self.server.denied}

    def _delete_none(self, request: SignedRequest, recorded: S3Request) -> Response:
        """Answer DeleteObjects as S3 does if it deletes no object: with status 200, and an error for each key."""
        errors = "".join(
            f"<Error><Key>{escape(key)}</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            for key in sorted(self._denied_keys(request, recorded))
        )
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult>{errors}</DeleteResult>'
        return Response(body, media_type="application/xml")

    def _ask_moto(self, request: SignedRequest, recorded: S3Request) -> Response:
        from werkzeug.test import EnvironBuilder, run_wsgi_app

        skipped = {"host", "authorization", "connection", "transfer-encoding", "content-length"}
        headers = [(name, value) for name, value in request.headers.items() if name not in skipped]
        scope = f"{KEY_ID}/20260101/{self.server.region}/s3/aws4_request"
        headers.append(("Authorization", f"AWS4-HMAC-SHA256 Credential={scope}"))
        builder = EnvironBuilder(
            path=quote("/".join(["", recorded.bucket, *([recorded.key] if recorded.key else [])])),
            query_string="&".join(
                pair for pair in request.query.split("&") if not _SIGNING_PARAMETERS.match(unquote(pair))
            ),
            method=request.method,
            headers=headers,
            data=request.body,
        )
        body, status, answer = run_wsgi_app(self._app, builder.get_environ(), buffered=True)
        content = b"".join(body)
        response = Response(content, status_code=int(status.split()[0]))
        hop_by_hop = {"connection", "content-length", "transfer-encoding", "date", "server"}
        for name, value in answer.items():
            if name.lower() not in hop_by_hop:
                response.headers[name] = value
        if request.method == "HEAD" and "content-length" in answer:
            response.headers["content-length"] = answer["content-length"]
        return response

    def _large_object(self, recorded: S3Request) -> Response:
        """Answer with a part of an object that moto would read whole for each range."""
        stored = _backend().get_object(recorded.bucket, recorded.key)
        if stored.storage_class in ARCHIVED:
            message = "The operation is not valid for the object's storage class"
            raise S3Error(403, "InvalidObjectState", message, StorageClass=stored.storage_class)
        if recorded.if_match and recorded.if_match.strip('"') != stored.etag.strip('"'):
            message = "At least one of the pre-conditions you specified did not hold"
            raise S3Error(412, "PreconditionFailed", message, Condition="If-Match")
        size = stored.size
        first, last = 0, size - 1
        headers = {"etag": stored.etag, "accept-ranges": "bytes", "content-type": "binary/octet-stream"}
        if match := re.fullmatch(r"bytes=(\d*)-(\d*)", recorded.range):
            if match[1]:
                first, last = int(match[1]), min(int(match[2] or last), last)
            else:
                first = max(size - int(match[2]), 0)
            if first > last:
                raise S3Error(416, "InvalidRange", "The requested range is not satisfiable")
            headers["content-range"] = f"bytes {first}-{last}/{size}"
        headers["content-length"] = str(last - first + 1)
        content = self._blocks(stored, first, last + 1)
        return StreamingResponse(content, 206 if "content-range" in headers else 200, headers)

    def _complete_large_upload(self, request: SignedRequest, recorded: S3Request, upload: Any) -> Response:
        """Join the parts in a file: moto would hold four copies of the object in memory."""
        numbers = [int(number) for number in re.findall(rb"<PartNumber>(\d+)</PartNumber>", request.body)]
        tags = re.findall(rb"<ETag>(?:&quot;|\")?([0-9a-f]+)", request.body)
        parts = [upload.parts.get(number) for number in numbers]
        if any(part is None or part.etag.strip('"') != tag.decode() for part, tag in zip(parts, tags, strict=True)):
            raise S3Error(400, "InvalidPart", "One or more of the specified parts could not be found.")
        # The object closes it. SpooledTemporaryFile, because moto disposes of no other class.
        file = tempfile.SpooledTemporaryFile(max_size=1)  # noqa: SIM115
        for part in parts:
            part._value_buffer.seek(0)
            shutil.copyfileobj(part._value_buffer, file, BLOCK_BYTES)
        digest = hashlib.md5(b"".join(map(bytes.fromhex, map(bytes.decode, tags))), usedforsecurity=False)
        etag = f"{digest.hexdigest()}-{len(parts)}"
        stored = _backend().put_object(recorded.bucket, recorded.key, b"", storage=upload.storage, etag=etag)
        stored.set_metadata(upload.metadata)
        stored._value_buffer.close()
        stored._value_buffer, stored.contentsize = file, file.tell()
        del _backend().buckets[recorded.bucket].multiparts[upload.id]
        upload.dispose()
        body = f"<CompleteMultipartUploadResult><ETag>&quot;{etag}&quot;</ETag></CompleteMultipartUploadResult>"
        return Response(body, media_type="application/xml")

    async def _blocks(self, stored: Any, start: int, end: int) -> AsyncIterator[bytes]:
        while start < end:
            with self._lock:
                stored._value_buffer.seek(start)
                block = stored._value_buffer.read(min(BLOCK_BYTES, end - start))
            start += len(block)
            yield block


def _record(request: SignedRequest) -> S3Request:
    host = request.headers.get("host", "").partition(":")[0]
    path = unquote(request.path).removeprefix("/")
    if host.endswith(HOST_SUFFIX):
        bucket, key = host.removesuffix(HOST_SUFFIX), path
    else:
        bucket, _, key = path.partition("/")
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    return S3Request(
        method=request.method,
        bucket=bucket,
        key=key,
        query={name: value for name, value in query.items() if not _SIGNING_PARAMETERS.fullmatch(name)},
        range=request.headers.get("range", ""),
        if_match=request.headers.get("if-match", ""),
        body_bytes=len(request.body),
        is_query_signed="X-Amz-Signature" in query,
        status=0,
        user_agent=request.headers.get("user-agent", ""),
    )


def _is_large(request: S3Request) -> bool:
    from moto.s3.exceptions import S3ClientError

    try:
        stored = _backend().get_object(request.bucket, request.key)
    except S3ClientError:
        return False
    return stored is not None and stored.size > LARGE_BYTES


def _error_response(error: S3Error, *, is_head: bool) -> Response:
    elements = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in error.elements.items())
    elements += f"<RequestId>{os.urandom(8).hex()}</RequestId>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{elements}</Error>'
    # The answer to HEAD has no body, so its code is lost, as with S3.
    return Response(b"" if is_head else body, error.status, error.headers, media_type="application/xml")
