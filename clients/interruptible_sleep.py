"""A sleep that another coroutine can interrupt; an interrupt before the sleep ends it at once."""

from __future__ import annotations

import asyncio

from models.clock import Clock


class InterruptibleSleep:
    """Runs one sleep at a time. An interrupt is remembered until a sleep or `consume_interrupt` consumes it."""

    __slots__ = ("_interrupted", "_sleep_task")

    def __init__(self) -> None:
        self._interrupted = False
        self._sleep_task: asyncio.Future[None] | None = None

    def interrupt(self) -> None:
        """Interrupt the current sleep, or the next one."""
        self._interrupted = True
        if self._sleep_task is not None:
            self._sleep_task.cancel()

    def consume_interrupt(self) -> bool:
        """Return whether an interrupt is pending, and clear it."""
        interrupted, self._interrupted = self._interrupted, False
        return interrupted

    async def sleep(self, clock: Clock, seconds: float) -> bool:
        """Sleep for `seconds` unless interrupted; return whether it was interrupted."""
        if not self._interrupted:
            sleep_task = self._sleep_task = asyncio.ensure_future(clock.sleep(seconds))
            try:
                await asyncio.wait((sleep_task,))  # asyncio.wait does not raise if interrupt() cancels the task
            finally:
                sleep_task.cancel()
                self._sleep_task = None
            if not sleep_task.cancelled():
                sleep_task.result()
        return self.consume_interrupt()
