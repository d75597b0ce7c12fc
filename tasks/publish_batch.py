"""Shows a batch in the Prefect UI: one progress artifact while it runs, one table of its rows in the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from uuid import UUID

from prefect.artifacts import acreate_progress_artifact, acreate_table_artifact, aupdate_progress_artifact

from models.batch import RowResult, Tally
from models.provisioning import Status
from tasks.narrate import narrate

EVERY_SECONDS = 5.0
SHOWN = 1000
"""Rows in the table; those that need a person come first."""


@contextlib.asynccontextmanager
async def shown(tally: Tally, run_id: str, monotonic: Callable[[], float]) -> AsyncIterator[None]:
    """Show the tally of a run while the context is open, and its rows when it is left.

    Prefect failing to show something costs nothing else.
    """
    showing = asyncio.create_task(_show_progress(tally, run_id, monotonic))
    try:
        yield
    finally:
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await showing
    try:
        await acreate_table_artifact(key=f"batch-{run_id}", table=_table(tally), description=_described(tally))
    except Exception as error:  # noqa: BLE001  # whatever Prefect's client raises
        narrate("the table of rows could not be published: %s", type(error).__name__, level=logging.WARNING)


async def _show_progress(tally: Tally, run_id: str, monotonic: Callable[[], float]) -> None:
    artifact: UUID | None = None
    failed = False
    last = ""
    while True:
        percent, told = 100.0 * tally.settled / tally.total, tally.told_with_pace(monotonic())
        if last != (last := tally.told):
            narrate("%s", told)
        try:
            if artifact is None:
                artifact = await acreate_progress_artifact(percent, f"batch-progress-{run_id}", told)
            else:
                await aupdate_progress_artifact(artifact, percent, told)
        except Exception as error:  # noqa: BLE001  # whatever Prefect's client raises
            if not failed:
                narrate("progress cannot be published: %s", type(error).__name__, level=logging.WARNING)
            failed = True
        await asyncio.sleep(EVERY_SECONDS)


def _table(tally: Tally) -> list[dict[str, str]]:
    rows = sorted(tally.rows, key=lambda row: (row.status == Status.READY, row.line))
    return [_cells(row) for row in rows[:SHOWN]]


def _cells(row: RowResult) -> dict[str, str]:
    return {
        "line": str(row.line),
        "status": row.status,
        "name": row.name,
        "reference": row.reference,
        "provisioning": row.id or "",
        "avatar": row.avatar_id or "",
        "reasons": row.told,
    }


def _described(tally: Tally) -> str:
    left_out = tally.total - SHOWN
    return tally.told + (f"; {left_out} of the rows are left out here" if left_out > 0 else "")
