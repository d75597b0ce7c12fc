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
async def refreshing_limits(progress: BatchProgress, context: AppContext) -> AsyncIterator[None]:
    """Read the limits while the context is open, and once more when it is closed.

    A failed read is logged and does not affect the batch.

    Args:
        progress: The progress that gets them.
        context: The composition root.

    """
    reader = asyncio.create_task(_read_regularly(progress, context))
    try:
        yield
    finally:
        reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reader
        await _read(progress, context)


async def _read_regularly(progress: BatchProgress, context: AppContext) -> None:
    while True:
        await _read(progress, context)
        await asyncio.sleep(READ_INTERVAL_SECONDS)


async def _read(progress: BatchProgress, context: AppContext) -> None:
    try:
        progress.limits = (await context.limits.read(context.guard)).describe()
    except DatabaseError as error:
        log_to_run("the limits were not read: %s", error.message, level=logging.WARNING)
