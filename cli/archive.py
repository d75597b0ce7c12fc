"""`avatars archive`: moves old events out of the ledger, into a file."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from cli.console import print_json, result, say
from models.archive import Archived
from models.clock import SystemClock
from models.errors import InvalidRequest
from models.outcomes import EXIT_OK
from models.settings import Settings
from store.archive import Archive
from store.archive_file import ArchiveFile
from tasks.runtime import open_store

MAX_DAYS = 36_500
Flag = Annotated[bool, Parameter(negative=())]


def archive(
    *,
    older_than: Annotated[int, Parameter(validator=Number(gte=1, lte=MAX_DAYS))],
    to: Path | None = None,
    dry_run: Flag = False,
    json: Flag = False,
) -> int:
    """Move the events of what ended for good into a file, and delete old webhook deliveries.

    Parameters
    ----------
    older_than
        Days since the provisioning was last changed, or the delivery came; at least 1.
    to
        The file to write, new, ending in .jsonl or .jsonl.gz.
    dry_run
        Tell how many, and change nothing.
    json
        Print one JSON document on stdout and nothing else.

    """
    if to is None and not dry_run:
        raise InvalidRequest([("to", "no file is named")], hint="name a new one with --to FILE, or try --dry-run")
    file = None if to is None else ArchiveFile(to)
    done = asyncio.run(_archive(timedelta(days=older_than), None if dry_run else file))
    if json:
        print_json({**done.model_dump(mode="json"), "dry_run": dry_run})
    else:
        _print(done, dry_run=dry_run)
    for forgotten in done.forgotten:
        say(f"! {forgotten} was forgotten meanwhile: remove the lines with its id from {done.file}")
    return EXIT_OK


async def _archive(age: timedelta, file: ArchiveFile | None) -> Archived:
    clock = SystemClock()
    before = clock.now() - age
    async with open_store(Settings.load(), clock) as (ledger, _, _):
        archive = Archive(ledger.database, clock)
        return await (archive.count(before) if file is None else archive.archive(before, file))


def _print(done: Archived, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    where = f"{done.file}, SHA-256 {done.sha256}" if done.file else "a file"
    moved = f"{done.events} events of {done.provisionings} provisionings {would}moved to {where}"
    for told in (
        moved if done.events else "no events moved: nothing is old enough",
        f"{done.deliveries} webhook deliveries {would}deleted",
    ):
        result.print(told, markup=False, soft_wrap=True)
