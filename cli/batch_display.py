"""Shows a batch: its progress while it runs, and its result when it has ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.console import print_line, print_status, show_run_log
from cli.rendering import styled
from cli.terminal import shown, shown_lines, stderr_console, stdout_console
from models.batch import BatchProgress, RowResult, format_duration
from models.provisioning import Status
from models.text.plural import counted

BAR_WIDTH = 40
MAX_LIVE_ROWS = 10
"""Rows with reasons in the live table: the last ones."""
MAX_PRINTED_ROWS = 200
"""Rows with reasons printed at the end; the results file lists all."""


@contextlib.contextmanager
def showing_progress(batches: Sequence[BatchProgress]) -> Iterator[None]:
    """Show the progress of a batch: a live table on a terminal, plain lines otherwise.

    Args:
        batches: Empty until the batch starts, then its progress. The last state stays on the terminal.

    """
    if not stderr_console.is_terminal:
        with show_run_log("batch"):
            yield
        return
    with Live(
        console=stderr_console,
        get_renderable=lambda: render_progress(batches[0], time.monotonic()) if batches else "starting",
        refresh_per_second=4,
    ):
        yield


def render_progress(progress: BatchProgress, now: float) -> RenderableType:
    """Return the counts, the bar, the time and rate, and the last rows with reasons until the batch has ended.

    Args:
        progress: The progress of the batch.
        now: Seconds of its monotonic clock.
    """
    counts = Table.grid(padding=(0, 2))
    for status, count in progress.counts.most_common():
        if count:
            counts.add_row(_style_status(status), str(count))
    line = Table.grid(padding=(0, 2))
    line.add_row(
        ProgressBar(total=progress.total, completed=progress.finished, width=BAR_WIDTH),
        f"{progress.finished} of {progress.total} {progress.verb}",
        f"{format_duration(progress.elapsed_seconds(now))} elapsed",
        f"{progress.rate(now):.1f} rows/s",
        _remaining(progress, now),
    )
    limits = shown_lines(progress.limits)
    if progress.ended_at is not None or not progress.attention:
        return Group(counts, line, limits)  # `print_result` prints the rows
    rows = [progress.rows[number] for number in progress.attention[-MAX_LIVE_ROWS:]]
    return Group(counts, line, limits, table_of_rows(rows))


def _remaining(progress: BatchProgress, now: float) -> str:
    seconds = progress.eta_seconds(now)
    return "" if seconds is None or progress.ended_at is not None else f"{format_duration(seconds)} left"


def print_result(progress: BatchProgress) -> None:
    """Print the rows with reasons, in the order of the manifest, and the counts with the time and the rate."""
    rows = [row for row in progress.rows if row.needs_attention or (progress.is_dry_run and row.warnings)]
    if rows:
        stdout_console.print(table_of_rows(rows[:MAX_PRINTED_ROWS]))
    print_line(progress.result_text(time.monotonic()))
    warned = sum(bool(row.warnings) for row in progress.rows)
    if warned and not progress.is_dry_run:
        print_line(f"{counted(warned, 'row')} with warnings: see result_warnings in the file of results")
    for line in progress.limits:
        print_line(line)
    if progress.batch_id is not None:
        print_line(f"batch {progress.batch_id}: `avatars list --batch {progress.batch_id}` lists its provisionings")
    if len(rows) > MAX_PRINTED_ROWS:
        print_status(f"showing the first {MAX_PRINTED_ROWS} of {len(rows)} rows with reasons")


def _style_status(status: str) -> Text:
    return styled(Status(status)) if status in set(Status) else Text(status)


def table_of_rows(rows: Sequence[RowResult]) -> Table:
    """Return a table of rows with their reasons and remedies, as text without control characters."""
    table = Table("Line", show_lines=True)
    table.add_column("Status", no_wrap=True)  # the other columns wrap on a narrow terminal
    table.add_column("Name")
    table.add_column("Reasons and warnings")
    for row in rows:
        table.add_row(str(row.line), _style_status(row.status), shown(row.name), shown_lines(_reason_lines(row)))
    return table


def _reason_lines(row: RowResult) -> Iterator[str]:
    """Yield the reasons and warnings of a row; reasons with one remedy stand before it."""
    reasons = [*row.reasons, *row.warnings]
    for reason, following in zip_longest(reasons, reasons[1:]):
        yield reason.message.removeprefix(f"line {row.line}, ")  # the first column has the line
        if reason.hint and (following is None or following.hint != reason.hint):
            yield f"→ {reason.hint}"
