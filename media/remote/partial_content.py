"""Reads the bytes of a range out of a 206 response, which may have fewer or more bytes than requested.

RFC 9110, section 15.3.7: a 206 response describes itself, and a host may send a part of what was requested. Hosts
that work in blocks send more. Some send a multipart body of one part, which only several ranges should have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import httpx

from media.remote.content_range import ContentRange, parse_content_range
from media.remote.fetch_errors import AttemptFailed
from models.media.rules import MIB

# Boundary and headers of a part take about 200 bytes.
MAX_PART_HEADER_BYTES = 4096
# Larger blocks are not read for the bytes at their end.
MAX_SKIPPED_BYTES = 4 * MIB

_BOUNDARY = re.compile(
    r'multipart/byteranges[ \t]*;.*?\bboundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE | re.DOTALL
)
_PART_RANGE = re.compile(rb"^content-range:([^\r\n]*)", re.IGNORECASE | re.MULTILINE)


class Part(NamedTuple):
    """The first bytes of a requested range, at least one, and the size of the file; None if not stated."""

    data: bytes
    size: int | None


def size_if_whole(response: httpx.Response, end: int) -> int | None:
    """Return the size of the file if a 206 response has all of it and more than the first `end` bytes."""
    content_range = parse_content_range(response.headers.get_list("content-range"))
    if content_range is None or content_range.first > 0 or content_range.last < end:
        return None
    return content_range.size if content_range.size == content_range.last + 1 else None


def read_partial_content(response: httpx.Response, chunks: Iterator[bytes], start: int, end: int) -> Part:
    """Read the requested bytes from `start` to `end`, as far as a 206 response has them.

    Args:
        response: The response.
        chunks: Its body.
        start: The first byte requested.
        end: The end of the request, excluded.

    Raises:
        AttemptFailed: If the response starts elsewhere, or its body does not have the length of its range.
    """
    content_range = parse_content_range(response.headers.get_list("content-range"))
    if content_range is None and (boundary := _BOUNDARY.match(response.headers.get("content-type", ""))):
        delimiter = b"--" + (boundary[1] or boundary[2]).encode("latin-1")
        content_range, data = _parse_multipart(_read(chunks, end - start + 2 * MAX_PART_HEADER_BYTES), delimiter)
        chunks = iter([data])
    if content_range is None:
        raise AttemptFailed("206 without a valid Content-Range header")
    first, last, size = content_range
    if not first <= start <= last or start - first > MAX_SKIPPED_BYTES:
        raise AttemptFailed(f"bytes {first}-{last} of {size or 'unknown size'} instead of {start}-{end - 1}")
    if last >= end:  # more than requested; the rest is not read
        length = end - first
        data = _read(chunks, length)[:length]
    else:
        length = last + 1 - first
        data = _read(chunks, length + 1)
    if len(data) != length:
        raise AttemptFailed("the length of the body contradicts the Content-Range header")
    return Part(data[start - first :], size)


def _read(chunks: Iterator[bytes], limit: int) -> bytes:
    """Read a body until it has at least `limit` bytes, or ends."""
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) >= limit:
            break
    return bytes(data)


def _parse_multipart(body: bytes, delimiter: bytes) -> tuple[ContentRange | None, bytes]:
    """Return the range and the bytes of the first part; None if the range is invalid."""
    # The body may begin with a line break, and lines may end without a carriage return.
    head = re.compile(rb"\s*" + re.escape(delimiter) + rb"[ \t]*\r?\n(.*?)\r?\n\r?\n", re.DOTALL).match(body)
    if head is None:
        return None, b""
    content_range = parse_content_range(value.decode("latin-1") for value in _PART_RANGE.findall(head[1]))
    if content_range is None:
        return None, b""
    end = head.end() + content_range.last + 1 - content_range.first
    if not re.match(rb"\r?\n" + re.escape(delimiter), body[end : end + len(delimiter) + 2]):
        raise AttemptFailed("the length of a part contradicts its Content-Range header")
    return content_range, body[head.end() : end]
