"""A file at an HTTPS URL as a seekable binary file that fetches only the bytes it needs."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import httpx

from media.range_client import (
    DEFAULT_LIMITS,
    SYSTEM_CLOCK,
    AttemptFailed,
    FetchLimits,
    RangeClient,
    RangeResponse,
)
from media.response_headers import content_length
from models.clock import Clock
from models.errors import MediaRejected
from models.media_codes import MediaCode
from models.media_rules import MIB, SMALLER_FILE_HINT

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_BYTES = 4096
READ_AHEAD_BYTES = 64 * 1024
CHUNK_BYTES = 4 * MIB
SAMPLE_BYTES = 64 * 1024
"""The bytes at either end of a file that count for its sample. The first request fetches as many."""
MAX_SAMPLE_DOWNLOAD_BYTES = 256 * MIB
"""The end of a larger file is not downloaded for its sample from a host without range requests."""


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
        self._client = RangeClient(url, transport, limits, clock, sleep)
        head = self._client.fetch_range(0, READ_AHEAD_BYTES)
        self._store: _ByteSource
        if isinstance(head, RangeResponse):
            self._store = _RangeCache(self._client, head)
            return
        try:
            self._resources.callback(head.close)
            self._store = _StreamedDownload(self._client, head, self._resources, download_limit_bytes)
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
        return self._client.content_type

    @property
    def redacted_url(self) -> str:
        """The current URL, after redirects, without its query."""
        return self._client.redacted_url

    @property
    def host_time(self) -> datetime:
        """The time of the last response; see RangeClient."""
        return self._client.host_time

    @property
    def requests(self) -> int:
        """The number of requests sent so far, including redirects and retries."""
        return self._client.requests

    @property
    def bytes_fetched(self) -> int:
        """The number of body bytes received so far."""
        return self._client.bytes_fetched

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
        self._client.extend_budget(SAMPLE_BYTES, 1)
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


class _RangeCache:
    """Blocks of BLOCK_BYTES that were fetched by range, keyed by their number."""

    def __init__(self, client: RangeClient, head: RangeResponse) -> None:
        self.size = head.size
        self._client = client
        self._blocks: dict[int, bytes] = {}
        self._store(0, head.data)

    def fetch(self, start: int, end: int) -> None:
        for first, last in self._missing_ranges(start // BLOCK_BYTES, -(-end // BLOCK_BYTES)):
            self._store(first, self._fetch_range(first * BLOCK_BYTES, min(last * BLOCK_BYTES, self.size)))

    def iter_chunks(self) -> Iterator[bytes]:
        """Yield the whole file in chunks, and fetch what is missing. The last chunk is cached, for the sample."""
        starts = range(0, self.size, CHUNK_BYTES)
        self._client.extend_budget(self.size, len(starts))
        for start in starts:
            end = min(start + CHUNK_BYTES, self.size)
            cached = self.cached(start, end)
            yield cached
            if start + len(cached) < end:
                rest = self._fetch_range(start + len(cached), end)
                if end == self.size:
                    self._store((start + len(cached)) // BLOCK_BYTES, rest)
                yield rest

    def can_reach_end(self) -> bool:
        return True

    def _fetch_range(self, start: int, end: int) -> bytes:
        response = self._client.fetch_range(start, end)
        if isinstance(response, RangeResponse):
            return response.data
        response.close()
        raise self._client.unreachable_error("the host stopped supporting range requests")

    def cached(self, start: int, end: int) -> bytes:
        """Return the cached bytes from `start` to `end`, up to the first gap."""
        blocks = []
        for number in range(start // BLOCK_BYTES, -(-end // BLOCK_BYTES)):
            if number not in self._blocks:
                break
            blocks.append(self._blocks[number])
        skip = start % BLOCK_BYTES
        return b"".join(blocks)[skip : skip + max(end - start, 0)]

    def _missing_ranges(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        gap = None
        for number in range(first, last + 1):
            if number < last and number not in self._blocks:
                gap = number if gap is None else gap
            elif gap is not None:
                yield gap, number
                gap = None

    def _store(self, first: int, data: bytes) -> None:
        for offset in range(0, len(data), BLOCK_BYTES):
            self._blocks[first + offset // BLOCK_BYTES] = data[offset : offset + BLOCK_BYTES]


class _StreamedDownload:
    """The first part of one streamed download, as far as needed, in a temporary file."""

    def __init__(self, client: RangeClient, response: httpx.Response, resources: ExitStack, limit: int) -> None:
        self._client = client
        self._limit = limit
        self._chunks = client.iter_body(response)
        # An unnamed file: the system removes it even if the process is killed.
        self._file = resources.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # closed by the RemoteFile
        self._received = 0
        length = content_length(response)
        self._check_limit(length or 0)
        self.size = self._receive(None) if length is None else length

    def can_reach_end(self) -> bool:
        return self.size - self._received <= MAX_SAMPLE_DOWNLOAD_BYTES

    def fetch(self, _start: int, end: int) -> None:
        if end > self._received and self._receive(end) < end:
            raise self._client.unreachable_error("the download ended early")

    def cached(self, start: int, end: int) -> bytes:
        end = min(end, self._received)
        self._file.seek(start)
        return self._file.read(max(end - start, 0))

    def iter_chunks(self) -> Iterator[bytes]:
        """Download the rest of the file, and yield all of it in chunks."""
        self.fetch(0, self.size)
        for start in range(0, self.size, CHUNK_BYTES):
            yield self.cached(start, min(start + CHUNK_BYTES, self.size))

    def _receive(self, end: int | None) -> int:
        """Receive up to `end` (None: the whole body), and return the number of bytes received in total."""
        try:
            self._file.seek(self._received)
            while end is None or self._received < end:
                chunk = next(self._chunks, None)
                if chunk is None:
                    break
                self._received += self._file.write(chunk)
                self._check_limit(self._received)
            self._file.flush()
        except AttemptFailed as error:
            raise self._client.unreachable_error(f"the download was interrupted: {error}") from error
        except OSError as error:
            raise self._client.unreachable_error(f"cannot store the download: {error.strerror}") from error
        return self._received

    def _check_limit(self, size: int) -> None:
        if size > self._limit:
            raise MediaRejected(
                MediaCode.FILE_TOO_LARGE,
                f"{self._client.redacted_url} is larger than {self._limit:,} bytes",
                hint=SMALLER_FILE_HINT,
            )
