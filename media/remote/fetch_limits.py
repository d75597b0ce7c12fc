"""The limits of requests, bytes and time for reading one remote file, and the count of what was used."""

from __future__ import annotations

from dataclasses import dataclass, replace

from media.remote.fetch_errors import unreachable_error
from models.clock import Clock, SystemClock
from models.errors import MediaRejected, MediaUnreachable
from models.media.codes import MediaCode
from models.media.rules import MIB

SYSTEM_CLOCK: Clock = SystemClock()

MIN_MEAN_ANSWER_BYTES = 4096
"""A host may answer a range in parts. Parts that are smaller on average use up the budget of requests."""


@dataclass(frozen=True)
class FetchLimits:
    """The budget for reading one remote file.

    `max_bytes` applies to range requests, `timeout_seconds` counts from the first request, and
    `max_attempts` is the number of attempts per range.
    """

    max_requests: int = 24
    max_bytes: int = 48 * MIB
    timeout_seconds: float = 300.0
    max_attempts: int = 3
    max_redirects: int = 5


DEFAULT_LIMITS = FetchLimits()


class FetchBudget:
    """Counts the requests, bytes and seconds that one file takes. The time starts when it is created.

    Its methods raise MediaRejected or MediaUnreachable if a limit is reached. `url` is redacted.
    """

    def __init__(self, limits: FetchLimits, clock: Clock) -> None:
        self.limits = limits
        self.requests = 0
        self.bytes_fetched = 0
        self._short_answers = 0
        self._short_bytes = 0
        self._clock = clock
        self._deadline = clock.monotonic() + limits.timeout_seconds

    def extend(self, size: int, requests: int) -> None:
        """Extend the budget by `size` bytes in so many requests, with room for failed attempts."""
        self.limits = replace(
            self.limits,
            max_bytes=self.limits.max_bytes + 2 * size,
            max_requests=self.limits.max_requests + self.limits.max_attempts * requests,
        )

    def count_request(self, url: str) -> None:
        """Count a request that is about to be sent."""
        if self.requests >= self.limits.max_requests + self._short_bytes // MIN_MEAN_ANSWER_BYTES:
            if self._short_bytes < self._short_answers * MIN_MEAN_ANSWER_BYTES:
                raise self._short_answers_error(url)
            raise _budget_error(url, f"{self.requests} requests")
        self.requests += 1

    def count_short_answer(self, size: int) -> None:
        """Allow a request for the rest of a range of which the host sent only `size` bytes."""
        self._short_answers += 1
        self._short_bytes += size

    def require_bytes(self, size: int, url: str) -> None:
        """Raise MediaRejected if `size` bytes more exceed the limit."""
        if self.bytes_fetched + size > self.limits.max_bytes:
            raise _budget_error(url, f"{self.limits.max_bytes:,} bytes")

    def require_time(self, url: str, *, wait_seconds: float = 0.0, cause: str = "") -> None:
        """Raise MediaUnreachable if the time is over, or will be after a wait; `cause` says why to wait."""
        if self._clock.monotonic() + wait_seconds >= self._deadline:
            raise self._time_error(url, cause)

    def _time_error(self, url: str, cause: str) -> MediaUnreachable:
        text = f"not read within {self.limits.timeout_seconds:g} seconds"
        return unreachable_error(url, f"{text}; {cause}" if cause else text)

    def _short_answers_error(self, url: str) -> MediaRejected:
        mean = max(self._short_bytes // self._short_answers, 1)
        return MediaRejected(
            MediaCode.READ_BUDGET_EXCEEDED,
            f"{url} cannot be read: its host sends about {mean:,} bytes per request, and {self.requests} were sent",
            hint=f"let the host send at least {MIN_MEAN_ANSWER_BYTES:,} bytes of a range, or use another host",
        )


def _budget_error(url: str, budget: str) -> MediaRejected:
    return MediaRejected(
        MediaCode.READ_BUDGET_EXCEEDED,
        f"{url} cannot be read within {budget}",
        hint="move the index to the front, without loss: ffmpeg -i IN -c copy -movflags +faststart OUT.mp4",
    )
