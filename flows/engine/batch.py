"""Runs the rows of a manifest in chunks, one task run per chunk, with bounded concurrency."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import ContextVar
from typing import Any

from prefect import task

from flows.engine.batch_preview import preview_row
from flows.engine.branch_batching import BranchBatcher
from flows.engine.execution import Branch, InlineExecution
from flows.engine.outage_wait import OutageWait
from flows.engine.state_machine import run_to_completion
from flows.engine.voice_announcement import announce_voices
from models.batch import INVALID, BatchProgress, RowResult
from models.batch_record import BatchSource
from models.errors import (
    ArgilPaymentRequired,
    ArgilRateLimited,
    ArgilUnreachable,
    ArgilVideoCreateRemoved,
    AvatarTaken,
    BatchBudgetUsed,
    BatchCancelled,
    DatabaseError,
    DayBudgetUsed,
    MediaUnreachable,
    NetworkUnavailable,
    OperationalError,
    PaymentPaused,
    RatePaused,
    ReferenceConflict,
    SubmissionBudgetUsed,
    SubmissionUnresolved,
    UnintelligibleResponse,
    UnknownAvatars,
    UnknownProvisioning,
    VideoCreatePaused,
)
from models.manifest_validation import ManifestRow
from models.media_checks import recorded_warnings
from models.provisioning import LeaseOwner, Provisioning, Status
from models.reason import Reason
from models.recording_secrets import protect_request
from models.request import AvatarRequest
from models.shared_recordings import ContentIndex
from services.context import AppContext
from services.lost_submissions import recover_rows
from services.prefect_options import TASK_OPTIONS
from services.run_log import log_about_one, log_to_run, logging_about_row, warnings_only
from tasks.find_voices import find_voices
from tasks.get_or_create_provisioning import get_or_create_provisioning
from tasks.reopen_provisioning import reopen_provisioning

ROWS_PER_TASK_RUN = 200
"""Rows per task run."""
_ERRORS_OF_ONE_ROW = (
    ArgilRateLimited,
    AvatarTaken,
    MediaUnreachable,
    RatePaused,
    SubmissionBudgetUsed,
    SubmissionUnresolved,
    UnintelligibleResponse,
)
"""Operational errors that do not stop the other rows of a batch, which may succeed."""
_WAITING_ERRORS = (
    ArgilPaymentRequired,
    ArgilVideoCreateRemoved,
    BatchBudgetUsed,
    DayBudgetUsed,
    PaymentPaused,
    VideoCreatePaused,
)
"""Operational errors of all further rows, or of all with videos. Each is recorded, and waits with the reason."""
_OUTAGES = (ArgilRateLimited, ArgilUnreachable, NetworkUnavailable, RatePaused)
"""Operational errors that end by themselves: the rows wait for it."""
_ANSWERED = (Status.TRAINING, Status.SUBMISSION_FAILED)
"""Statuses that follow from an answer of Argil's to a submission."""

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
        await _gather_all(_RowExecution(batch, number).run() for number in range(first - 1, last))


async def _gather_all(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Wait for all coroutines, then raise the first exception."""
    for result in await asyncio.gather(*coroutines, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


class _RowExecution(InlineExecution):
    """The execution strategy of one row, and the row's processing."""

    def __init__(self, batch: BatchRun, number: int) -> None:
        self._batch = batch
        self._number = number
        self._has_slot = False
        self._last_status: Status | None = None
        self._warnings: list[Reason] | None = None

    async def acquire_slot(self) -> None:
        if not self._has_slot:
            await self._batch.work_semaphore.acquire()
            self._has_slot = True

    def release_slot(self) -> None:
        if self._has_slot:
            self._batch.work_semaphore.release()
            self._has_slot = False

    async def run_branch(self, flow: Branch, provisioning_id: str) -> None:
        await self._batch.branches.run(flow, provisioning_id)

    def on_checked(self, provisioning: Provisioning) -> None:
        line, facts = self._batch.rows[self._number].line, provisioning.media_facts or {}
        self._warnings = None
        for warning in self._batch.contents.find_copies(line, provisioning.request, facts):
            log_about_one("%s", warning, level=logging.WARNING)

    def on_status_change(self, provisioning: Provisioning) -> None:
        self._batch.progress.update_row(self._number, self._with_provisioning(provisioning))
        previous, self._last_status = self._last_status, provisioning.status
        if previous is not None and provisioning.status in _ANSWERED:
            self._batch.outage.end()  # Argil has just created, returned or rejected the avatar

    def _with_provisioning(self, provisioning: Provisioning) -> RowResult:
        """Return the row with the status of its provisioning, and the warnings of its media check."""
        settings = self._batch.context.settings
        if self._warnings is None and provisioning.media_facts and provisioning.status is not Status.REJECTED:
            self._warnings = recorded_warnings(
                provisioning.media_facts,
                settings.media_policy,
                is_enforced=settings.avatars_media_check == "strict",
            )
        row = self._batch.progress.rows[self._number].with_provisioning(provisioning)
        return row.with_warnings(self._warnings or ())

    async def run(self) -> None:
        """Process the row and store its result in the batch progress."""
        if (request := self._batch.rows[self._number].request) is None:
            return
        try:
            await self.acquire_slot()
            if self._batch.abort_error is None:
                with protect_request(request), logging_about_row(self._batch.progress.rows[self._number].label):
                    await (self._preview(request) if self._batch.dry_run else self._provision(request))
        except OperationalError as error:
            self._record_blocker(error)
        finally:
            self.release_slot()

    async def _preview(self, request: AvatarRequest) -> None:
        progress = self._batch.progress
        row = await preview_row(self._batch.context, progress.rows[self._number], request)
        progress.update_row(self._number, row, finished=True)

    async def _provision(self, request: AvatarRequest) -> None:
        batch = self._batch
        progress = batch.progress
        has_recovered = False
        while True:
            try:
                provisioning = await get_or_create_provisioning.fn(request, request.reference or "", batch.owner)
                if provisioning.status is Status.TIMED_OUT:
                    provisioning = await reopen_provisioning.fn(provisioning, batch.owner)
                provisioning = await run_to_completion(provisioning, batch.owner, batch.watch_timeout_seconds, self)
            except ReferenceConflict as error:
                row = progress.rows[self._number].with_status(INVALID, [Reason.from_error(error)])
                return progress.update_row(self._number, row, finished=True)
            except UnknownAvatars:
                if has_recovered:
                    raise
                await batch.recover()
                has_recovered = True
            except BatchCancelled as error:
                return await self._record_cancelled(error)
            except _OUTAGES as error:
                # Keep the concurrency slot, so that no other row starts while Argil fails.
                await batch.outage.wait(error, getattr(error, "retry_after_seconds", None))
            else:
                return progress.update_row(self._number, self._with_provisioning(provisioning), finished=True)

    async def _record_cancelled(self, error: BatchCancelled) -> None:
        """Store the outcome that the row has on record, or that it is cancelled: the command cancels the others."""
        if not self._batch.is_cancelled:
            self._batch.is_cancelled = True
            log_to_run("no further rows start: %s", error.message)
        self._batch.outage.abandon()  # the ledger refuses the other rows, too
        progress = self._batch.progress
        row = progress.rows[self._number]
        is_recorded = False
        with contextlib.suppress(UnknownProvisioning):
            provisioning = await self._batch.context.ledger.get(row.reference)
            if provisioning.batch_id == error.batch_id:
                row = self._with_provisioning(provisioning)
                is_recorded = provisioning.status.is_terminal
        if not is_recorded:
            row = row.with_status(Status.CANCELLED, [Reason.from_error(error)])
        progress.update_row(self._number, row, finished=True)

    def _record_blocker(self, error: OperationalError) -> None:
        progress = self._batch.progress
        row = progress.rows[self._number]
        progress.update_row(self._number, row.with_status(row.status, [Reason.from_error(error)]), finished=True)
        if isinstance(error, _WAITING_ERRORS):
            if self._batch.waiting_error is None:
                self._batch.waiting_error = error
                log_to_run("further rows are recorded and wait: %s", error.message)
        elif not isinstance(error, _ERRORS_OF_ONE_ROW) and self._batch.abort_error is None:
            self._batch.abort_error = error
            log_to_run("the batch stops: no further rows start: %s", error.message)
