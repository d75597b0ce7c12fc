"""A lease while its driver works: what the driver is at ends where the lease is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from models.errors import LeaseHeld

Result = TypeVar("Result")


class Hold:
    """Whether a driver still has a lease."""

    __slots__ = ("_provisioning_id", "_scope", "is_lost")

    def __init__(self, provisioning_id: str) -> None:
        self._provisioning_id = provisioning_id
        self.is_lost = False
        """Set once another driver has taken over, or a person cancelled: this one may write nothing any more."""
        self._scope: asyncio.Timeout | None = None

    def lose(self) -> None:
        """Say that it is lost; what goes on under it is cancelled."""
        if not self.is_lost and self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())
        self.is_lost = True

    async def unless_lost(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return what the work returns; raises LeaseHeld, the work cancelled, once the lease is lost."""
        if self.is_lost:
            work.close()
            raise self._error()
        scope = self._scope = asyncio.timeout(None)
        try:
            async with scope:
                return await work
        except TimeoutError:
            if not scope.expired():
                raise  # one of the work's own
            raise self._error() from None
        finally:
            self._scope = None

    def _error(self) -> LeaseHeld:
        return LeaseHeld(f"provisioning {self._provisioning_id} was taken over, or cancelled")
