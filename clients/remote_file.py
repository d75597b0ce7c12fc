"""A video behind an https URL as a seekable binary file that fetches as little as it can."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import httpx

from clients.range_requests import DEFAULT_LIMITS, FetchLimits, NoAnswer, Part, RangeRequests, content_length
from models.errors import MediaRejected
from models.media import MIB, SMALLER_FILE_HINT

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_BYTES = 4096
READ_AHEAD_BYTES = 64 * 1024
PIECE_BYTES = 4 * MIB


class _Store(Protocol):
    """What is here of the remote file, and how more of it gets here."""

    size: int

    def fetch(self, start: int, end: int) -> None: ...

    def held(self, start: int, end: int) -> bytes: ...

    def pieces(self) -> Iterator[bytes]: ...


class RemoteFile(io.RawIOBase):
    """A remote file, open for reading; opening it makes the first request. Close it, or use it in a `with`.

    Reads fetch what they need and are full, as a regular file's are, unless `fetch_on_read` is switched off: then
    they end where what has been fetched ends, and only `fetch` goes to the host. A host that knows no ranges is
    read as one download, no further than needed, into a temporary file that is gone when this one is closed; a
    download of more than `download_limit_bytes` is rejected, and a cut one is not begun again.

    Opening and reading raise MediaRejected for a definite no, and MediaUnreachable where nothing usable came. They
    block: call from a thread. Time is `monotonic`'s, pauses are `sleep`'s.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: httpx.BaseTransport,
        download_limit_bytes: int,
        limits: FetchLimits = DEFAULT_LIMITS,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__()
        self.fetch_on_read = True
        self._position = 0
        self._resources = ExitStack()
        self._asked = RangeRequests(url, transport, limits, monotonic, sleep)
        head = self._asked.ask(0, READ_AHEAD_BYTES)
        self._store: _Store
        if isinstance(head, Part):
            self._store = _Blocks(self._asked, head)
            return
        try:
            self._resources.callback(head.close)
            self._store = _Download(self._asked, head, self._resources, download_limit_bytes)
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Bytes in the whole file."""
        return self._store.size

    @property
    def etag(self) -> str | None:
        """The host's ETag, if it gave one."""
        return self._asked.etag

    @property
    def shown(self) -> str:
        """The URL as it may be shown."""
        return self._asked.shown

    @property
    def requests(self) -> int:
        """Requests made so far, redirects and repeated attempts included."""
        return self._asked.requests

    @property
    def bytes_fetched(self) -> int:
        """Bytes of bodies received so far."""
        return self._asked.bytes_fetched

    def fetch(self, start: int, end: int) -> None:
        """Have the bytes from `start` to `end` here, with one request for each gap."""
        self._store.fetch(start, min(end, self.size))

    def sha256(self) -> str:
        """Read the whole file, what is not here yet in pieces that are not kept; returns its SHA-256 in hex.

        The byte budget of ranges does not count here; the time budget does.
        """
        digest = hashlib.sha256()
        for piece in self._store.pieces():
            digest.update(piece)
        return digest.hexdigest()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer from the position on, and return how many bytes it got."""
        view = memoryview(buffer).cast("B")
        start = self._position
        end = min(start + len(view), self.size)
        data = self._store.held(start, end)
        if len(data) < end - start and self.fetch_on_read:
            self.fetch(start, max(end, start + READ_AHEAD_BYTES))
            data = self._store.held(start, end)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move the position; nothing is fetched."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if origin + offset < 0:
            raise ValueError("a position before the file's start")
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seekable(self) -> bool:
        """Positions can be chosen."""
        return True

    def readable(self) -> bool:
        """Bytes can be read."""
        return True

    def close(self) -> None:
        """End the download, if one is under way, and remove its temporary file."""
        self._resources.close()
        super().close()


class _Blocks:
    """Blocks fetched by range, by their number."""

    def __init__(self, asked: RangeRequests, head: Part) -> None:
        self.size = head.size
        self._asked = asked
        self._blocks: dict[int, bytes] = {}
        self._keep(0, head.data)

    def fetch(self, start: int, end: int) -> None:
        for first, last in self._gaps(start // BLOCK_BYTES, -(-end // BLOCK_BYTES)):
            self._keep(first, self._ask(first * BLOCK_BYTES, min(last * BLOCK_BYTES, self.size)))

    def pieces(self) -> Iterator[bytes]:
        """Yield the whole file, asking for what is not here."""
        starts = range(0, self.size, PIECE_BYTES)
        self._asked.allow(self.size, len(starts))
        for start in starts:
            end = min(start + PIECE_BYTES, self.size)
            held = self.held(start, end)
            yield held
            if start + len(held) < end:
                yield self._ask(start + len(held), end)

    def _ask(self, start: int, end: int) -> bytes:
        answer = self._asked.ask(start, end)
        if isinstance(answer, Part):
            return answer.data
        answer.close()
        raise self._asked.unreachable("it answered a range once and not again")

    def held(self, start: int, end: int) -> bytes:
        """Return what is here of `start` to `end`, up to the first gap."""
        found = []
        for number in range(start // BLOCK_BYTES, -(-end // BLOCK_BYTES)):
            if number not in self._blocks:
                break
            found.append(self._blocks[number])
        skip = start % BLOCK_BYTES
        return b"".join(found)[skip : skip + max(end - start, 0)]

    def _gaps(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        gap = None
        for number in range(first, last + 1):
            if number < last and number not in self._blocks:
                gap = number if gap is None else gap
            elif gap is not None:
                yield gap, number
                gap = None

    def _keep(self, first: int, data: bytes) -> None:
        for offset in range(0, len(data), BLOCK_BYTES):
            self._blocks[first + offset // BLOCK_BYTES] = data[offset : offset + BLOCK_BYTES]


class _Download:
    """The beginning of one streamed download, as far as it was needed, in a temporary file."""

    def __init__(self, asked: RangeRequests, response: httpx.Response, resources: ExitStack, limit: int) -> None:
        self._asked = asked
        self._limit = limit
        self._chunks = asked.chunks(response)
        # No name in the file system: nothing is left behind even by a process that is killed.
        self._file = resources.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # closed by the RemoteFile
        self._received = 0
        length = content_length(response)
        self._check_limit(length or 0)
        self.size = self._receive(None) if length is None else length

    def fetch(self, _start: int, end: int) -> None:
        if end > self._received and self._receive(end) < end:
            raise self._asked.unreachable("the download ended early")

    def held(self, start: int, end: int) -> bytes:
        end = min(end, self._received)
        self._file.seek(start)
        return self._file.read(max(end - start, 0))

    def pieces(self) -> Iterator[bytes]:
        """Yield the whole file, received to its end."""
        self.fetch(0, self.size)
        for start in range(0, self.size, PIECE_BYTES):
            yield self.held(start, min(start + PIECE_BYTES, self.size))

    def _receive(self, end: int | None) -> int:
        """Receive up to `end`, None for all there is, and return how many bytes are here then."""
        try:
            self._file.seek(self._received)
            while end is None or self._received < end:
                chunk = next(self._chunks, None)
                if chunk is None:
                    break
                self._received += self._file.write(chunk)
                self._check_limit(self._received)
            self._file.flush()
        except NoAnswer as error:
            raise self._asked.unreachable(f"the download was cut: {error}") from error
        except OSError as error:
            raise self._asked.unreachable(f"the download could not be stored: {error.strerror}") from error
        return self._received

    def _check_limit(self, size: int) -> None:
        if size > self._limit:
            raise MediaRejected(
                "file-too-big", f"{self._asked.shown} holds more than {self._limit:,} bytes", hint=SMALLER_FILE_HINT
            )
