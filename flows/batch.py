"""Drives the rows of a manifest, a chunk of them in one task run, so many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import ContextVar
from typing import Any

from prefect import task

from flows.branches import Branches
from flows.drive import drive
from flows.manner import Branch, InOneTask
from models.batch import INVALID, Tally
from models.errors import ArgilBusy, MediaUnreachable, OperatorError, ReferenceConflict
from models.manifest import ManifestRow
from models.provisioning import Driver, Provisioning, Status
from models.reason import Reason
from models.request import ProvisioningRequest
from tasks.find_provisioning import reopen_provisioning
from tasks.narrate import narrate, quietly
from tasks.open_provisioning import open_provisioning
from tasks.options import TASK
from tasks.preview_row import preview_row
from tasks.runtime import Runtime

CHUNK = 200
"""Rows a task run."""
BUSY_PATIENCE_SECONDS = 900.0
"""How long Argil may ask one row to come back later."""
BUSY_PAUSE_SECONDS = 5.0

onlooker: ContextVar[Callable[[Tally], None] | None] = ContextVar("onlooker", default=None)
"""Who else in this process follows a batch: it is handed the tally before the first row."""


class Batch:
    """What the rows of one run share. Prefect looks into the parameters of tasks, but not into this."""

    def __init__(
        self,
        active: Runtime,
        rows: Sequence[ManifestRow],
        driver: Driver,
        *,
        patience_seconds: float | None,
        concurrency: int,
        dry_run: bool,
    ) -> None:
        self.active = active
        self.rows = rows
        self.driver = driver
        self.patience_seconds = patience_seconds
        self.dry_run = dry_run
        self.turns = asyncio.Semaphore(concurrency)
        self.branches = Branches(active.clock)
        self.tally = Tally(rows, active.clock.monotonic())
        self.stopped_by: OperatorError | None = None
        """What an operator must mend before any further row can be begun."""

    async def run(self) -> None:
        """Work on every row; returns when each is settled, or cannot go on."""
        starts = range(0, len(self.rows), CHUNK)
        chunks = (drive_chunk(self, start + 1, min(start + CHUNK, len(self.rows))) for start in starts)
        await _all(chunks)


@task(task_run_name="rows-{first}-to-{last}", **TASK)
async def drive_chunk(batch: Batch, first: int, last: int) -> None:
    """Drive the rows from the `first` to the `last`, counted from 1; what befalls one row stops no other."""
    with quietly():
        await _all(_Row(batch, number).see_through() for number in range(first - 1, last))


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Wait for each; only then raise what was unexpected."""
    for end in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(end, BaseException):
            raise end


class _Row(InOneTask):
    """One row, and how it is driven."""

    def __init__(self, batch: Batch, number: int) -> None:
        self._batch = batch
        self._number = number
        self._has_turn = False

    async def begin_work(self) -> None:
        if not self._has_turn:
            await self._batch.turns.acquire()
            self._has_turn = True

    def begin_wait(self) -> None:
        if self._has_turn:
            self._batch.turns.release()
            self._has_turn = False

    async def branch(self, flow: Branch, provisioning_id: str) -> None:
        await self._batch.branches.take(flow, provisioning_id)

    def moved(self, provisioning: Provisioning) -> None:
        tally = self._batch.tally
        tally.put(self._number, tally.rows[self._number].at(provisioning))

    async def see_through(self) -> None:
        """Drive the row as far as it goes, and leave its result in the tally."""
        if (request := self._batch.rows[self._number].request) is None:
            return
        try:
            await self.begin_work()
            if self._batch.stopped_by is None:
                await (self._preview(request) if self._batch.dry_run else self._provision(request))
        except OperatorError as error:
            self._hindered(error)
        finally:
            self.begin_wait()

    async def _preview(self, request: ProvisioningRequest) -> None:
        tally = self._batch.tally
        row = await preview_row(self._batch.active, tally.rows[self._number], request)
        tally.put(self._number, row, settled=True)

    async def _provision(self, request: ProvisioningRequest) -> None:
        batch, clock = self._batch, self._batch.active.clock
        tally = batch.tally
        give_up_at = clock.monotonic() + BUSY_PATIENCE_SECONDS
        while True:
            try:
                opened = await open_provisioning.fn(request, request.reference or "", batch.driver)
                if opened.status is Status.TIMED_OUT:
                    opened = await reopen_provisioning.fn(opened, batch.driver)
                driven = await drive(opened, batch.driver, batch.patience_seconds, self)
            except ReferenceConflict as error:
                row = tally.rows[self._number].stopped(INVALID, [Reason.of(error)])
                return tally.put(self._number, row, settled=True)
            except ArgilBusy as error:
                # The turn is kept meanwhile: where Argil is busy, no other row is begun in this one's place.
                wait = error.retry_after_seconds or BUSY_PAUSE_SECONDS
                if clock.monotonic() + wait > give_up_at:
                    raise
                await clock.sleep(wait)
            else:
                return tally.put(self._number, tally.rows[self._number].at(driven), settled=True)

    def _hindered(self, error: OperatorError) -> None:
        tally = self._batch.tally
        row = tally.rows[self._number]
        tally.put(self._number, row.stopped(row.status, [Reason.of(error)]), settled=True)
        if not isinstance(error, MediaUnreachable | ArgilBusy) and self._batch.stopped_by is None:
            self._batch.stopped_by = error
            narrate("no further row is begun: %s", error.message)
