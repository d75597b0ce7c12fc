"""Logs an outage of Argil once at its start and once at its end, whichever part of the process notices it."""

from __future__ import annotations

import logging

from models.clock import Clock
from services.run_log import log_to_run


class OutageLog:
    """The outage that this process is in, if any."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None

    def begin(self, cause: str) -> None:
        """Log the cause, unless an outage is in progress."""
        if self._since is None:
            self._since = self._clock.monotonic()
            log_to_run("waiting for Argil, which does not answer: %s", cause, level=logging.WARNING)

    def end(self) -> None:
        """Log the duration of the outage in progress, if there is one."""
        if self._since is not None:
            seconds, self._since = self._clock.monotonic() - self._since, None
            log_to_run("Argil answers again after %.0f seconds", seconds, level=logging.WARNING)
