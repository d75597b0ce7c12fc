"""How a host of files answers range requests: as RFC 9110 says, in rare ways that it allows, or against it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

BOUNDARY = "3d6b6a416f9b5"


@dataclass
class HostBehaviour:
    """The answers of a host. The defaults are those of RFC 9110, section 14.

    Sequences are used in turn, one item per request, and begin again at their end.

    Attributes:
        answer_bytes: The most bytes in one answer; 0 is without a limit.
        block_bytes: An answer begins and ends at multiples of this.
        content_range: The form of Content-Range, None to send none.
        is_multipart: The answer is a multipart body of one part.
        ignores_end: The answer reaches to the end of the file.
        ignores_start: The answer begins at the start of the file.
        supports_ranges: Without it, every answer is the whole file with 200.
        refuses_beyond_end: A range that ends beyond the file gets 416.
        unsatisfied: The Content-Range of a 416 response.
        coding: The Content-Encoding; gzip and deflate compress the whole body before a range is taken.
        states_length: Whether a response with the whole file has a Content-Length.
        etags: The values of ETag.
        statuses: Statuses without a file; 0 is an answer.
        status_body: The body with such a status.
        headers: Headers of every response.
        encode: Replaces the compression of `coding`.
    """

    answer_bytes: Sequence[int] = (0,)
    block_bytes: int = 1
    content_range: str | None = "bytes {first}-{last}/{size}"
    is_multipart: bool = False
    ignores_end: bool = False
    ignores_start: bool = False
    supports_ranges: bool = True
    refuses_beyond_end: bool = False
    unsatisfied: str = "bytes */{size}"
    coding: str = ""
    states_length: bool = True
    etags: Sequence[str] = ('"1"',)
    statuses: Sequence[int] = (0,)
    status_body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    encode: Callable[[bytes], bytes] | None = None
    _count: int = 0

    def respond(self, request: Request, data: bytes) -> Response:
        """Return the answer to a request for a file with these bytes."""
        number = self._count
        self._count += 1
        headers = {"etag": self.etags[number % len(self.etags)], **self.headers}
        if self.coding:
            headers["content-encoding"] = self.coding
            data = self._encoded(data)
        if status := self.statuses[number % len(self.statuses)]:
            return Response(self.status_body, status_code=status, headers=headers)
        requested = request.headers.get("range")
        if requested is None or not self.supports_ranges:
            response = Response(data, headers=headers)
            if not self.states_length:
                del response.headers["content-length"]
            return response
        first, last = map(int, requested.removeprefix("bytes=").split("-"))
        if first >= len(data) or (self.refuses_beyond_end and last >= len(data)):
            unsatisfied = self.unsatisfied.format(size=len(data))
            return Response(status_code=416, headers=headers | {"content-range": unsatisfied})
        first, last = self._range(first, last, self.answer_bytes[number % len(self.answer_bytes)], len(data))
        return self._partial_content(data, first, last, headers)

    def _encoded(self, data: bytes) -> bytes:
        if self.encode is not None:
            return self.encode(data)
        compress = {"gzip": lambda body: gzip.compress(body, 1), "deflate": zlib.compress}.get(self.coding)
        return compress(data) if compress else data

    def _range(self, first: int, last: int, limit: int, size: int) -> tuple[int, int]:
        first = 0 if self.ignores_start else first // self.block_bytes * self.block_bytes
        last = size if self.ignores_end else -(-(last + 1) // self.block_bytes) * self.block_bytes - 1
        last = min(last, size - 1)
        return first, min(last, first + limit - 1) if limit else last

    def _partial_content(self, data: bytes, first: int, last: int, headers: dict[str, str]) -> Response:
        body = data[first : last + 1]
        content_range = (self.content_range or "").format(first=first, last=last, size=len(data))
        if self.is_multipart:
            head = f"\r\n--{BOUNDARY}\r\nContent-Type: video/mp4\r\nContent-Range: {content_range}\r\n\r\n"
            body = head.encode() + body + f"\r\n--{BOUNDARY}--\r\n".encode()
            headers = headers | {"content-type": f"multipart/byteranges; boundary={BOUNDARY}"}
        elif content_range:
            headers = headers | {"content-range": content_range}
        return Response(body, status_code=206, headers=headers)
