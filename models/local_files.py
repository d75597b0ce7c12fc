"""Opens, creates and replaces local files that hold personal data or secrets.

Here, below all layers, because settings, manifests, the ledger and results need the same rules: only regular files,
never block, never follow a link to another file, mode 0600 whatever the umask, and folders with mode 0700.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

PRIVATE_FILE_MODE = 0o600
PRIVATE_FOLDER_MODE = 0o700
OTHERS = stat.S_IRWXG | stat.S_IRWXO
"""Every permission of the group and of others."""
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}
_VIRTUAL_FOLDERS = ("/proc", "/sys")
# O_NONBLOCK: opening a named pipe would wait for its other end. O_NOCTTY: a terminal would control this process.
_SAFE_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

logger = logging.getLogger(__name__)


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
    descriptor = os.open(path, flags | _SAFE_FLAGS, PRIVATE_FILE_MODE, dir_fd=dir_fd)
    try:
        status = os.fstat(descriptor)
        if (kind := describe_kind(status.st_mode)) is not None:
            raise UnsuitableFile(f"it is {kind}")
        if status.st_dev in _virtual_devices():
            raise UnsuitableFile("it is not a stored file but one of the kernel's")
        yield descriptor
    finally:
        os.close(descriptor)


def describe_kind(mode: int) -> str | None:
    """Return what a path is, for example `a named pipe`, from its `st_mode`; None for a regular file."""
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "not a regular file")


def _virtual_devices() -> set[int]:
    devices = set()
    for folder in _VIRTUAL_FOLDERS:
        with contextlib.suppress(OSError):
            devices.add(Path(folder).stat().st_dev)
    return devices - {Path("/").stat().st_dev}  # without a mounted /proc it is an ordinary folder


def replacement_problem(path: Path) -> str | None:
    """Return why `replace_file` cannot write to a path, or None; what it says can be read after `PATH: `.

    A symbolic link is replaced itself: the file that it leads to stays as it is.
    """
    try:
        if not path.parent.is_dir():
            return f"the folder {path.parent} does not exist"
        if not os.access(path.parent, os.W_OK | os.X_OK):
            return f"the folder {path.parent} is not writable"
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or "it is not a valid path"
    kind = None if stat.S_ISLNK(mode) else describe_kind(mode)
    return f"it is {kind}" if kind else None


def replace_file(path: Path, data: bytes) -> None:
    """Write a file with mode 0600 completely, sync it to disk, and only then give it its name.

    The unfinished file has an unpredictable name in the same folder, so that no other program can have prepared it.

    Raises:
        OSError: It cannot be written; a file that was at the path is unchanged.
    """
    if (problem := replacement_problem(path)) is not None:
        raise UnsuitableFile(problem)
    unfinished = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.part")
    descriptor = create_private_file(unfinished)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor is not a path
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create_private_file(path: Path) -> int:
    """Create a new file with mode 0600 and return its descriptor for writing.

    Raises:
        FileExistsError: Something has this name, be it a link that leads to nothing.
        OSError: The file cannot be created.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE_MODE)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def append_private_file(path: Path) -> int:
    """Open a file for appending, created or made private if needed, and return its descriptor.

    Raises:
        UnsuitableFile: It is not a regular file.
        OSError: It cannot be opened, or is a symbolic link.
    """
    with open_regular_file(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW) as descriptor:
        make_private(path)
        return os.dup(descriptor)


def create_private_folder(folder: Path) -> None:
    """Create a folder, and each missing folder above it, with mode 0700; an existing one keeps its mode.

    Raises:
        OSError: It cannot be created.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):  # mkdir(parents=True) would give the folders above the mode of the umask
        path.mkdir(mode=PRIVATE_FOLDER_MODE, exist_ok=True)


def make_private(path: Path) -> None:
    """Take the permissions of the group and of others from a file or folder of this user, and log that once.

    A path that does not exist, belongs to another user, is a folder that several users share (sticky, or the home
    folder), or is private already stays as it is. So does one on a file system without modes, which is logged, too.
    The path is not opened: closing a descriptor of a SQLite file releases the locks of this process.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    is_shared = stat.S_ISDIR(status.st_mode) and (status.st_mode & stat.S_ISVTX or path.resolve() == Path.home())
    if status.st_uid != os.geteuid() or not status.st_mode & OTHERS or is_shared:
        return
    mode = stat.S_IMODE(status.st_mode) & ~OTHERS
    try:
        path.chmod(mode)
    except OSError as error:
        logger.warning("%s is accessible to other users, and its mode cannot be changed: %s", path, error.strerror)
        return
    logger.warning(
        "%s was accessible to other users: its mode is now %04o instead of %04o",
        path,
        mode,
        stat.S_IMODE(status.st_mode),
    )


def is_replaceable_by_others(folder: Path) -> bool:
    """Whether every user can replace the files in a folder: it is world-writable and not sticky."""
    mode = folder.stat().st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


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
