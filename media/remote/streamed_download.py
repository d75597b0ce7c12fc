"""A file from a host without range requests: one download, read as far as needed, into a temporary file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack

from media.remote.fetch_errors import AttemptFailed, empty_file_error
from media.remote.file_host import FileHost
from media.remote.range_cache import CHUNK_BYTES
from media.remote.range_client import FullResponse
from models.errors import MediaRejected
from models.media.codes import MediaCode
from models.media.rules import MIB, SMALLER_FILE_HINT

MAX_SAMPLE_DOWNLOAD_BYTES = 256 * MIB
"""The end of a larger file is not downloaded for its sample."""


class StreamedDownload:
    """The first part of one download, as far as needed, in a temporary file.

    `size` is that of the file. A file whose size the host does not state is read completely.
    """

    def __init__(self, host: FileHost, full: FullResponse, resources: ExitStack, limit: int) -> None:
        self._host = host
        self._limit = limit
        self._chunks = host.iter_body(full.response, full.coding)
        # An unnamed file: the system removes it even if the process is killed.
        self._file = resources.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # closed by the RemoteFile
        self._received = 0
        self._check_limit(full.size or 0)
        self.size = self._receive(None) if full.size is None else full.size
        if self.size == 0:
            raise empty_file_error(host.redacted_url)

    def can_reach_end(self) -> bool:
        """Return whether the rest of the file is small enough to be downloaded for its sample."""
        return self.size - self._received <= MAX_SAMPLE_DOWNLOAD_BYTES

    def fetch(self, _start: int, end: int) -> None:
        """Download the file up to `end`."""
        if end > self._received and self._receive(end) < end:
            raise self._host.unreachable_error("the download ended early")

    def cached(self, start: int, end: int) -> bytes:
        """Return the downloaded bytes from `start` to `end`."""
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
            raise self._host.unreachable_error(f"the download was interrupted: {error}") from error
        except OSError as error:
            raise self._host.unreachable_error(f"cannot store the download: {error.strerror}") from error
        return self._received

    def _check_limit(self, size: int) -> None:
        if size > self._limit:
            raise MediaRejected(
                MediaCode.FILE_TOO_LARGE,
                f"{self._host.redacted_url} is larger than {self._limit:,} bytes",
                hint=SMALLER_FILE_HINT,
            )
