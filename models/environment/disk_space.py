"""Names a full disk, whose effects otherwise look like anything else."""

from __future__ import annotations

import shutil
from pathlib import Path

MIN_FREE_BYTES = 16 * 1024 * 1024
"""With less than this a disk is about to be full: SQLite's write-ahead log alone grows to several megabytes."""


def full_disk_problem(folder: Path) -> str | None:
    """Return that the disk of a folder is full, or nearly; None if it is not, or if that cannot be determined."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return None
    return None if free >= MIN_FREE_BYTES else f"the disk of {folder} is full: {free // 1024} KiB are free"
