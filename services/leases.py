"""Exclusive leases on provisionings: acquired, renewed by heartbeats and released at the end of the work."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from models.clock import Clock
from models.errors import DatabaseError, LeaseLost, LeaseUnavailable
from models.lease_duration import LEASE_DURATION
from models.provisioning import LeaseOwner, Provisioning
from services.run_log import log_to_run
from store.leases import LeaseRepository
from store.ledger import Ledger

RENEWALS_PER_LEASE = 3
WAIT_POLL_SECONDS = 1.0

Result = TypeVar("Result")


class LeaseHandle:
    """One lease that this process holds; cancels the work under it when the lease is lost."""

    __slots__ = ("_cancel_scope", "_provisioning_id", "is_lost")

    def __init__(self, provisioning_id: str) -> None:
        self._provisioning_id = provisioning_id
        self.is_lost = False
        """Whether a renewal found another owner or a cancelled provisioning. Writes with the old version fail."""
        self._cancel_scope: asyncio.Timeout | None = None

    def mark_lost(self) -> None:
        """Mark the lease as lost and cancel the work that runs under it."""
        if not self.is_lost and self._cancel_scope is not None:
            self._cancel_scope.reschedule(asyncio.get_running_loop().time())
        self.is_lost = True

    async def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return the result of the work. Once the lease is lost, cancel the work and raise LeaseLost."""
        if self.is_lost:
            work.close()
            raise _lost_error(self._provisioning_id)
        scope = self._cancel_scope = asyncio.timeout(None)
        try:
            async with scope:
                return await work
        except TimeoutError:
            if not scope.expired():
                raise  # raised by the work itself
            raise _lost_error(self._provisioning_id) from None
        finally:
            self._cancel_scope = None


class LeaseManager:
    """Holds the leases of all lease owners in this process.

    One heartbeat task per owner renews all leases of that owner: a batch holds thousands of them.
    """

    def __init__(
        self, leases: LeaseRepository, ledger: Ledger, clock: Clock, duration: timedelta = LEASE_DURATION
    ) -> None:
        self._leases = leases
        self._ledger = ledger
        self._clock = clock
        self.duration = duration
        self._handles: dict[str, dict[str, LeaseHandle]] = {}
        """By owner id and provisioning id; an owner can take over from another owner of the same process."""
        self._heartbeats: dict[str, asyncio.Task[None]] = {}
        """By owner id."""

    @contextlib.asynccontextmanager
    async def hold(
        self, provisioning: Provisioning, owner: LeaseOwner, *, on_wait: Callable[[], None] | None = None
    ) -> AsyncIterator[Provisioning]:
        """Hold the lease on a provisioning while the context is open.

        If another owner holds the lease, wait until that lease is released or expires, or until the provisioning
        is terminal. A terminal provisioning is yielded without a lease.

        Args:
            provisioning: The provisioning to lease.
            owner: The lease owner.
            on_wait: Called once if another owner holds the lease and this one starts to wait.

        Yields:
            The provisioning as it was when the lease was acquired.

        Raises:
            DatabaseError: The ledger cannot be read or written.

        """
        current, acquired = await self._acquire_or_wait(provisioning, owner, on_wait)
        if not acquired:
            yield current
            return
        try:
            async with self._heartbeat(current.id, owner):
                yield current
        finally:
            try:
                await self._leases.release(current.id, owner)
            except DatabaseError as error:  # must not replace an error that is already propagating
                log_to_run("the lease could not be released and will expire: %s", error, level=logging.WARNING)

    async def refresh(self, provisioning_id: str, owner: LeaseOwner) -> Provisioning:
        """Acquire the lease again and return the current provisioning.

        This increments the version, and it also acquires a lease of this or another owner that has expired.

        Raises:
            LeaseLost: Another owner holds a valid lease.
            DatabaseError: The ledger cannot be read or written.

        """
        try:
            return await self._leases.acquire(provisioning_id, owner, self.duration)
        except LeaseUnavailable:
            raise _lost_error(provisioning_id) from None

    async def run_while_leased(
        self, provisioning_id: str, owner: LeaseOwner, work: Coroutine[Any, Any, Result]
    ) -> Result:
        """Return the result of the work; if the owner's lease is lost, cancel the work and raise LeaseLost.

        Without a lease held through `hold`, the work runs normally and is not cancelled if the lease is lost.
        """
        handle = self._handles.get(owner.id, {}).get(provisioning_id)
        return await (work if handle is None else handle.run(work))

    async def _acquire_or_wait(
        self, provisioning: Provisioning, owner: LeaseOwner, on_wait: Callable[[], None] | None
    ) -> tuple[Provisioning, bool]:
        is_waiting = False
        while not provisioning.status.is_terminal:
            try:
                return await self._leases.acquire(provisioning.id, owner, self.duration), True
            except LeaseUnavailable:
                if not is_waiting:
                    log_to_run("another run holds the lease on provisioning %s: waiting for it", provisioning.id)
                    if on_wait is not None:
                        on_wait()
                    is_waiting = True
                await self._clock.sleep(WAIT_POLL_SECONDS)
                provisioning = await self._ledger.get(provisioning.id)
        return provisioning, False

    @contextlib.asynccontextmanager
    async def _heartbeat(self, provisioning_id: str, owner: LeaseOwner) -> AsyncIterator[None]:
        """Renew the lease while the context is open, together with all other leases of this owner."""
        handles = self._handles.setdefault(owner.id, {})
        handles[provisioning_id] = LeaseHandle(provisioning_id)
        heartbeat = self._heartbeats.get(owner.id)
        if heartbeat is None or heartbeat.done():
            self._heartbeats[owner.id] = asyncio.create_task(self._heartbeat_loop(handles, owner))
        try:
            yield
        finally:
            del handles[provisioning_id]
            if not handles:
                del self._handles[owner.id]
                heartbeat = self._heartbeats.pop(owner.id)
                heartbeat.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await heartbeat

    async def _heartbeat_loop(self, handles: dict[str, LeaseHandle], owner: LeaseOwner) -> None:
        """Renew the owner's leases until all are lost. A database error skips one renewal."""
        while not all(handle.is_lost for handle in handles.values()):
            await self._clock.sleep(self.duration.total_seconds() / RENEWALS_PER_LEASE)
            held_ids = [provisioning_id for provisioning_id, handle in handles.items() if not handle.is_lost]
            try:
                lost_ids = await self._leases.renew_all(held_ids, owner, self.duration)
            except DatabaseError as error:
                log_to_run("the leases could not be renewed: %s", error, level=logging.WARNING)
                continue
            for provisioning_id in lost_ids & handles.keys():
                handles[provisioning_id].mark_lost()  # a write with the old version fails


def _lost_error(provisioning_id: str) -> LeaseLost:
    return LeaseLost(
        f"the lease on provisioning {provisioning_id} was lost: another owner took over or it was cancelled"
    )
