"""One subscription to the training of one avatar: its poll state, and the updates that pollers deliver to it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from clients.interruptible_sleep import InterruptibleSleep
from models.argil.avatar import Avatar
from models.errors import PollFailed


@dataclass(frozen=True, slots=True)
class AvatarUpdate:
    """Argil returned the avatar."""

    avatar: Avatar


@dataclass(frozen=True, slots=True)
class AvatarNotFoundUpdate:
    """Argil answered 404 to a request that was started at this time, by the wall clock and the monotonic clock."""

    polled_at: datetime
    polled_at_monotonic: float


@dataclass(frozen=True, slots=True)
class PollFailedUpdate:
    """The poll failed, so the avatar's status is unknown."""

    error: PollFailed


class PollSignal(Enum):
    """How the caller must poll after a wait that ended without an update."""

    POLL_INDIVIDUALLY = auto()
    """Send a GET for this avatar."""
    INTERVAL_ELAPSED = auto()
    """Poll with the strategy that applies now."""


POLL_INDIVIDUALLY = PollSignal.POLL_INDIVIDUALLY
INTERVAL_ELAPSED = PollSignal.INTERVAL_ELAPSED

PollUpdate = AvatarUpdate | AvatarNotFoundUpdate | PollFailedUpdate
"""The result of one poll of one avatar."""


class Subscription:
    """The poll state of one avatar in training. It has slots, since there are thousands per process."""

    __slots__ = (
        "_future",
        "avatar_id",
        "deadline",
        "min_interval_seconds",
        "not_found_since",
        "poll_due_at",
        "retry_after_seconds",
        "sleep",
        "started_at",
        "status",
        "submission_id",
        "waiting_since",
    )

    def __init__(
        self,
        avatar_id: str,
        started_at: float,
        deadline: float,
        min_interval_seconds: float,
        submission_id: str | None = None,
        not_found_since: float | None = None,
    ) -> None:
        self.avatar_id = avatar_id
        self.submission_id = submission_id
        """The avatar's correlation key, if known. An avatar with another key is not this one."""
        self.started_at = started_at
        """Monotonic time at which the training started."""
        self.deadline = deadline
        """Monotonic time, so that a step of the wall clock neither extends nor ends the wait."""
        self.min_interval_seconds = min_interval_seconds
        """The poll interval of a training of its kind that has just started."""
        self.status: str | None = None
        self.not_found_since = not_found_since
        """Monotonic time of the first 404, possibly to an earlier process; None while Argil returns the avatar."""
        self.retry_after_seconds = 0.0
        """The Retry-After of the last poll."""
        self.poll_due_at = -math.inf
        """Monotonic time after which a GET is due if the list does not contain the avatar."""
        self.waiting_since = -math.inf
        """Monotonic time at which the current wait for a list started."""
        self.sleep = InterruptibleSleep()
        self._future: asyncio.Future[PollUpdate | PollSignal] | None = None

    @property
    def last_known_status(self) -> str | None:
        """The latest status, or None after a 404, so that any status in the list counts as a change."""
        return self.status if self.not_found_since is None else None

    def accepts(self, avatar: Avatar) -> bool:
        """Whether an avatar with this id may be the subscribed one: it has no other correlation key."""
        return self.submission_id is None or avatar.submission_id in {None, self.submission_id}

    def request_poll(self) -> None:
        """End the current wait, or the next one if there is none, so that the avatar is polled individually."""
        self.sleep.interrupt()
        self.notify(POLL_INDIVIDUALLY)

    def notify(self, update: PollUpdate | PollSignal) -> None:
        """End the current wait with an update, if there is a wait."""
        if self._future is not None and not self._future.done():
            self._future.set_result(update)

    def notify_error(self, error: BaseException) -> None:
        """End the current wait with an exception, if there is a wait."""
        if self._future is not None and not self._future.done():
            self._future.set_exception(error)

    async def wait(self) -> PollUpdate | PollSignal:
        """Wait for `notify`, `notify_error` or `request_poll`. A pending `request_poll` ends the wait at once."""
        if self.sleep.consume_interrupt():
            return POLL_INDIVIDUALLY
        self._future = asyncio.get_running_loop().create_future()
        try:
            update = await self._future
        finally:
            self._future = None
        if update is POLL_INDIVIDUALLY:
            # This individual poll serves a pending wake-up. After any other update, it ends the next wait.
            self.sleep.consume_interrupt()
        return update
