"""The file of a SQLite ledger: its mode, its companions, and what else may be at its path."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from models.environment.private_files import create_private_file, is_replaceable_by_others, make_private
from models.environment.regular_files import describe_unsuitable
from models.errors import DatabaseError

COMPANION_SUFFIXES = ("-wal", "-shm", "-journal")
"""SQLite creates these files with the mode of the database file; those of an earlier version can be wider."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LedgerFile:
    """The path of a SQLite file and the mode that its URL asks for: `ro`, `rw` or `rwc`."""

    path: Path
    mode: str

    def create(self) -> None:
        """Create the file with mode 0600 if it does not exist and the URL allows it.

        Raises:
            DatabaseError: The folder does not exist, or something other than a regular file is at the path or at
                that of a companion.
            OSError: The file cannot be created.
        """
        self._require_regular_file()
        self._require_regular_companions()
        if self.mode == "rwc":
            with contextlib.suppress(FileExistsError):
                os.close(create_private_file(self.path.resolve()))  # resolved: a link may lead to another volume

    def make_private(self) -> None:
        """Take the permissions of others on the file: a ledger contains names and presigned URLs."""
        if self.mode == "ro":
            return
        target = self.path.resolve()
        for file in (target, *self._companions()):
            if not file.is_symlink():  # another user may have created one since `create`, to any file of this user
                make_private(file)
        if is_replaceable_by_others(target.parent):
            logger.warning("every user can replace the ledger %s, because its folder is world-writable", self.path)

    def connect(self, timeout_seconds: float) -> sqlite3.Connection:
        """Connect to the file, which must exist."""
        return sqlite3.connect(self.uri, timeout=timeout_seconds, uri=True)

    @property
    def uri(self) -> str:
        """The URI to open the file with; SQLite never creates it, so that a file moved away is not replaced."""
        return f"{self.path.absolute().as_uri()}?mode={'ro' if self.mode == 'ro' else 'rw'}"

    def _require_regular_file(self) -> None:
        try:
            kind = describe_unsuitable(self.path.stat())
        except FileNotFoundError:
            folder = self.path.resolve().parent
            if not folder.is_dir():
                raise DatabaseError(
                    f"the ledger at {self.path} failed: unable to open database file: no folder {folder} exists",
                    hint=f"correct AVATARS_DATABASE_URL, or run `mkdir -m 700 {folder}`",
                ) from None
            return
        if kind is not None:
            raise DatabaseError(
                f"the ledger at {self.path} failed: unable to open database file: it is {kind}",
                hint="set AVATARS_DATABASE_URL to the path of a file, which need not exist",
            )

    def _require_regular_companions(self) -> None:
        """Refuse a named pipe, for which SQLite would wait, and a link, through which it would write elsewhere."""
        for file in self._companions():
            with contextlib.suppress(FileNotFoundError):
                if (kind := describe_unsuitable(file.lstat())) is not None:
                    raise DatabaseError(
                        f"the ledger at {self.path} failed: {file.name} beside it is {kind}",
                        hint=f"SQLite did not create it: find out who did, and remove {file}",
                    )

    def _companions(self) -> list[Path]:
        target = self.path.resolve()
        return [target.with_name(target.name + suffix) for suffix in COMPANION_SUFFIXES]
