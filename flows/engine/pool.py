"""Runs many provisionings in one flow run, with bounded concurrency."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any

from flows.engine.branch_gathering import GatheredBranches
from flows.engine.execution import Branch, ExecutionStrategy, InlineExecution
from flows.engine.state_machine import run_to_completion
from models.errors import AvatarsError, ConcurrencyError, LeaseUnavailable, OperationalError
from models.provisioning import LeaseOwner, Provisioning
from services.context import app_context
from services.run_log import log_to_run
from tasks.publish_artifact import publish_artifact
from tasks.reopen_provisioning import reopen_provisioning

MAX_CONCURRENCY = 20

NextProvisioning = Callable[[], Awaitable[Provisioning | None]]
"""Acquires and returns the next provisioning, or returns None if there are no more."""
ErrorObserver = Callable[[AvatarsError], None]
"""Called with each error that stops one provisioning."""


def _ignore(_error: AvatarsError) -> None:
    """Do nothing."""


class _Pool:
    """The slots of one pool, and the branches that its provisionings wait for."""

    def __init__(self) -> None:
        self.branches = GatheredBranches()
        self._slots = asyncio.Semaphore(MAX_CONCURRENCY)
        self._occupied = 0
        self._idle = asyncio.Event()

    async def acquire_slot(self) -> None:
        await self._slots.acquire()
        self._occupied += 1
        self._idle.clear()

    def release_slot(self) -> None:
        self._slots.release()
        self._occupied -= 1
        if not self._occupied:
            self._idle.set()

    @contextlib.asynccontextmanager
    async def without_slot(self) -> AsyncIterator[None]:
        """Let another provisioning use the slot of the caller."""
        self.release_slot()
        try:
            yield
        finally:
            await self.acquire_slot()

    async def run_branches(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        """Run each branch once no provisioning works any more, until all tasks are done."""
        while not all(task.done() for task in tasks):
            await self._idle.wait()
            await self.branches.run_all()
            await asyncio.sleep(0)  # let those that waited for a branch acquire their slots


class _PooledExecution(InlineExecution):
    """Inline steps, one call of each branch, but one artifact per provisioning."""

    lookup_patience_seconds = 0.0  # while Argil fails, the next tick looks again

    def __init__(self, pool: _Pool) -> None:
        self._pool = pool

    async def run_branch(self, flow: Branch, provisioning_id: str) -> None:
        async with self._pool.without_slot():
            await self._pool.branches.run(flow, provisioning_id)

    def on_lease_wait(self) -> None:
        """End the work instead of waiting for a training: a tick that waits keeps all later ticks from starting."""
        raise LeaseUnavailable("another owner has acquired the lease, and advances the provisioning")

    async def publish_outcome(self, provisioning_id: str) -> None:
        await publish_artifact.fn(provisioning_id)

    async def publish_start(self, provisioning: Provisioning) -> None:
        """Do nothing: a tick also takes thousands that only wait."""

    async def publish_progress(self, provisioning: Provisioning) -> None:
        await ExecutionStrategy.publish_progress(self, provisioning)


async def run_many(
    acquire_next: NextProvisioning,
    owner: LeaseOwner,
    *,
    timeout_seconds: float | None,
    on_error: ErrorObserver = _ignore,
) -> Counter[str]:
    """Run every provisioning that `acquire_next` returns, at most MAX_CONCURRENCY at a time.

    An error stops only the provisioning it occurs in. Each branch runs once for all that need it.

    Args:
        acquire_next: Called until it returns None, by one caller at a time.
        owner: The owner of the leases.
        timeout_seconds: How long to wait for each training; None waits until the training deadline.
        on_error: Called with each operational error and each lost lease, before the next provisioning is acquired.

    Returns:
        The number of provisionings by the status they reached, or by the code of the error that stopped them.

    Raises:
        Exception: The first error that is neither an operational one nor a lost lease, after all the others ended.

    """
    pool = _Pool()
    execution = _PooledExecution(pool)
    counts_by_status: Counter[str] = Counter()
    unexpected: list[Exception] = []

    async def work(provisioning: Provisioning) -> None:
        try:
            reopened = await reopen_provisioning.fn(provisioning, owner)
            result = await run_to_completion(reopened, owner, timeout_seconds, execution)
            counts_by_status[result.status] += 1
        except (OperationalError, ConcurrencyError) as error:
            log_to_run("provisioning %s: %s", provisioning.id, error.message)
            counts_by_status[error.code] += 1
            on_error(error)
        except Exception as error:  # noqa: BLE001  # a defect; it is raised below
            log_to_run("provisioning %s: %s", provisioning.id, type(error).__name__, level=logging.ERROR)
            unexpected.append(error)
        finally:
            pool.release_slot()

    tasks: set[asyncio.Task[None]] = set()
    async with app_context():  # so that the context stays open between two provisionings
        try:
            await _start_all(acquire_next, pool, work, tasks)
            await pool.run_branches(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    if unexpected:
        raise unexpected[0]
    return counts_by_status


async def _start_all(
    acquire_next: NextProvisioning,
    pool: _Pool,
    work: Callable[[Provisioning], Coroutine[Any, Any, None]],
    tasks: set[asyncio.Task[None]],
) -> None:
    """Start work on each provisioning as soon as a slot is free. Tasks that wait for a branch stay in `tasks`."""
    while True:
        await pool.acquire_slot()
        try:
            provisioning = await acquire_next()
        except BaseException:
            pool.release_slot()
            raise
        if provisioning is None:
            pool.release_slot()
            return
        task = asyncio.create_task(work(provisioning))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def _always() -> bool:
    return True


def acquire_each(
    provisionings: Iterable[Provisioning],
    owner: LeaseOwner,
    may_continue: Callable[[], Awaitable[bool]] = _always,
) -> NextProvisioning:
    """Return a function that acquires these one by one, skipping those that another owner has acquired since.

    Args:
        provisionings: The provisionings, in this order.
        owner: The owner of the leases.
        may_continue: Called before each one; if it returns False, the rest is not acquired. Its errors propagate.
    """
    remaining = iter(provisionings)

    async def acquire_next() -> Provisioning | None:
        async with app_context() as context:
            for provisioning in remaining:
                if not await may_continue():
                    return None
                try:
                    return await context.leases.acquire(provisioning.id, owner, context.lease_duration)
                except ConcurrencyError:
                    continue  # the other lease owner advances it
        return None

    return acquire_next
