"""Drives many provisionings in one run, some at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from flows.drive import drive
from models.errors import LedgerConflict, OperatorError
from models.provisioning import Driver, Provisioning, Status
from tasks.find_provisioning import reopen_provisioning
from tasks.narrate import narrate

AT_ONCE = 20


async def drive_many(found: Sequence[Provisioning], driver: Driver, *, patience_seconds: float | None) -> str:
    """Drive each; returns where they stand, as words for a run's message.

    What an operator must mend, or another driver has taken, stops none of the others.
    """
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(provisioning: Provisioning) -> Status | str:
        async with turn:
            try:
                reopened = await reopen_provisioning(provisioning, driver)
                return (await drive(reopened, driver, patience_seconds)).status
            except (OperatorError, LedgerConflict) as error:
                narrate("%s: %s", provisioning.name, error.message)
                return error.code

    stand = Counter(await asyncio.gather(*(one(provisioning) for provisioning in found)))
    return "".join(f"; {count} {status}" for status, count in sorted(stand.items()))
