"""Drives many provisionings in one run, some at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

from flows.branches import Branches
from flows.drive import drive
from flows.manner import Branch, InOneTask
from models.errors import LedgerConflict, OperatorError
from models.provisioning import Driver, Provisioning
from tasks.find_provisioning import reopen_provisioning
from tasks.narrate import narrate
from tasks.publish_outcome import publish_artifact
from tasks.runtime import runtime

AT_ONCE = 20

Take = Callable[[], Awaitable[Provisioning | None]]
"""Returns the next one to drive; None: there is no more."""


class _OneOfMany(InOneTask):
    """One of many in a run: no task run a step and no subflow an avatar, but an artifact of its own."""

    def __init__(self, branches: Branches) -> None:
        self._branches = branches

    async def branch(self, flow: Branch, provisioning_id: str) -> None:
        await self._branches.take(flow, provisioning_id)

    async def publish(self, provisioning_id: str) -> None:
        await publish_artifact.fn(provisioning_id)


async def drive_many(take: Take, driver: Driver, *, patience_seconds: float | None) -> Counter[str]:
    """Drive each that is taken until there is no more; return how many stand where, or what kept them.

    What an operator must mend, or another driver has, stops none of the others.
    """
    async with runtime() as active:
        manner = _OneOfMany(Branches(active.clock))
    stand: Counter[str] = Counter()

    async def work() -> None:
        while (provisioning := await take()) is not None:
            try:
                reopened = await reopen_provisioning.fn(provisioning, driver)
                stand[(await drive(reopened, driver, patience_seconds, manner)).status] += 1
            except (OperatorError, LedgerConflict) as error:
                narrate("%s: %s", provisioning.name, error.message)
                stand[error.code] += 1

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return stand


def claiming(found: Iterable[Provisioning], driver: Driver) -> Take:
    """Return how to take each of these that no other driver has claimed since it was found."""
    left = iter(found)

    async def take() -> Provisioning | None:
        async with runtime() as active:
            for provisioning in left:
                try:
                    return await active.leases.claim(provisioning.id, driver, active.lease)
                except LedgerConflict:
                    continue  # its driver sees to it
        return None

    return take


def told(stand: Counter[str]) -> str:
    """Return where they stand as words for a run's message."""
    return "".join(f"; {count} {status}" for status, count in sorted(stand.items()))
