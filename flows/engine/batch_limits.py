"""Keeps the pauses and the budget of the day in the progress of a batch, for those who watch it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from models.batch import BatchProgress
from models.errors import DatabaseError
from services.context import AppContext
from services.run_log import log_to_run

READ_INTERVAL_SECONDS = 5.0


@contextlib.asynccontextmanager
async def refreshing_limits(
    progress: BatchProgress, context: AppContext, batch_id: str | None
) -> AsyncIterator[None]:
    """Read the limits while the context is open, and once more when it is closed.

    A failed read is logged and does not affect the batch.

    Args:
        progress: The progress that gets them.
        context: The composition root.
        batch_id: The id of the batch.

    """
    reader = asyncio.create_task(_read_regularly(progress, context, batch_id))
    try:
        yield
    finally:
        reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reader
        await _read(progress, context, batch_id)


async def _read_regularly(progress: BatchProgress, context: AppContext, batch_id: str | None) -> None:
    while True:
        await _read(progress, context, batch_id)
        await asyncio.sleep(READ_INTERVAL_SECONDS)


async def _read(progress: BatchProgress, context: AppContext, batch_id: str | None) -> None:
    try:
        progress.limits = (await context.limits.read(context.guard, batch_id)).describe()
    except DatabaseError as error:
        log_to_run("the limits were not read: %s", error.message, level=logging.WARNING)
