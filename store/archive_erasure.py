"""Erases the messages of one provisioning from a complete archive file.

The changed copy is complete and synced before the ledger records its SHA-256, and then it replaces the archive.
A copy has the same bytes in each attempt, so a command that was interrupted between these steps can run again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, func, update

from models.archive import ARCHIVE_ACTOR, ArchivedEvent, ArchiveRecord
from models.environment.private_files import sync_folder
from models.environment.regular_files import describe_unsuitable
from models.errors import ArchiveError
from models.privacy.erasure import ERASED_PLACEHOLDER, erased_raw_status
from models.tables import event_table
from store.archive_file import (
    creating_file,
    file_sha256,
    is_gzip,
    open_lines,
    translating_archive_errors,
)
from store.database import Database


async def erase_from_archive(database: Database, path: Path, record: ArchiveRecord, provisioning_id: str) -> None:
    """Replace the messages of a provisioning's events in an archive; every other line keeps its bytes.

    The ledger's records of the archive get the new SHA-256. Erasing again has no effect.

    Args:
        database: The database of the ledger.
        path: The archive file, or a symbolic link to it, which stays one.
        record: What the ledger records about it.
        provisioning_id: The provisioning whose messages are erased.

    Raises:
        ArchiveError: The file cannot be read or written, has another hard link, or is not the one that the ledger
            records.
        DatabaseError: The database failed; the archive is unchanged.
    """
    with (
        translating_archive_errors(path),
        _locked_file(path) as file,
        _changed_copy(path, file, provisioning_id) as copy,
    ):
        digest, new_digest = file_sha256(path), file_sha256(copy)
        if record.sha256 not in {digest, new_digest}:
            raise ArchiveError(
                f"the archive {path} has the SHA-256 {digest}, and the ledger records {record.sha256}",
                hint="name the archive that `avatars archive` wrote; a changed file is not changed further",
            )

        def record_digest(connection: Connection) -> None:
            message = event_table.c.message
            connection.execute(
                update(event_table)
                .where(event_table.c.actor == ARCHIVE_ACTOR, message.contains(record.sha256))
                .values(message=func.replace(message, record.sha256, new_digest))
            )

        await database.write(record_digest)
        copy.replace(file)
        sync_folder(file.parent)


@contextlib.contextmanager
def _changed_copy(path: Path, file: Path, provisioning_id: str) -> Iterator[Path]:
    """Write the copy beside the archive; it is removed unless the body renames it.

    Args:
        path: The archive as it was named, which tells whether it is compressed.
        file: The same without links.
        provisioning_id: The provisioning whose messages the copy does not have.
    """
    copy = Path(f"{file}.part")
    copy.unlink(missing_ok=True)  # of a command that was interrupted: its archive is still complete
    _require_single_file(file)
    try:
        with open_lines(path) as lines, creating_file(copy, is_gzip=is_gzip(path)) as out:
            for line in lines:
                out.write(_without_message(line, provisioning_id))
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _without_message(line: bytes, provisioning_id: str) -> bytes:
    if provisioning_id.encode() not in line:
        return line
    event = ArchivedEvent.model_validate_json(line)
    if event.provisioning_id != provisioning_id:
        return line
    erased = {"message": ERASED_PLACEHOLDER, "raw_status": erased_raw_status(event.raw_status)}
    return event.model_copy(update=erased).model_dump_json().encode() + b"\n"


def _require_single_file(file: Path) -> None:
    status = file.stat()
    if (kind := describe_unsuitable(status)) is not None:
        raise ArchiveError(f"the archive {file} is {kind}", hint="name the file that `avatars archive` wrote")
    if status.st_nlink > 1:
        raise ArchiveError(
            f"the archive {file} has other names (hard links), which would keep the person's messages",
            hint=f"find them with `find / -xdev -samefile {file}`, remove them, and run the same command again",
        )


@contextlib.contextmanager
def _locked_file(path: Path) -> Iterator[Path]:
    """Yield the file that the path leads to: replacing a link would leave that file unchanged.

    Meanwhile no other erasure changes the archives in its folder: each must copy what the other wrote.
    """
    file = path.resolve()
    descriptor = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(descriptor)
