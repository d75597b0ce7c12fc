"""Lets the recordings of a refused avatar in again."""

from __future__ import annotations

from prefect import task

from tasks.options import TASK
from tasks.runtime import runtime


@task(**TASK)
async def release_recordings(key: str, why: str) -> int:
    """Release by provisioning id or reference; returns how many recordings. Raises UnknownProvisioning."""
    async with runtime() as active:
        provisioning = await active.ledger.get(key)
        return len(await active.quarantine.release(provisioning.id, why))
