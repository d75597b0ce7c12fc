"""Runs many provisionings in one flow run, with bounded concurrency."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

from flows.engine.branch_batching import BranchBatcher
from flows.engine.execution import Branch, InlineExecution
from flows.engine.state_machine import run_to_completion
from models.errors import ConcurrencyError, OperationalError
from models.provisioning import LeaseOwner, Provisioning
from services.context import app_context
from services.run_log import log_to_run
from tasks.publish_artifact import publish_artifact
from tasks.reopen_provisioning import reopen_provisioning

MAX_CONCURRENCY = 20

NextProvisioning = Callable[[], Awaitable[Provisioning | None]]
"""Acquires and returns the next provisioning, or returns None if there are no more."""


class _PooledExecution(InlineExecution):
    """Inline steps and batched branches, but one artifact per provisioning."""

    def __init__(self, batcher: BranchBatcher) -> None:
        self._batcher = batcher

    async def run_branch(self, flow: Branch, provisioning_id: str) -> None:
        await self._batcher.run(flow, provisioning_id)

    async def publish_outcome(self, provisioning_id: str) -> None:
        await publish_artifact.fn(provisioning_id)


async def run_many(
    acquire_next: NextProvisioning, owner: LeaseOwner, *, timeout_seconds: float | None
) -> Counter[str]:
    """Run every provisioning that `acquire_next` returns, at most MAX_CONCURRENCY at a time.

    An error stops only the provisioning it occurs in.

    Args:
        acquire_next: Called until it returns None.
        owner: The owner of the leases.
        timeout_seconds: How long to wait for each training; None waits until the training deadline.

    Returns:
        The number of provisionings by the status they reached, or by the code of the error that stopped them.

    Raises:
        Exception: The first error that is neither an operational one nor a lost lease, after all the others ended.

    """
    async with app_context() as context:
        execution = _PooledExecution(BranchBatcher(context.clock))
    counts_by_status: Counter[str] = Counter()
    unexpected: list[Exception] = []

    async def work() -> None:
        while (provisioning := await acquire_next()) is not None:
            try:
                reopened = await reopen_provisioning.fn(provisioning, owner)
                result = await run_to_completion(reopened, owner, timeout_seconds, execution)
                counts_by_status[result.status] += 1
            except (OperationalError, ConcurrencyError) as error:
                log_to_run("provisioning %s: %s", provisioning.id, error.message)
                counts_by_status[error.code] += 1
            except Exception as error:  # noqa: BLE001  # a defect; it is raised below
                log_to_run("provisioning %s: %s", provisioning.id, type(error).__name__, level=logging.ERROR)
                unexpected.append(error)

    await asyncio.gather(*(work() for _ in range(MAX_CONCURRENCY)))
    if unexpected:
        raise unexpected[0]
    return counts_by_status


def acquire_each(provisionings: Iterable[Provisioning], owner: LeaseOwner) -> NextProvisioning:
    """Return a function that acquires these one by one, skipping those that another owner has acquired since."""
    remaining = iter(provisionings)

    async def acquire_next() -> Provisioning | None:
        async with app_context() as context:
            for provisioning in remaining:
                try:
                    return await context.leases.acquire(provisioning.id, owner, context.lease_duration)
                except ConcurrencyError:
                    continue  # the other lease owner advances it
        return None

    return acquire_next
