"""Log messages whose number does not grow with the number of requests."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from models.clock import Clock


@dataclass
class _Topic:
    logged_at: float
    suppressed: int = 0


class EventSummary:
    """Logs at most one message per topic and interval; the next one reports how many were suppressed."""

    def __init__(self, logger: logging.Logger, interval_seconds: float, clock: Clock) -> None:
        self._logger = logger
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._topics: dict[str, _Topic] = {}

    def log(self, topic: str, message: str, *, level: int = logging.WARNING) -> None:
        """Log a message unless one with its topic was logged within the interval.

        Args:
            topic: One of a fixed set; each costs memory.
            message: The message, complete and without secrets.
            level: The level of the log record.
        """
        now = self._clock.monotonic()
        known = self._topics.get(topic)
        if known is not None and now - known.logged_at < self._interval_seconds:
            known.suppressed += 1
            return
        self._topics[topic] = _Topic(now)
        suppressed = (
            f" ({known.suppressed:,} more since the last such message)" if known and known.suppressed else ""
        )
        self._logger.log(level, "%s%s", message, suppressed)
