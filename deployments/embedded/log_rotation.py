"""Bounds the size of a log that another process writes: one earlier part is kept beside it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from models.environment.private_files import append_private_file

MAX_LOG_BYTES = 10 * 1024 * 1024


def rotate_log(log: Path, max_bytes: int = MAX_LOG_BYTES) -> bool:
    """Move the content of a log to `NAME.1` if it has grown beyond a size; return whether it has.

    The file stays the same, because its writer has it open for appending. What is written during the copy is lost.

    Raises:
        OSError: The files cannot be read or written. No part of a copy remains: it would fill a disk.
    """
    if log.stat().st_size <= max_bytes:
        return False
    earlier = log.with_name(f"{log.name}.1")
    earlier.unlink(missing_ok=True)
    try:
        with log.open("rb") as source, os.fdopen(append_private_file(earlier), "wb") as target:
            shutil.copyfileobj(source, target)
    except OSError:
        earlier.unlink(missing_ok=True)
        raise
    os.truncate(log, 0)
    return True
