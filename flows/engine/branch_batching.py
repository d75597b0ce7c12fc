"""Runs each branch flow once for many provisionings: a subflow run costs about one second in Prefect."""

from __future__ import annotations

import asyncio
import contextvars

from flows.engine.execution import Branch
from models.clock import Clock

BATCH_WINDOW_SECONDS = 2.0
"""How long the first provisioning of a branch call waits for others to join it."""


class BranchBatcher:
    """Collects provisionings per branch and runs each branch as one subflow.

    Create it inside the flow that becomes the parent of the subflows.
    """

    def __init__(self, clock: Clock) -> None:
        # Callers of `run` are inside task runs; with this context, the subflow is a child of the flow run.
        self._context = contextvars.copy_context()
        self._clock = clock
        self._pending: dict[Branch, tuple[list[str], asyncio.Task[None]]] = {}
        self._lock = asyncio.Lock()

    async def run(self, branch: Branch, provisioning_id: str) -> None:
        """Return when the branch has finished for this provisioning.

        An exception of the branch is raised to every caller of the same subflow.
        """
        if branch not in self._pending:
            ids: list[str] = []
            call = self._run_batch(branch, ids)
            task = asyncio.get_running_loop().create_task(call, context=self._context.copy())
            self._pending[branch] = ids, task
        ids, task = self._pending[branch]
        ids.append(provisioning_id)
        await asyncio.shield(task)

    async def _run_batch(self, branch: Branch, ids: list[str]) -> None:
        try:
            await self._clock.sleep(BATCH_WINDOW_SECONDS)
            await self._lock.acquire()
        finally:
            del self._pending[branch]  # later calls of `run` join the next subflow
        try:
            await branch(ids)
        finally:
            self._lock.release()
