"""Logs the progress of a run: to Prefect inside of a run, to the logger `avatars` elsewhere."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

LOG_RECORD_MARKER = "avatars_run_log"
"""Attribute of each record that `log_to_run` creates; the command line shows these records only."""

_row: ContextVar[str] = ContextVar("row", default="")
_suppress_info: ContextVar[bool] = ContextVar("suppress_info", default=False)


@contextlib.contextmanager
def warnings_only() -> Iterator[None]:
    """Suppress records below WARNING while the context is open, for runs with thousands of provisionings."""
    token = _suppress_info.set(True)
    try:
        yield
    finally:
        _suppress_info.reset(token)


@contextlib.contextmanager
def logging_about_row(row: str) -> Iterator[None]:
    """Let `log_about_one` name this row while the context is open.

    Args:
        row: The line and the name of a row of a batch, on one line of text.
    """
    token = _row.set(row)
    try:
        yield
    finally:
        _row.reset(token)


def log_to_run(message: str, *args: object, level: int = logging.INFO) -> None:
    """Log to the current run or, outside of a run, to the logger `avatars`. The text must not contain secrets."""
    if _suppress_info.get() and level < logging.WARNING:
        return
    try:
        logger = get_run_logger()
    except MissingContextError:
        logger = logging.getLogger("avatars")
    logger.log(level, message, *args, extra={LOG_RECORD_MARKER: True})


def log_about_one(message: str, *args: object, level: int = logging.INFO) -> None:
    """Log what happens to one provisioning; in a batch, the record begins with the row."""
    if row := _row.get():
        message, args = f"%s: {message}", (row, *args)
    log_to_run(message, *args, level=level)
