"""One row of a batch: provisioned or previewed, with its outcome in the progress of the batch."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from flows.engine.batch_preview import preview_row
from flows.engine.execution import Branch, InlineExecution
from flows.engine.state_machine import run_to_completion
from models.batch import INVALID, RowResult
from models.errors import (
    ArgilPaymentRequired,
    ArgilRateLimited,
    ArgilUnreachable,
    ArgilVideoCreateRemoved,
    AvatarTaken,
    BatchBudgetUsed,
    BatchCancelled,
    DayBudgetUsed,
    MediaUnreachable,
    NetworkUnavailable,
    OperationalError,
    PaymentPaused,
    ProvisioningErased,
    RatePaused,
    ReferenceConflict,
    SubmissionBudgetUsed,
    SubmissionUnresolved,
    UnintelligibleResponse,
    UnknownAvatars,
    UnknownProvisioning,
    VideoCreatePaused,
)
from models.media.checks import recorded_warnings
from models.provisioning import Provisioning, Status
from models.reason import Reason
from models.recordings.recording_secrets import protect_request
from models.request import AvatarRequest
from services.run_log import log_about_one, log_to_run, logging_about_row
from tasks.get_or_create_provisioning import get_or_create_provisioning
from tasks.reopen_provisioning import reopen_provisioning

if TYPE_CHECKING:
    from flows.engine.batch import BatchRun

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


class RowExecution(InlineExecution):
    """The execution strategy of one row, and the row's processing."""

    def __init__(self, batch: BatchRun, number: int) -> None:
        self._batch = batch
        self._number = number
        self._has_slot = False
        self._last_status: Status | None = None
        self._warnings: list[Reason] | None = None
        self._copies: list[Reason] = []

    async def acquire_slot(self) -> None:
        """Wait until fewer rows than the concurrency of the batch do work."""
        if not self._has_slot:
            await self._batch.work_semaphore.acquire()
            self._has_slot = True

    def release_slot(self) -> None:
        """Let another row work, for example while this one waits for its training."""
        if self._has_slot:
            self._batch.work_semaphore.release()
            self._has_slot = False

    async def run_branch(self, flow: Branch, provisioning_id: str) -> None:
        """Run a branch together with those of other rows."""
        await self._batch.branches.run(flow, provisioning_id)

    def on_checked(self, provisioning: Provisioning) -> None:
        """Warn about earlier rows whose recordings have the same content."""
        line, facts = self._batch.rows[self._number].line, provisioning.media_facts or {}
        self._warnings = None
        self._copies += self._batch.contents.find_copies(line, provisioning.request, facts)
        for warning in self._copies:
            log_about_one("%s", warning.message, level=logging.WARNING)

    def on_status_change(self, provisioning: Provisioning) -> None:
        """Show the new status in the progress; an answer of Argil's ends an outage."""
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
        return row.with_warnings([*(self._warnings or ()), *self._copies])

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
        row = await preview_row(self._batch.context, progress.rows[self._number], request, self._batch.contents)
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
            except (ReferenceConflict, ProvisioningErased) as error:
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
