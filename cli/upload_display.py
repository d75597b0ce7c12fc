"""Shows the uploads of local files on stderr: bars with rate and time left on a terminal, plain lines otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cli.console import print_status, shown_line

if TYPE_CHECKING:
    from rich.progress import Progress

PERCENT_PER_LINE = 25
"""How much of a file is sent between two plain lines."""
MIB = 1024 * 1024


class UploadDisplay:
    """An `UploadObserver`. Use it as a context manager while files are uploaded."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def __enter__(self) -> Self:
        from cli.terminal import stderr_console

        if stderr_console.is_terminal:
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )

            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._progress = Progress(*columns, TimeRemainingColumn(), TextColumn("left"), console=stderr_console)
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def checking(self, shown: str, size_bytes: int) -> None:
        """Tell that a file is read."""
        print_status(f"checking {shown} ({size_bytes:,} bytes)")

    def uploading(self, shown: str, size_bytes: int, uri: str) -> Callable[[int], None]:
        """Tell that a file is sent, and return what gets the number of bytes that were sent."""
        print_status(f"uploading {shown} to {uri}")
        if (progress := self._progress) is not None:
            from rich.markup import escape

            task = progress.add_task(escape(shown_line(shown)), total=size_bytes)
            return lambda count: progress.advance(task, count)
        return _PlainProgress(shown, size_bytes).advance

    def uploaded(self, shown: str, uri: str) -> None:
        """Tell that a file is complete."""
        print_status(f"uploaded {shown} to {uri}")

    def found(self, shown: str, uri: str) -> None:
        """Tell that a file was complete before."""
        print_status(f"{shown} is already at {uri}")


class _PlainProgress:
    """Prints a line for each PERCENT_PER_LINE of a file."""

    def __init__(self, shown: str, size_bytes: int) -> None:
        self._shown = shown
        self._size_bytes = size_bytes
        self._sent = 0
        self._started_at = time.monotonic()

    def advance(self, count: int) -> None:
        """Count further bytes."""
        before = self._percent()
        self._sent += count
        percent = self._percent()
        if percent // PERCENT_PER_LINE == before // PERCENT_PER_LINE or self._sent >= self._size_bytes:
            return
        rate = self._sent / max(time.monotonic() - self._started_at, 1e-3)
        left = (self._size_bytes - self._sent) / rate
        print_status(f"uploading {self._shown}: {percent}%, {rate / MIB:.1f} MiB/s, {left:.0f} s left")

    def _percent(self) -> int:
        return self._sent * 100 // self._size_bytes
