"""Answers range requests from an open local file, so that it is probed exactly as a remote one is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import httpx

LOCAL_URL = "https://local-file.invalid/recording"
"""Stands for the file in the probe. RFC 2606 reserves the domain; no request leaves this process."""
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_BLOCK_BYTES = 256 * 1024


class LocalFileTransport(httpx.BaseTransport):
    """A host of one file. Its ETag changes with the file, so that the probe notices a change.

    Args:
        descriptor: The open file, which the caller closes.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the requested range, or the whole file without one."""
        facts = os.fstat(self._descriptor)
        size = facts.st_size
        headers = {"etag": f'"{size:x}-{facts.st_mtime_ns:x}-{facts.st_ctime_ns:x}"'}
        match = _RANGE.fullmatch(request.headers.get("range", ""))
        if match is None:
            headers["content-length"] = str(size)
            return httpx.Response(200, headers=headers, stream=_FileStream(self._descriptor, 0, size))
        start, end = int(match[1]), min(int(match[2]) + 1, size)
        if start >= end:
            return httpx.Response(416, headers=headers | {"content-range": f"bytes */{size}"}, stream=_NOTHING)
        headers |= {"content-range": f"bytes {start}-{end - 1}/{size}", "content-length": str(end - start)}
        return httpx.Response(206, headers=headers, stream=_FileStream(self._descriptor, start, end))


class _FileStream(httpx.SyncByteStream):
    def __init__(self, descriptor: int, start: int, end: int) -> None:
        self._descriptor = descriptor
        self._start = start
        self._end = end

    def __iter__(self) -> Iterator[bytes]:
        position = self._start
        while position < self._end:
            try:
                block = os.pread(self._descriptor, min(_BLOCK_BYTES, self._end - position), position)
            except OSError as error:
                raise httpx.ReadError(error.strerror or "the file cannot be read") from None
            if not block:
                return
            position += len(block)
            yield block


_NOTHING = httpx.ByteStream(b"")
