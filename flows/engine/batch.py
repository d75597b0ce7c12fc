"""Runs the rows of a manifest in chunks, one task run per chunk, with bounded concurrency."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import ContextVar
from typing import Any

from prefect import task

from flows.engine.batch_row import RowExecution
from flows.engine.branch_batching import BranchBatcher
from flows.engine.outage_wait import OutageWait
from flows.engine.voice_announcement import announce_voices
from models.batch import BatchProgress
from models.batch_record import BatchSource
from models.errors import DatabaseError, OperationalError
from models.manifest.shared_recordings import ContentIndex
from models.manifest.validation import ManifestRow
from models.provisioning import LeaseOwner, Status
from services.account.lost_submissions import recover_rows
from services.context import AppContext
from services.prefect_api.prefect_options import TASK_OPTIONS
from services.run_log import log_to_run, warnings_only
from tasks.find_voices import find_voices

ROWS_PER_TASK_RUN = 200
"""Rows per task run."""
progress_observer: ContextVar[Callable[[BatchProgress], None] | None] = ContextVar(
    "progress_observer", default=None
)
"""Called with the progress of a batch before its first row; lets code in the same process follow the batch."""
loaded_source: ContextVar[BatchSource | None] = ContextVar("loaded_source", default=None)
"""What the batch provisions, if code in the same process has read it. `avatars batch` does, from any file."""


class BatchRun:
    """State shared by the rows of one batch run.

    A plain object, because Prefect traverses collections and models in task parameters, but not plain objects.
    """

    def __init__(
        self,
        context: AppContext,
        rows: Sequence[ManifestRow],
        owner: LeaseOwner,
        *,
        timeout_seconds: float | None,
        concurrency: int,
        dry_run: bool,
    ) -> None:
        self.context = context
        self.rows = rows
        self.owner = owner
        self.watch_timeout_seconds = timeout_seconds
        self.dry_run = dry_run
        self.work_semaphore = asyncio.Semaphore(concurrency)
        self.branches = BranchBatcher(context.clock)
        self.progress = BatchProgress(
            rows,
            context.clock.monotonic(),
            is_dry_run=dry_run,
            batch_id=None if dry_run else owner.batch_id,
        )
        self.contents = ContentIndex()
        self.outage = OutageWait(context.clock, context.outage_log)
        self.abort_error: OperationalError | None = None
        """The operational error that stopped the batch; no further row starts."""
        self.waiting_error: OperationalError | None = None
        """What rows wait for; they are recorded, but nothing is checked or submitted for them."""
        self._recovery_lock = asyncio.Lock()
        self._has_recovered = False
        self.is_cancelled = False
        """Whether a person cancelled the batch: the ledger refuses each further row."""

    async def run(self) -> None:
        """Process every row; returns when each is finished or blocked."""
        starts = range(0, len(self.rows), ROWS_PER_TASK_RUN)
        chunks = (
            process_chunk(self, start + 1, min(start + ROWS_PER_TASK_RUN, len(self.rows))) for start in starts
        )
        try:
            await _gather_all(chunks)
        finally:
            self.progress.ended_at = self.context.clock.monotonic()

    async def recover(self) -> None:
        """Recover the lost submissions of all rows, once: their avatars would stop the other rows."""
        async with self._recovery_lock:
            if not self._has_recovered:
                await recover_rows(self.context, self.rows, self.owner)
                self._has_recovered = True

    async def find_voices(self) -> None:
        """Look up the voices of its avatars that became READY without one; errors change nothing."""
        ready = {row.id: number for number, row in enumerate(self.progress.rows) if row.status == Status.READY}
        if not ready:
            return
        try:
            found = await find_voices.fn(self.owner, self.owner.batch_id)
            await announce_voices(found, publishes_artifacts=False)
        except DatabaseError as error:
            log_to_run("the voices are looked up later: %s", error.message, level=logging.WARNING)
            return
        for provisioning in found:
            if (number := ready.get(provisioning.id)) is not None:
                self.progress.update_row(number, self.progress.rows[number].with_provisioning(provisioning))


@task(task_run_name="rows-{first}-to-{last}", **TASK_OPTIONS)
async def process_chunk(batch: BatchRun, first: int, last: int) -> None:
    """Process rows `first` to `last`, counted from 1. An error in one row does not stop the others."""
    with warnings_only():
        await _gather_all(RowExecution(batch, number).run() for number in range(first - 1, last))


async def _gather_all(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Wait for all coroutines, then raise the first exception."""
    for result in await asyncio.gather(*coroutines, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
