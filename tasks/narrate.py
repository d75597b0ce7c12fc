"""Tells people what a run does: in the Prefect UI by its log, on the command line by whoever listens."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

MARK = "avatars_narration"
"""Set on each record: tells our own words from Prefect's."""

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Leave out all but warnings while the context is open: what is said of each of thousands is read by nobody."""
    before = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(before)


def narrate(message: str, *args: object, level: int = logging.INFO) -> None:
    """Say something to the run's log; outside of a run, to the logger `avatars`. It must be free of secrets."""
    if _quiet.get() and level < logging.WARNING:
        return
    try:
        logger = get_run_logger()
    except MissingContextError:
        logger = logging.getLogger("avatars")
    logger.log(level, message, *args, extra={MARK: True})
