"""Counts the polls that failed since Argil last answered one, and reports when an outage begins and ends."""

from __future__ import annotations

from typing import Protocol

OUTAGE_FAILURES = 3
"""Consecutive failed polls, of any avatar or of the list, from which on Argil is considered to be away."""


class OutageObserver(Protocol):
    """Learns of outages of Argil."""

    def begin(self, cause: str) -> None:
        """Argil does not answer."""

    def end(self) -> None:
        """Argil answers again."""


class PollHealth:
    """The health of all polls of one process."""

    def __init__(self, observer: OutageObserver | None = None) -> None:
        self._observer = observer
        self.failures = 0
        """Failed polls since the last answer."""

    def record_failure(self, cause: str) -> None:
        """Count a failed poll."""
        self.failures += 1
        if self.failures == OUTAGE_FAILURES and self._observer is not None:
            self._observer.begin(cause)

    def record_answer(self) -> None:
        """Argil answered, also if it was 404."""
        if self.failures >= OUTAGE_FAILURES and self._observer is not None:
            self._observer.end()
        self.failures = 0
