"""Runs one tick of a schedule at a time per ledger, within a time budget."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import socket
from collections.abc import AsyncIterator

from models.clock import Clock
from models.errors import DatabaseError, TickRunning
from models.provisioning import LeaseOwner, Provisioning
from services.context import AppContext
from services.leases import RENEWALS_PER_LEASE
from services.run_log import log_to_run
from store.tick_leases import TickLease

BUDGET_SHARE = 0.8
"""The time budget of a tick, as a share of the interval of its schedule."""


class Tick:
    """One run of a schedule: how long it may start more work, and where it begins and stops in the ledger."""

    def __init__(self, clock: Clock, budget_seconds: float, position: str | None = None) -> None:
        """Start without a deadline; the budget counts from `start_budget`.

        Args:
            clock: Its monotonic clock measures the budget.
            budget_seconds: Seconds after which no further page is read.
            position: Where the previous tick stopped; None to begin with the first page.
        """
        self._clock = clock
        self._budget_seconds = budget_seconds
        self._deadline = math.inf
        self.position = position
        self.note = ""
        """Why this tick did less than usual; empty if it did all its work."""
        self.has_news = False
        """Whether an outage of Argil began or ended in this tick."""
        self.stopped_after: Provisioning | None = None
        """The last provisioning that was looked at, if the rest of its page is left to the next tick."""
        self.is_interrupted = False
        """Whether Argil stopped answering in the middle of this tick."""
        self.is_lost = False
        """Whether another run has acquired the lease, for example because this machine was in standby."""

    def start_budget(self) -> None:
        """Count the budget from now: a slow list of the account must not use it up."""
        self._deadline = self._clock.monotonic() + self._budget_seconds

    def stop(self, after: Provisioning) -> None:
        """Leave the provisionings after this one to the next tick."""
        self.stopped_after = after

    def interrupt(self, note: str) -> None:
        """Leave the rest to the next tick, because Argil fails."""
        self.is_interrupted, self.note = True, note

    @property
    def is_over(self) -> bool:
        """Whether the rest of the work is left to the next tick."""
        if self.is_lost or self.is_interrupted:
            return True
        return self.stopped_after is not None or self._clock.monotonic() >= self._deadline


@contextlib.asynccontextmanager
async def exclusive_tick(
    context: AppContext, name: str, owner: LeaseOwner, interval_seconds: float
) -> AsyncIterator[Tick]:
    """Hold the lease on a schedule while the context is open, and yield the tick.

    Args:
        context: The context of this process.
        name: The name of the schedule's flow.
        owner: The lease owner.
        interval_seconds: The interval of the schedule.

    Raises:
        TickRunning: Another run has the lease; the message names it.
        DatabaseError: The ledger cannot be read or written.
    """
    leases, duration = context.tick_leases, context.lease_duration
    lease = await leases.acquire(name, owner, _holder(owner), duration)
    if not lease.is_acquired:
        raise _running(name, lease)
    tick = Tick(context.clock, BUDGET_SHARE * interval_seconds, lease.position)
    heartbeat = asyncio.create_task(_renew(context, name, owner, tick))
    try:
        yield tick
    finally:
        heartbeat.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await heartbeat
        try:
            await leases.release(name, owner, tick.position)
        except DatabaseError as error:  # must not replace an error that is already propagating
            log_to_run("the lease of %s was not released and will expire: %s", name, error, level=logging.WARNING)


async def _renew(context: AppContext, name: str, owner: LeaseOwner, tick: Tick) -> None:
    """Renew the lease until it is lost. In real time: the tick itself waits for processes and servers."""
    while not tick.is_lost:
        await asyncio.sleep(context.lease_duration.total_seconds() / RENEWALS_PER_LEASE)
        try:
            tick.is_lost = not await context.tick_leases.renew(name, owner, context.lease_duration)
        except DatabaseError as error:
            log_to_run("the lease of %s was not renewed: %s", name, error, level=logging.WARNING)


def _holder(owner: LeaseOwner) -> str:
    run = f"flow run {owner.flow_run_id}, " if owner.flow_run_id else ""
    return f"{run}process {os.getpid()} on {socket.gethostname()}"[:256]


def _running(name: str, lease: TickLease) -> TickRunning:
    return TickRunning(
        f"another run of {name} is at work since {lease.acquired_at:%Y-%m-%d %H:%M:%S} UTC: {lease.holder}"
    )
