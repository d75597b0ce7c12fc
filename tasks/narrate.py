"""Tells people what a run does: in the Prefect UI by its log, on the command line by whoever listens."""

from __future__ import annotations

import logging

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

MARK = "avatars_narration"
"""Set on each record: tells our own words from Prefect's."""


def narrate(message: str, *args: object, level: int = logging.INFO) -> None:
    """Say something to the run's log; outside of a run, to the logger `avatars`. It must be free of secrets."""
    try:
        logger = get_run_logger()
    except MissingContextError:
        logger = logging.getLogger("avatars")
    logger.log(level, message, *args, extra={MARK: True})
