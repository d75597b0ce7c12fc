"""Writes the results file of a batch, which is a manifest with the outcome of each row."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path

from cli.console import print_status
from models.batch import BatchProgress
from models.clock import SystemClock
from models.environment.private_files import replace_file
from models.errors import DatabaseError
from models.manifest.manifest import Manifest
from models.provisioning import Status
from models.reports.batch_results import render_results, results_format
from models.settings import Settings
from services.store import open_store


def write_results(path: Path, progress: BatchProgress, manifest: Manifest) -> None:
    """Write the results file atomically and say so; an error is printed and does not fail the command."""
    refused = [row.id for row in progress.rows if row.status == Status.REFUSED and row.id is not None]
    released: Collection[str] = ()
    if refused:
        with contextlib.suppress(DatabaseError):  # only the advice about released rows depends on it
            released = asyncio.run(_find_released(refused))
    try:
        replace_file(path, render_results(progress, manifest, results_format(path.name) or "csv", released))
        print_status(f"results written to {path}")
    except OSError as error:
        print_status(f"! cannot write the results file {path}: {error.strerror}")


async def _find_released(refused_ids: Sequence[str]) -> Collection[str]:
    """Return the ids of those whose recordings a person released."""
    async with open_store(Settings.load(), SystemClock()) as store:
        return (await store.quarantine.list_releases(refused_ids)).keys()
