"""Opens local recordings: regular files only, with an error that names the path and the remedy."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from models.environment.regular_files import UnsuitableFile, open_regular_file
from models.errors import InvalidRequest
from models.recordings.local_paths import resolve_path, shown_path

BLOCK_BYTES = 1024 * 1024

_HINT = "pass the path of a recording, or an address that begins with https://, s3://, gs:// or az://"
_FILE_HINTS = {
    errno.ENOENT: f"check the path for typos; {_HINT}",
    errno.ELOOP: "pass the path of the file that the symbolic link names",
    errno.EACCES: "let this user read the file and its folder: chmod u+r FILE",
    errno.EPERM: "let this user read the file and its folder: chmod u+r FILE",
}


@dataclass(frozen=True)
class LocalFile:
    """A file of one state: the digest is that of these bytes, and another time of change is another state.

    Attributes:
        path: The absolute path.
        shown: The path as it was written, without what looks like a query.
        size_bytes: Its size.
        state: What changes with the file: device, inode, size, and time of change in nanoseconds.
    """

    path: Path
    shown: str
    size_bytes: int
    state: tuple[int, ...]


@contextlib.contextmanager
def open_local_file(text: str, field: str, folder: Path | None = None) -> Iterator[tuple[LocalFile, int]]:
    """Open a local recording and yield it with its descriptor.

    Args:
        text: The path as it was written; `~` is the home folder.
        field: The field of the request, for the error.
        folder: The folder in which a relative path begins; None is the working directory.

    Raises:
        InvalidRequest: The path is malformed, or names no regular file that can be read, or an empty one.
    """
    shown = shown_path(text)
    try:
        path = resolve_path(text, folder)
        # O_NOFOLLOW: a link may be replaced between the check and the upload.
        context = open_regular_file(path, os.O_RDONLY | os.O_NOFOLLOW)
        descriptor = context.__enter__()
    except UnsuitableFile as error:
        raise _file_error(field, shown, error.strerror or "", _HINT) from None
    except (OSError, ValueError, RuntimeError) as error:
        number = getattr(error, "errno", None) or 0
        cause = "it is a symbolic link" if number == errno.ELOOP else getattr(error, "strerror", None)
        raise _file_error(field, shown, cause or "it is not a valid path", _FILE_HINTS.get(number, _HINT)) from None
    with contextlib.ExitStack() as stack:
        stack.push(context)
        file = _describe(path, shown, descriptor)
        if file.size_bytes == 0:
            raise _file_error(field, shown, "it is empty", "export or copy the file again")
        yield file, descriptor


def require_unchanged(file: LocalFile, descriptor: int, field: str) -> None:
    """Raise InvalidRequest if the open file is no longer in the state that was checked."""
    if _describe(file.path, file.shown, descriptor).state != file.state:
        raise changed_error(file, field)


def changed_error(file: LocalFile, field: str) -> InvalidRequest:
    """Return the error for a file that another program changed since it was checked."""
    return _file_error(
        field,
        file.shown,
        "it changed since it was checked",
        "wait until it is complete, then run the command again",
    )


def sha256_of(descriptor: int, on_bytes: Callable[[int], None] = lambda _count: None) -> str:
    """Return the SHA-256 (hex) of an open file. Blocks; `on_bytes` gets the size of each block that was read."""
    digest = hashlib.sha256()
    offset = 0
    while block := os.pread(descriptor, BLOCK_BYTES, offset):
        digest.update(block)
        offset += len(block)
        on_bytes(len(block))
    return digest.hexdigest()


def _describe(path: Path, shown: str, descriptor: int) -> LocalFile:
    facts = os.fstat(descriptor)
    state = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
    return LocalFile(path, shown, facts.st_size, state)


def _file_error(field: str, shown: str, cause: str, hint: str) -> InvalidRequest:
    return InvalidRequest([(field, f"cannot read the file {shown!r}: {cause}")], hint=hint)
