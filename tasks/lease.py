"""Holds the lease on a provisioning for as long as its driver works."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from models.errors import DatabaseError, LeaseHeld
from models.provisioning import Driver, Provisioning
from tasks.hold import Hold, Result
from tasks.narrate import narrate
from tasks.runtime import Runtime, runtime

BEATS_PER_LEASE = 3
LOOK_SECONDS = 1.0


async def _beat(active: Runtime, held: dict[str, Hold], driver: Driver) -> None:
    """Renew all that a driver holds until it holds nothing; a database that fails for a moment costs one beat."""
    while not all(hold.is_lost for hold in held.values()):
        await active.clock.sleep(active.lease.total_seconds() / BEATS_PER_LEASE)
        holds = [one for one, hold in held.items() if not hold.is_lost]
        try:
            lost = await active.leases.renew_all(holds, driver, active.lease)
        except DatabaseError as error:
            narrate("the leases could not be renewed: %s", error, level=logging.WARNING)
            continue
        for one in lost & held.keys():
            held[one].lose()  # the version has moved on: its driver's next write fails


@contextlib.asynccontextmanager
async def _beating(active: Runtime, provisioning_id: str, driver: Driver) -> AsyncIterator[None]:
    """Renew the lease while the context is open, together with all others of this driver: it may have thousands."""
    held = active.held.setdefault(driver.id, {})
    held[provisioning_id] = Hold(provisioning_id)
    heart = active.hearts.get(driver.id)
    if heart is None or heart.done():
        active.hearts[driver.id] = asyncio.create_task(_beat(active, held, driver))
    try:
        yield
    finally:
        del held[provisioning_id]
        if not held:
            del active.held[driver.id]
            heart = active.hearts.pop(driver.id)
            heart.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await heart


async def _claim_or_see_end(
    active: Runtime, found: Provisioning, driver: Driver, on_follow: Callable[[], None] | None
) -> tuple[Provisioning, bool]:
    waited = False
    while not found.status.is_end:
        try:
            return await active.leases.claim(found.id, driver, active.lease), True
        except LeaseHeld:
            if not waited:
                narrate("another run drives provisioning %s: following it", found.id)
                if on_follow is not None:
                    on_follow()
                waited = True
            await active.clock.sleep(LOOK_SECONDS)
            found = await active.ledger.get(found.id)
    return found, False


@contextlib.asynccontextmanager
async def leased(
    found: Provisioning, driver: Driver, *, on_follow: Callable[[], None] | None = None
) -> AsyncIterator[Provisioning]:
    """Become the one driver of a provisioning; yields it as it is then.

    While another driver lives this one follows: it waits until that one ends the provisioning (then it is
    yielded as it ended) or lets go of its lease; `on_follow` is called where that begins. Raises DatabaseError.
    """
    async with runtime() as active:
        claimed, holds = await _claim_or_see_end(active, found, driver, on_follow)
        if not holds:
            yield claimed
            return
        try:
            async with _beating(active, claimed.id, driver):
                yield claimed
        finally:
            try:
                await active.leases.release(claimed.id, driver)
            except DatabaseError as error:  # it says no more than what went wrong before, if anything did
                narrate("the lease was not given back and runs out by itself: %s", error, level=logging.WARNING)


async def reclaim(provisioning_id: str, driver: Driver) -> Provisioning:
    """Return the provisioning as it is now, to the driver that still holds its lease.

    Raises LeaseHeld where another driver has taken over.
    """
    async with runtime() as active:
        return await active.leases.claim(provisioning_id, driver, active.lease)


async def unless_taken_away(
    active: Runtime, provisioning_id: str, driver: Driver, work: Coroutine[Any, Any, Result]
) -> Result:
    """Return what the work returns; raises LeaseHeld, the work cancelled, once its driver has lost its lease."""
    hold = active.held.get(driver.id, {}).get(provisioning_id)
    return await (work if hold is None else hold.unless_lost(work))
