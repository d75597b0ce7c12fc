"""Erases the personal data of a terminal provisioning from the ledger, its files and its archives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.archive import ArchiveRecord
from models.clock import Clock
from models.errors import ArchiveError, InvalidRequest, NotTerminal
from models.privacy.data_subject import DataSubject
from models.privacy.erasure_report import ErasureReport
from models.provisioning import UNRESOLVED, LeaseOwner, Provisioning
from store import erasure
from store.archive_erasure import erase_from_archive
from store.ledger import Ledger

ERASURE_MESSAGE = "name, URLs and extras were erased at a person's request"


async def find_data_subject(ledger: Ledger, key: str) -> DataSubject:
    """Return the person of a provisioning that can be erased.

    Raises:
        NotTerminal: The provisioning is in flight or has a submission with an unknown outcome.
        UnknownProvisioning: No provisioning has this id or reference.
        DatabaseError: The ledger cannot be read.
    """
    provisioning = await _get_erasable(ledger, key)
    return DataSubject.from_ledger(provisioning, await erasure.read_traces(ledger.database, provisioning))


async def erase_provisioning(
    ledger: Ledger, clock: Clock, key: str, owner: LeaseOwner, archives: Sequence[Path] = ()
) -> ErasureReport:
    """Erase the personal data of a provisioning from the ledger; erasing it again has no effect.

    Args:
        ledger: The ledger.
        clock: The source of the time of erasure.
        key: The id or reference of the provisioning.
        owner: The actor that the ledger records.
        archives: Archive files to erase it from, in addition to those at the paths that the ledger records.

    Returns:
        What remains outside of the ledger and how to remove it.

    Raises:
        NotTerminal: The provisioning is in flight or has a submission with an unknown outcome.
        UnknownProvisioning: No provisioning has this id or reference.
        InvalidRequest: The ledger records no archive of this provisioning with the name of a file in `archives`.
        ArchiveError: A file in `archives` cannot be changed; the ledger is erased.
        StaleVersion: Another owner changed it since it was read.
        DatabaseError: The ledger cannot be read or written.

    """
    provisioning = await _get_erasable(ledger, key)
    traces = await erasure.read_traces(ledger.database, provisioning)
    records = [(message, ArchiveRecord.parse(message)) for message in traces.archive_messages]
    names = {record.file.name for _, record in records if record is not None}
    if unknown := [path for path in archives if path.name not in names]:
        raise InvalidRequest(
            [("archive", f"the ledger records no archive {path.name} for {provisioning.id}") for path in unknown],
            hint=f"`avatars show {provisioning.id}` names its archives",
        )
    report = await erasure.erase(ledger.database, clock, provisioning, owner, ERASURE_MESSAGE)
    remaining, erased = [], []
    for message, record in records:
        path = None if record is None else _find_archive(record, archives)
        if record is None or path is None:
            remaining.append(message)
            continue
        try:
            await erase_from_archive(ledger.database, path, record, provisioning.id)
            erased.append(str(path))
        except ArchiveError as error:
            if path in archives:
                raise
            remaining.append(f"{message} ({error.message})")
    return report.model_copy(
        update={
            "archives": remaining,
            "erased_archives": erased,
            "former_contents": await ledger.database.compact([table.name for table in erasure.ERASED_TABLES]),
        }
    )


async def _get_erasable(ledger: Ledger, key: str) -> Provisioning:
    provisioning = await ledger.get(key)
    if not provisioning.status.is_terminal:
        raise NotTerminal(
            f"provisioning {provisioning.id} cannot be erased: it is {provisioning.status}, which is not terminal",
            hint=f"wait until it is terminal, or run `avatars cancel {provisioning.id}` first",
        )
    if any(submission.state in UNRESOLVED for submission in await ledger.list_submissions(provisioning.id)):
        raise NotTerminal(
            f"provisioning {provisioning.id} cannot be erased: the outcome of a submission is unknown, "
            "so Argil may have an avatar of it",
            hint=f"`avatars resume {provisioning.id}` resolves the submission; then erase it",
        )
    return provisioning


def _find_archive(record: ArchiveRecord, archives: Sequence[Path]) -> Path | None:
    """Return the file of an archive: a given one with its name, else the recorded path if it exists."""
    for path in archives:
        if path.name == record.file.name:
            return path
    return record.file if record.file.is_absolute() and record.file.is_file() else None
