"""The file of an archive: written beside its name, synced, and named only once it is whole; never written over."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from models.archive import ArchivedEvent
from models.errors import ArchiveFailed, InvalidRequest

GZIP_SUFFIX = ".gz"
SUFFIXES = (".jsonl", ".jsonl" + GZIP_SUFFIX)


class ArchiveWriter:
    """Appends lines, and counts them."""

    def __init__(self, out: IO[bytes] | gzip.GzipFile) -> None:
        self._out = out
        self.count = 0

    def append(self, event: ArchivedEvent) -> None:
        """Write one line."""
        self._out.write(event.model_dump_json().encode() + b"\n")
        self.count += 1


class ArchiveFile:
    """Lines of JSON, compressed where the name ends in .gz; readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        """Raise InvalidRequest where the name is taken or is none for an archive, and ArchiveFailed."""
        self.path = path.absolute()
        self._part = Path(f"{self.path}.part")
        with self._told():
            self._check()

    def _check(self) -> None:
        if not self.path.name.endswith(SUFFIXES):
            raise InvalidRequest(
                [("to", f"{self.path} ends in neither {' nor '.join(SUFFIXES)}")], hint="name it so"
            )
        if not self.path.parent.is_dir():
            raise InvalidRequest(
                [("to", f"there is no folder {self.path.parent}")], hint="make it, or name another"
            )
        if self.path.exists():
            raise InvalidRequest(
                [("to", f"{self.path} is there already, and an archive is never written over")],
                hint="name another file: what the ledger still holds goes there",
            )
        if self._part.exists():
            raise InvalidRequest(
                [("to", f"{self._part} is there: another archive is being written, or one was killed meanwhile")],
                hint="where none is running, remove it: nothing of it has left the ledger",
            )

    @contextlib.contextmanager
    def writing(self) -> Iterator[ArchiveWriter]:
        """Open it; on leaving, it is whole, synced, and has its name.

        No file stays where nothing was appended, or the context is left by an exception. Raises ArchiveFailed.
        """
        with self._told(), contextlib.ExitStack() as stack:
            file = stack.enter_context(
                os.fdopen(os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
            )
            stack.callback(self._part.unlink)
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
                os.link(self._part, self.path)  # unlike a rename it never replaces what is there
                self._sync_folder()

    def read(self) -> Iterator[ArchivedEvent]:
        """Return what stands in it, in order. Raises ArchiveFailed."""
        with self._told(), gzip.open(self.path) if self._is_gzip else self.path.open("rb") as lines:
            for line in lines:
                yield ArchivedEvent.model_validate_json(line)

    def sha256(self) -> str:
        """Return the digest of the file as it lies on disk. Raises ArchiveFailed."""
        with self._told(), self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def _is_gzip(self) -> bool:
        return self.path.name.endswith(GZIP_SUFFIX)

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, ValueError) as error:
            raise ArchiveFailed(
                f"the archive {self.path} failed: {error}",
                hint="check free space and rights there; what is not whole in the file stays in the ledger",
            ) from error
