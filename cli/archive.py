"""`avatars archive`: move old events from the ledger to a file."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from cli.console import print_json, print_line, print_status
from cli.options import DryRunFlag, JsonFlag
from models.archive import ArchiveResult
from models.clock import SystemClock
from models.errors import InvalidRequest
from models.exit_codes import EXIT_OK
from models.settings import Settings
from models.text.plural import counted
from services.store import open_store
from store.archive_file import ArchiveFile
from store.event_archive import EventArchive

MAX_DAYS = 36_500


def archive(
    *,
    older_than_days: Annotated[int, Parameter(validator=Number(gte=1, lte=MAX_DAYS))],
    output: Path | None = None,
    dry_run: DryRunFlag = False,
    json: JsonFlag = False,
) -> int:
    """Move the events of final provisionings to a file and delete old webhook deliveries.

    Args:
        older_than_days: Minimum age in days, counted from the last change of the provisioning or the receipt of the
            delivery.
        output: File to create. The name must end in .jsonl or .jsonl.gz.
        dry_run: Report the counts and change nothing.

    """
    if output is None and not dry_run:
        raise InvalidRequest(
            [("output", "no output file is given")], hint="name a new file with --output FILE, or use --dry-run"
        )
    file = None if output is None else ArchiveFile(output)
    result = asyncio.run(_archive(timedelta(days=older_than_days), None if dry_run else file))
    if json:
        print_json({**result.model_dump(mode="json"), "dry_run": dry_run})
    else:
        _print(result, dry_run=dry_run)
    for erased_id in result.erased_provisioning_ids:
        print_status(
            f"! {erased_id} was erased while the archive was written: "
            f"`avatars erase {erased_id}` erases it from {result.file}"
        )
    return EXIT_OK


async def _archive(age: timedelta, file: ArchiveFile | None) -> ArchiveResult:
    clock = SystemClock()
    before = clock.now() - age
    async with open_store(Settings.load(), clock) as store:
        archive = EventArchive(store.ledger.database, clock)
        return await (archive.preview(before) if file is None else archive.archive(before, file))


def _print(result: ArchiveResult, *, dry_run: bool) -> None:
    would_be = "would be " if dry_run else ""
    target = f"{result.file}, SHA-256 {result.sha256}" if result.file else "a file"
    events, provisionings = counted(result.events, "event"), counted(result.provisionings, "provisioning")
    moved = f"{events} of {provisionings} {would_be}moved to {target}"
    for line in (
        moved if result.events else "no events moved: no provisioning is old enough",
        f"{result.deliveries} webhook deliveries {would_be}deleted",
    ):
        print_line(line)
