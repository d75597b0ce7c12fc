"""Runs each branch flow once for all provisionings of a page: a subflow run costs about one second in Prefect."""

from __future__ import annotations

import asyncio

from flows.engine.execution import Branch


class GatheredBranches:
    """Collects the provisionings of each branch until `run_all`.

    Its user calls `run_all` once nothing else is at work: provisionings that wait for a branch occupy no slot.
    """

    def __init__(self) -> None:
        self._waiting: dict[Branch, dict[str, asyncio.Future[None]]] = {}

    async def run(self, branch: Branch, provisioning_id: str) -> None:
        """Return when the branch has finished for this provisioning.

        An exception of the branch is raised to every provisioning that it was called for.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(branch, {})[provisioning_id] = future
        await future

    async def run_all(self) -> None:
        """Run each branch that is waited for, once."""
        waiting, self._waiting = self._waiting, {}
        for branch, futures in waiting.items():
            try:
                await branch(list(futures))
            except Exception as error:  # noqa: BLE001  # raised to everyone who waits
                for future in futures.values():
                    if not future.done():
                        future.set_exception(error)
            else:
                for future in futures.values():
                    if not future.done():
                        future.set_result(None)
