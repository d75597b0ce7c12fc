"""Writes the results file of a batch, which is a manifest with the outcome of each row.

People correct rows in it. So an earlier file is replaced only if it was not saved since, and only outcomes differ.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Collection, Iterator, Sequence
from itertools import count
from pathlib import Path

from cli.console import print_status
from media.manifest_loader import load_manifest
from models.batch import BatchProgress
from models.clock import SystemClock
from models.environment.private_files import replace_file
from models.errors import AvatarsError, DatabaseError
from models.manifest.manifest import Manifest, ManifestOptions
from models.provisioning import Status
from models.reports.batch_results import render_results, results_format
from models.settings import Settings
from services.store import open_store


def write_results(path: Path, progress: BatchProgress, manifest: Manifest, options: ManifestOptions) -> None:
    """Write the results file atomically and say so; an error is printed and does not fail the command.

    An earlier file that a person may have changed is renamed first.

    Args:
        path: The results file.
        progress: The results of all rows.
        manifest: The manifest.
        options: How the columns of the manifest were read.
    """
    refused = [row.id for row in progress.rows if row.status == Status.REFUSED and row.id is not None]
    released: Collection[str] = ()
    if refused:
        with contextlib.suppress(DatabaseError):  # only the advice about released rows depends on it
            released = asyncio.run(_find_released(refused))
    try:
        if (kept := _keep_corrections(path, manifest, options)) is not None:
            print_status(f"! {path} was changed since it was written, or has other rows or cells: kept as {kept}")
        replace_file(path, render_results(progress, manifest, results_format(path.name) or "csv", released))
        _mark_as_written(path)
        print_status(f"results written to {path}")
    except OSError as error:
        print_status(f"! cannot write the results file {path}: {error.strerror}")


def _keep_corrections(path: Path, manifest: Manifest, options: ManifestOptions) -> Path | None:
    """Rename an earlier results file that may hold corrections; return its new path, None if there is none.

    Raises:
        OSError: The file cannot be renamed.
    """
    is_table = results_format(path.name) != "json"  # a JSON file is not read again
    if not is_table or not path.exists() or path.stat().st_size == 0:
        return None
    if _is_as_written(path) and _has_cells_of(path, manifest, options):
        return None
    kept = next(other for other in _numbered(path) if not other.exists())
    path.rename(kept)
    return kept


def _mark_as_written(path: Path) -> None:
    """Set the time of the file to a whole second: a program that saves it later leaves a fraction."""
    seconds = int(path.stat().st_mtime)
    os.utime(path, (seconds, seconds))


def _is_as_written(path: Path) -> bool:
    """Whether no program may have saved the file since. Some file systems know whole seconds only."""
    return path.stat().st_mtime_ns % 1_000_000_000 == 0


def _has_cells_of(path: Path, manifest: Manifest, options: ManifestOptions) -> bool:
    try:
        earlier = load_manifest(str(path), options=ManifestOptions(column_map=options.column_map))
    except AvatarsError:
        return False
    return [*_cells(earlier)] == [*_cells(manifest)]


def _cells(manifest: Manifest) -> Iterator[list[str]]:
    """Yield the header and each row, without the empty cells at its end."""
    for cells in (manifest.columns, *(row.cells for row in manifest.rows)):
        last = max((index for index, cell in enumerate(cells) if cell), default=-1)
        yield [*cells[: last + 1]]


def _numbered(path: Path) -> Iterator[Path]:
    return (path.with_name(f"{path.stem}.{number}{path.suffix}") for number in count(1))


async def _find_released(refused_ids: Sequence[str]) -> Collection[str]:
    """Return the ids of those whose recordings a person released."""
    async with open_store(Settings.load(), SystemClock()) as store:
        return (await store.quarantine.list_releases(refused_ids)).keys()
