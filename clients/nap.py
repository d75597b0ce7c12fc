"""A pause that somebody may end early, and before it has begun."""

from __future__ import annotations

import asyncio

from models.clock import Clock


class Nap:
    """One pause at a time."""

    __slots__ = ("_ended", "_sleeping")

    def __init__(self) -> None:
        self._ended = False
        self._sleeping: asyncio.Future[None] | None = None

    def end(self) -> None:
        """End the pause, or the next one."""
        self._ended = True
        if self._sleeping is not None:
            self._sleeping.cancel()

    def was_ended(self) -> bool:
        """Tell whether somebody ended it since this was asked last."""
        ended, self._ended = self._ended, False
        return ended

    async def take(self, clock: Clock, seconds: float) -> bool:
        """Wait so long, unless it was or is ended; returns whether it was."""
        if not self._ended:
            sleeping = self._sleeping = asyncio.ensure_future(clock.sleep(seconds))
            try:
                await asyncio.wait((sleeping,))  # which an end's cancelling does not raise in
            finally:
                sleeping.cancel()
                self._sleeping = None
            if not sleeping.cancelled():
                sleeping.result()
        return self.was_ended()
