"""A file at an HTTPS URL as a seekable binary file that fetches only the bytes it needs."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import httpx

from media.remote.fetch_limits import DEFAULT_LIMITS, SYSTEM_CLOCK, FetchLimits
from media.remote.file_host import FileHost
from media.remote.range_cache import RangeCache
from media.remote.range_client import RangeClient, RangeResponse
from media.remote.streamed_download import StreamedDownload
from models.clock import Clock

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

READ_AHEAD_BYTES = 64 * 1024
SAMPLE_BYTES = 64 * 1024
"""The bytes at either end of a file that count for its sample. The first request fetches as many."""


class _ByteSource(Protocol):
    """The bytes of the remote file that are stored locally, and the way to fetch more."""

    size: int

    def can_reach_end(self) -> bool: ...

    def fetch(self, start: int, end: int) -> None: ...

    def cached(self, start: int, end: int) -> bytes: ...

    def iter_chunks(self) -> Iterator[bytes]: ...


class RemoteFile(io.RawIOBase):
    """A remote file, open for reading. Close it, or use it as a context manager.

    Creating it sends the first request. Reads fetch the bytes they need and return full lengths, as
    those of a local file do. If `fetch_on_read` is False, reads end where the fetched bytes end,
    and only `fetch` sends requests.

    A host without range requests is read as one download, only as far as needed, into a temporary
    file that `close` removes. An interrupted download is not restarted.

    All methods block; call them from a thread.

    Args:
        url: The HTTPS URL.
        transport: Sends the requests.
        download_limit_bytes: The largest download from a host without range requests.
        limits: The budget of requests, bytes and time.
        clock: Measures the time budget.
        sleep: Waits between attempts, in seconds.

    Raises:
        MediaRejected: On opening or reading, if a retry would not help.
        MediaUnreachable: On opening or reading, if the host gives no usable response.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: httpx.BaseTransport,
        download_limit_bytes: int,
        limits: FetchLimits = DEFAULT_LIMITS,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__()
        self.fetch_on_read = True
        self._position = 0
        self._resources = ExitStack()
        self._host = FileHost(url, transport, limits, clock, sleep)
        self._client = RangeClient(self._host)
        head = self._client.open_file(READ_AHEAD_BYTES)
        self._store: _ByteSource
        if isinstance(head, RangeResponse):
            self._store = RangeCache(self._client, self._host.budget, head)
            return
        try:
            self._resources.callback(head.response.close)
            self._store = StreamedDownload(self._host, head, self._resources, download_limit_bytes)
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """The size of the whole file, in bytes."""
        return self._store.size

    @property
    def etag(self) -> str | None:
        """The ETag, None if the host does not send one."""
        return self._client.etag

    @property
    def content_type(self) -> str:
        """The Content-Type of the last response, empty if the host does not send one."""
        return self._host.content_type

    @property
    def redacted_url(self) -> str:
        """The current URL, after redirects, without its query."""
        return self._host.redacted_url

    @property
    def host_time(self) -> datetime:
        """The time of the last response; see FileHost."""
        return self._host.time

    @property
    def requests(self) -> int:
        """The number of requests sent so far, including redirects and retries."""
        return self._host.budget.requests

    @property
    def bytes_fetched(self) -> int:
        """The number of body bytes received so far."""
        return self._host.budget.bytes_fetched

    def fetch(self, start: int, end: int) -> None:
        """Fetch the bytes from `start` to `end`, with one request for each gap."""
        self._store.fetch(start, min(end, self.size))

    def sha256(self) -> str:
        """Read the whole file and return its SHA-256 in hexadecimal.

        Bytes that were not fetched before are read in chunks and not cached. The byte budget is
        extended for this; the time budget is not.
        """
        digest = hashlib.sha256()
        for chunk in self._store.iter_chunks():
            digest.update(chunk)
        return digest.hexdigest()

    def sample_sha256(self) -> str | None:
        """Return the SHA-256 of the size, the first and the last SAMPLE_BYTES of the file, in hexadecimal.

        It identifies a copy of a large file with at most one request more, for which the budget is extended. It is
        None if the host has no range requests and the rest of the file exceeds MAX_SAMPLE_DOWNLOAD_BYTES.
        """
        if not self._store.can_reach_end():
            return None
        self._host.budget.extend(SAMPLE_BYTES, 1)
        digest = hashlib.sha256(b"%d\n" % self.size)
        for start, end in ((0, min(SAMPLE_BYTES, self.size)), (max(self.size - SAMPLE_BYTES, 0), self.size)):
            self.fetch(start, end)
            digest.update(self._store.cached(start, end))
        return digest.hexdigest()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into the buffer from the current position, and return the number of bytes read."""
        view = memoryview(buffer).cast("B")
        start = self._position
        end = min(start + len(view), self.size)
        data = self._store.cached(start, end)
        if len(data) < end - start and self.fetch_on_read:
            self.fetch(start, max(end, start + READ_AHEAD_BYTES))
            data = self._store.cached(start, end)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Set the position, without fetching."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if origin + offset < 0:
            raise ValueError("the position is before the start of the file")
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seekable(self) -> bool:
        """Return True: the position can be set."""
        return True

    def readable(self) -> bool:
        """Return True: the file can be read."""
        return True

    def close(self) -> None:
        """Stop a running download and remove its temporary file."""
        self._resources.close()
        super().close()
