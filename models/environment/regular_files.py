"""Opens regular files only: without waiting for a named pipe, and without leaving a folder through a link.

Here, below all layers, because settings, manifests, certificates and the ledger need the same rules.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}
NEW_FILE_MODE = 0o600
_VIRTUAL_FOLDERS = ("/proc", "/sys")
# O_NONBLOCK: opening a named pipe would wait for its other end. O_NOCTTY: a terminal would control this process.
_SAFE_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class UnsuitableFile(OSError):
    """The path names something other than a regular file, or a file that is too large; `strerror` says what."""

    def __init__(self, cause: str) -> None:
        super().__init__(0, cause)


class FileTooLarge(UnsuitableFile):
    """The file is larger than the caller reads."""


class OutsideFolder(OSError):
    """The path leads out of the folder that it must stay in."""


def read_regular_file(path: Path | str, max_bytes: int, *, dir_fd: int | None = None, flags: int = 0) -> bytes:
    """Return the content of a regular file; never blocks.

    Args:
        path: The file.
        max_bytes: A larger file is refused before it is read.
        dir_fd: The folder that a relative `path` starts in.
        flags: Further flags of open(2), for example O_NOFOLLOW.

    Raises:
        UnsuitableFile: It is not a regular file, is part of a virtual file system such as /proc, or is too large.
        OSError: It cannot be opened or read.
    """
    with open_regular_file(path, os.O_RDONLY | flags, dir_fd=dir_fd) as descriptor:
        size = os.fstat(descriptor).st_size
        with open(descriptor, "rb", closefd=False) as file:  # a descriptor is not a path
            data = b"" if size > max_bytes else file.read(max_bytes + 1)
    if size > max_bytes or len(data) > max_bytes:
        raise FileTooLarge(f"it is larger than {max_bytes:,} bytes")
    return data


def read_file_below(folder: Path, path: str, max_bytes: int) -> bytes:
    """Return the content of a regular file below a folder; links within the folder are followed.

    The links are resolved first, then each folder on the way is opened without following one: what is replaced by a
    link in between is not opened.

    Args:
        folder: The folder, which exists.
        path: Relative to the folder, or absolute.
        max_bytes: A larger file is refused before it is read.

    Raises:
        OutsideFolder: The path leads out of the folder, whether or not a file is there.
        UnsuitableFile: It is not a regular file, or is too large.
        OSError: It cannot be opened or read.
    """
    root = folder.resolve(strict=True)
    try:
        names = (root / path).resolve().relative_to(root).parts
    except (OSError, ValueError, RuntimeError):  # a loop of links, a NUL character; ValueError: outside
        raise OutsideFolder(0, "it is outside the folder") from None
    if not names:
        raise UnsuitableFile("it is a folder")
    with contextlib.ExitStack() as stack:
        descriptor: int | None = None
        for name in (str(root), *names[:-1]):
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=descriptor)
            stack.callback(os.close, descriptor)
        return read_regular_file(names[-1], max_bytes, dir_fd=descriptor, flags=os.O_NOFOLLOW)


@contextlib.contextmanager
def open_regular_file(path: Path | str, flags: int, *, dir_fd: int | None = None) -> Iterator[int]:
    """Open a regular file and yield its descriptor; a file that this creates has mode 0600.

    Raises:
        UnsuitableFile: It is not a regular file, or is part of a virtual file system.
        OSError: It cannot be opened.
    """
    # Not Path.stat: the descriptor, not the path, is what is read.
    descriptor = os.open(path, flags | _SAFE_FLAGS, NEW_FILE_MODE, dir_fd=dir_fd)
    try:
        if (kind := describe_unsuitable(os.fstat(descriptor))) is not None:
            raise UnsuitableFile(f"it is {kind}")
        yield descriptor
    finally:
        os.close(descriptor)


def describe_unsuitable(status: os.stat_result) -> str | None:
    """Return what a path is, for example `a named pipe`; None for a regular file that is stored."""
    if (kind := describe_kind(status.st_mode)) is not None:
        return kind
    return "not a stored file but one of the kernel's" if status.st_dev in _virtual_devices() else None


def describe_kind(mode: int) -> str | None:
    """Return what a path is, for example `a named pipe`, from its `st_mode`; None for a regular file."""
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "not a regular file")


def _virtual_devices() -> set[int]:
    devices = set()
    for folder in _VIRTUAL_FOLDERS:
        with contextlib.suppress(OSError):
            devices.add(Path(folder).stat().st_dev)
    return devices - {Path("/").stat().st_dev}  # without a mounted /proc it is an ordinary folder


def find_same_file(path: Path, others: Mapping[str, Path]) -> str | None:
    """Return the name of the path among `others` that is the same file, or None.

    Links, hard links, relative forms and, on a file system that ignores case, other letter cases are the same file.
    """
    for name, other in others.items():
        try:
            if path.samefile(other):
                return name
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError, RuntimeError):
                if path.resolve() == other.resolve():
                    return name
    return None
