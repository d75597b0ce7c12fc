"""Publishes a batch in the Prefect UI: a progress artifact while it runs, and a table of its rows at the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from uuid import UUID

from prefect.artifacts import acreate_progress_artifact, acreate_table_artifact, aupdate_progress_artifact

from models.batch import BatchProgress, RowResult
from models.manifest.shared_recordings import SharedRecordingGroup
from models.provisioning import Status
from models.text.escaping import inert, short_line
from models.text.plural import counted
from services.run_log import log_to_run

PUBLISH_INTERVAL_SECONDS = 5.0
MAX_TABLE_ROWS = 1000
"""Rows in the table. Rows that are not READY come first."""
MAX_LOGGED_ROWS = 200
"""Rows with reasons in the log."""
MAX_LOGGED_CHARACTERS = 1000
"""Of a row in the log."""


@contextlib.asynccontextmanager
async def publishing_progress(
    progress: BatchProgress, run_id: str, monotonic: Callable[[], float]
) -> AsyncIterator[None]:
    """Publish the progress while the context is open, and the table of rows when it is closed.

    A failed call to Prefect is logged and does not affect the batch.

    Args:
        progress: The progress to publish.
        run_id: The id of the flow run; part of the artifact keys.
        monotonic: Returns monotonic seconds, for the rate and the remaining time.

    """
    artifact = _ProgressArtifact(progress, run_id, monotonic)
    publisher = asyncio.create_task(artifact.publish_repeatedly())
    try:
        yield
    finally:
        publisher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await publisher
    await artifact.publish()
    try:
        await acreate_table_artifact(
            key=f"batch-{run_id}", table=table_of_rows(progress), description=_description(progress)
        )
    except Exception as error:  # noqa: BLE001  # whatever Prefect's client raises
        log_to_run("the table of rows was not published: %s", type(error).__name__, level=logging.WARNING)


async def publish_shared_recordings(groups: Sequence[SharedRecordingGroup], run_id: str) -> None:
    """Publish the groups of rows that share recordings as a table, before the first row starts.

    A failed call to Prefect is logged and does not affect the batch.
    """
    key = f"shared-recordings-{run_id}"
    log_to_run("%s of rows share recordings; see the artifact %s of this run", counted(len(groups), "group"), key)
    table = [{"rows": inert(group.text), "count": len(group.lines)} for group in groups[:MAX_TABLE_ROWS]]
    try:
        await acreate_table_artifact(key=key, table=table, description="Rows that share recordings")
    except Exception as error:  # noqa: BLE001  # whatever Prefect's client raises
        log_to_run("the shared recordings were not published: %s", type(error).__name__, level=logging.WARNING)


class _ProgressArtifact:
    """The progress artifact of a batch. It and the log show the last state when the batch has ended."""

    def __init__(self, progress: BatchProgress, run_id: str, monotonic: Callable[[], float]) -> None:
        self._progress = progress
        self._key = f"batch-progress-{run_id}"
        self._monotonic = monotonic
        self._id: UUID | None = None
        self._has_failed = False
        self._logged_summary = ""
        self._logged_rows = 0

    async def publish_repeatedly(self) -> None:
        """Publish the progress every PUBLISH_INTERVAL_SECONDS until the task is cancelled."""
        while True:
            await self.publish()
            await asyncio.sleep(PUBLISH_INTERVAL_SECONDS)

    async def publish(self) -> None:
        """Log what changed since the last time, and publish the progress."""
        progress = self._progress
        text = "; ".join([progress.progress_text(self._monotonic()), *progress.limits])
        self._log_rows()
        if self._logged_summary != progress.summary:
            self._logged_summary = progress.summary
            log_to_run("%s", text)
        percent = 100.0 * progress.finished / progress.total
        try:
            if self._id is None:
                self._id = await acreate_progress_artifact(percent, self._key, text)
            else:
                await aupdate_progress_artifact(self._id, percent, text)
        except Exception as error:  # noqa: BLE001  # whatever Prefect's client raises
            if not self._has_failed:
                log_to_run("the progress was not published: %s", type(error).__name__, level=logging.WARNING)
            self._has_failed = True

    def _log_rows(self) -> None:
        """Log the rows that finished with reasons since the last time; the table has those beyond the limit."""
        attention = self._progress.attention
        for number in attention[self._logged_rows : MAX_LOGGED_ROWS]:
            row = self._progress.rows[number]
            text = f"line {row.line}, {row.name}: {row.status}: {row.reasons_text}"
            log_to_run("%s", short_line(text, MAX_LOGGED_CHARACTERS), level=logging.WARNING)
        if self._logged_rows < MAX_LOGGED_ROWS < len(attention):
            log_to_run("further rows with reasons are only in the table of rows and in the results")
        self._logged_rows = len(attention)


def table_of_rows(progress: BatchProgress) -> list[dict[str, str]]:
    """Return the rows of the table: those that are not READY first, at most MAX_TABLE_ROWS."""
    rows = sorted(progress.rows, key=lambda row: (row.status == Status.READY, row.line))
    return [_table_row(row) for row in rows[:MAX_TABLE_ROWS]]


def _table_row(row: RowResult) -> dict[str, str]:
    # One of Prefect's two UIs renders a cell as Markdown, the other one as text.
    return {
        "line": str(row.line),
        "status": row.status,
        "name": inert(row.name),
        "reference": inert(row.reference),
        "provisioning": row.id or "",
        "avatar": inert(row.avatar_id or ""),
        "voice": inert(row.voice_id or ""),
        "reasons": inert(row.reasons_text),
    }


def _description(progress: BatchProgress) -> str:
    omitted = progress.total - MAX_TABLE_ROWS
    note = f"; without {counted(omitted, 'row')}" if omitted > 0 else ""
    return "; ".join([progress.summary_with_credits + note, *progress.limits])
