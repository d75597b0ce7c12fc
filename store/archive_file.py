"""Archive files: written under a temporary name, synced, and renamed once complete; never overwritten."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from models.archive import ArchivedEvent
from models.errors import ArchiveError, InvalidRequest
from models.private_files import create_private_file, sync_folder

GZIP_SUFFIX = ".gz"
SUFFIXES = (".jsonl", ".jsonl" + GZIP_SUFFIX)


class ArchiveWriter:
    """Appends events as lines and counts them."""

    def __init__(self, out: IO[bytes] | gzip.GzipFile) -> None:
        self._out = out
        self.count = 0

    def append(self, event: ArchivedEvent) -> None:
        """Write the event as one line of JSON."""
        self._out.write(event.model_dump_json().encode() + b"\n")
        self.count += 1


class ArchiveFile:
    """A file of JSON lines, compressed if its name ends in .gz. Only its owner can read it."""

    def __init__(self, path: Path) -> None:
        """Validate the path; the file is not opened yet.

        Raises:
            InvalidRequest: The file exists, its folder does not, or its name is not that of an archive.
            ArchiveError: The path cannot be read.
        """
        self.path = path.absolute()
        self._temporary_path = Path(f"{self.path}.part")
        with self._translating_errors():
            self._validate_path()

    def _validate_path(self) -> None:
        if not self.path.name.endswith(SUFFIXES):
            raise InvalidRequest(
                [("output", f"{self.path} does not end in {' or '.join(SUFFIXES)}")],
                hint=f"choose a name that ends in {' or '.join(SUFFIXES)}",
            )
        if not self.path.parent.is_dir():
            raise InvalidRequest(
                [("output", f"the folder {self.path.parent} does not exist")],
                hint="create the folder, or choose another one",
            )
        if os.path.lexists(self.path):
            raise InvalidRequest(
                [("output", f"{self.path} already exists, and archives are never overwritten")],
                hint="choose another file name; the events that are still in the ledger are written to it",
            )
        if os.path.lexists(self._temporary_path):
            raise InvalidRequest(
                [("output", f"{self._temporary_path} exists: an archive run is in progress or was interrupted")],
                hint="if no archive run is in progress, remove that file; its events are still in the ledger",
            )

    @contextlib.contextmanager
    def writing(self) -> Iterator[ArchiveWriter]:
        """Open the file for writing. On exit it is complete, synced and has its final name.

        No file remains if nothing was appended or the body raises.

        Raises:
            ArchiveError: Writing failed.
        """
        with self._translating_errors(), contextlib.ExitStack() as stack:
            file = stack.enter_context(os.fdopen(create_private_file(self._temporary_path), "wb"))
            stack.callback(self._temporary_path.unlink)
            if self._is_gzip:
                with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as compressed:
                    writer = ArchiveWriter(compressed)
                    yield writer
            else:
                writer = ArchiveWriter(file)
                yield writer
            file.flush()
            os.fsync(file.fileno())
            if writer.count:
                os.link(self._temporary_path, self.path)  # unlike rename(2), link(2) never replaces a file
                sync_folder(self.path.parent)

    def read(self) -> Iterator[ArchivedEvent]:
        """Yield the events in the file, in order. Raises ArchiveError."""
        with self._translating_errors(), gzip.open(self.path) if self._is_gzip else self.path.open("rb") as lines:
            for line in lines:
                yield ArchivedEvent.model_validate_json(line)

    def sha256(self) -> str:
        """Return the hex digest of the file as stored, compressed or not. Raises ArchiveError."""
        with self._translating_errors(), self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def _is_gzip(self) -> bool:
        return self.path.name.endswith(GZIP_SUFFIX)

    @contextlib.contextmanager
    def _translating_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, ValueError) as error:
            raise ArchiveError(
                f"the archive {self.path} failed: {error}",
                hint="check free space and permissions; events that are not archived remain in the ledger",
            ) from error
