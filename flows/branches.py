"""Calls each branch once for many avatars: a subflow costs Prefect about a second."""

from __future__ import annotations

import asyncio
import contextvars

from flows.manner import Branch
from models.clock import Clock

GATHER_SECONDS = 2.0
"""How long the first to take a branch waits for others."""


class Branches:
    """Gathers who takes a branch; made inside of a flow, whose subflows they then are."""

    def __init__(self, clock: Clock) -> None:
        # Who takes a branch does so from inside of a task run, under which its subflow does not belong.
        self._context = contextvars.copy_context()
        self._clock = clock
        self._gathered: dict[Branch, tuple[list[str], asyncio.Task[None]]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def take(self, branch: Branch, provisioning_id: str) -> None:
        """Return when the branch has worked on this avatar; raises what it raised."""
        if branch not in self._gathered:
            ids: list[str] = []
            call = self._call(branch, ids)
            task = asyncio.get_running_loop().create_task(call, context=self._context.copy())
            self._gathered[branch] = ids, task
        ids, task = self._gathered[branch]
        ids.append(provisioning_id)
        await asyncio.shield(task)

    async def _call(self, branch: Branch, ids: list[str]) -> None:
        try:
            await self._clock.sleep(GATHER_SECONDS)
            await self._one_at_a_time.acquire()
        finally:
            del self._gathered[branch]  # who comes from here on is of the next call
        try:
            await branch(ids)
        finally:
            self._one_at_a_time.release()
