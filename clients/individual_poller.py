"""Poll strategy for few subscriptions: one GET by id per subscription and interval."""

from __future__ import annotations

from clients.argil import ArgilClient
from clients.training_subscription import (
    INTERVAL_ELAPSED,
    POLL_INDIVIDUALLY,
    AvatarNotFoundUpdate,
    AvatarUpdate,
    PollFailedUpdate,
    PollSignal,
    PollUpdate,
    Subscription,
)
from models.clock import Clock
from models.errors import AvatarNotFound, PollFailed


class IndividualPoller:
    """Polls each avatar by its id, on its own schedule."""

    sees_new_avatars = True

    def __init__(self, argil: ArgilClient, clock: Clock) -> None:
        self._argil = argil
        self._clock = clock

    def seconds_until_next_poll(self, interval: float, min_interval_seconds: float) -> float:  # noqa: ARG002  # PollStrategy's signature
        """Return the interval with jitter, so that subscriptions do not poll in lockstep."""
        return interval * self._clock.jitter()

    async def wait_for_update(self, subscription: Subscription, delay_seconds: float) -> PollSignal:
        """Sleep until the next poll is due.

        Returns:
            POLL_INDIVIDUALLY after a wake-up or if `delay_seconds` is 0, INTERVAL_ELAPSED otherwise.
        """
        if delay_seconds <= 0 or await subscription.sleep.sleep(self._clock, delay_seconds):
            return POLL_INDIVIDUALLY
        return INTERVAL_ELAPSED

    async def poll(self, subscription: Subscription) -> PollUpdate:
        """Send a GET for the avatar. Raises ArgilUnauthorized."""
        polled_at, polled_at_monotonic = self._clock.now(), self._clock.monotonic()
        try:
            return AvatarUpdate(await self._argil.get_avatar(subscription.avatar_id, subscription.submission_id))
        except AvatarNotFound:
            return AvatarNotFoundUpdate(polled_at, polled_at_monotonic)
        except PollFailed as error:
            return PollFailedUpdate(error)
