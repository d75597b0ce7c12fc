"""Creates and replaces files with personal data or secrets: mode 0600 whatever the umask, in folders of mode 0700.

A new file never follows a link that another user has prepared, and a replaced file is complete or unchanged.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import stat
from pathlib import Path

from models.environment.regular_files import NEW_FILE_MODE, UnsuitableFile, describe_kind, open_regular_file

PRIVATE_FOLDER_MODE = 0o700
OTHERS = stat.S_IRWXG | stat.S_IRWXO
"""Every permission of the group and of others."""
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
TRIAL_BYTES = 4096
"""A block of most file systems: a full disk has none, and a small file still fits on any other."""

logger = logging.getLogger(__name__)


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


def trial_problem(path: Path) -> str | None:
    """Return the problem as above, also that of a trial, which writes TRIAL_BYTES to the folder and removes them.

    Permissions do not tell about a full disk, a quota, or a file system that refuses new files.
    """
    if (problem := replacement_problem(path)) is not None:
        return problem
    trial = _unfinished(path)
    try:
        _write_new(trial, bytes(TRIAL_BYTES))
    except OSError as error:
        return f"a trial in the folder {path.parent} failed: {error.strerror or type(error).__name__}"
    finally:
        with contextlib.suppress(OSError):
            trial.unlink()
    return None


def replace_file(path: Path, data: bytes) -> None:
    """Write a file with mode 0600 completely, sync it to disk, and only then give it its name.

    The unfinished file has an unpredictable name in the same folder, so that no other program can have prepared it.

    Raises:
        OSError: It cannot be written; a file that was at the path is unchanged.
    """
    if (problem := replacement_problem(path)) is not None:
        raise UnsuitableFile(problem)
    unfinished = _unfinished(path)
    try:
        _write_new(unfinished, data)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.part")


def _write_new(path: Path, data: bytes) -> None:
    with open(create_private_file(path), "wb") as file:  # a descriptor is not a path
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def create_private_file(path: Path) -> int:
    """Create a new file with mode 0600 and return its descriptor for writing.

    Raises:
        FileExistsError: Something has this name, be it a link that leads to nothing.
        OSError: The file cannot be created.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, NEW_FILE_MODE)


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
    is_shared = stat.S_ISDIR(status.st_mode) and (status.st_mode & stat.S_ISVTX or _is_home(path))
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


def _is_home(folder: Path) -> bool:
    try:
        return folder.samefile(Path.home())
    except (OSError, RuntimeError):  # a user of a container may have no home folder
        return False


def is_replaceable_by_others(folder: Path) -> bool:
    """Whether every user can replace the files in a folder: it is world-writable and not sticky."""
    mode = folder.stat().st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX
