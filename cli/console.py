"""Console output: results go to stdout, status messages and logs to stderr.

Plain lines need no Rich, whose import takes a tenth of the CPU time of `avatars list`. Untrusted text is printed
with `print_line` or `print_status`, or in a table as the result of `shown` in cli/terminal.py.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, TextIO

from models.errors import AvatarsError, InvalidRequest
from models.text.escaping import json_document, short_line, spreadsheet_cell
from models.text.redaction import redact, redact_json

LOG_RECORD_MARKER = "avatars_run_log"
"""Attribute of the log records that services/run_log.py writes. Importing it from there would import Prefect."""

MAX_TERMINAL_CHARACTERS = 20_000
"""Of one line. The longest of our own name every avatar and run of a provisioning, for its erasure."""

_EXIT_BROKEN_PIPE = 1


def configure_streams() -> None:
    """Let stdout and stderr write each line at once, and any character.

    The output of `avatars up` is read while it runs. An encoding without a character must not end a command.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def has_styles(stream: TextIO) -> bool:
    """Return whether the stream is a terminal, or a variable that Rich reads asks for styles in files and pipes."""
    is_forced = bool(os.environ.get("FORCE_COLOR")) or os.environ.get("TTY_COMPATIBLE") == "1"
    return stream.isatty() or is_forced


def shown_line(text: str) -> str:
    """Return untrusted text without secrets, on one line, with escapes for control characters."""
    return short_line(redact(text), MAX_TERMINAL_CHARACTERS)


def print_status(text: str) -> None:
    """Print a status message to stderr."""
    _print(text, "dim", stderr=True)


def print_line(text: str, style: str = "") -> None:
    """Print one line of a result to stdout."""
    _print(text, style)


def print_json(document: object) -> None:
    """Print the JSON document of a command to stdout, with secrets redacted."""
    _write(sys.stdout, json_document(redact_json(document), ascii_only=True))


def print_csv(rows: Iterable[Sequence[str]]) -> None:
    """Print rows of CSV to stdout, with secrets redacted.

    It begins with a byte order mark if the output is UTF-8: Excel reads it as Windows-1252 otherwise.
    """
    import csv  # most commands print none

    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    for cells in rows:
        writer.writerow([spreadsheet_cell(redact(cell)) for cell in cells])
    is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    _write(sys.stdout, ("\ufeff" if is_utf8 else "") + buffer.getvalue())


def print_error(error: AvatarsError) -> None:
    """Print an expected error to stderr: its message, every problem of a request, and its hint."""
    if not isinstance(error, InvalidRequest) or len(error.problems) == 1:
        _print(error.message, stderr=True, label="error ")
    else:
        _print(f"{len(error.problems):,} problems:", stderr=True, label="error ")
        for field, problem in error.problems:
            _print(f"  - {field}: {problem}", stderr=True)
    if error.hint:
        _print(error.hint, "dim", stderr=True)


def print_script_line(text: str) -> None:
    """Print one line of a shell script, complete: in other output, secrets are replaced."""
    _write(sys.stdout, f"{text}\n")


def _print(text: str, style: str = "", *, stderr: bool = False, label: str = "") -> None:
    """Print one line of untrusted text after a label, which is bold and red on a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    if not has_styles(stream):
        _write(stream, f"{label}{shown_line(text)}\n")
        return
    from rich.text import Text

    from cli.terminal import shown, stderr_console, stdout_console

    line = Text.assemble((label, "bold red"), shown(text, style))
    (stderr_console if stderr else stdout_console).print(line, soft_wrap=True)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        _end_with_broken_pipe(stream)


def _end_with_broken_pipe(stream: TextIO) -> NoReturn:
    """End the command quietly, as Rich does, if the reader of its output has ended, for example `head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # the flush at exit would raise it again
    raise SystemExit(_EXIT_BROKEN_PIPE)


class _RunLogHandler(logging.Handler):
    """Prints the log records of services/run_log.py and drops Prefect's own."""

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, LOG_RECORD_MARKER, False):
            print_status(record.getMessage() if record.levelno < logging.WARNING else f"! {record.getMessage()}")


@contextmanager
def show_run_log(title: str) -> Iterator[None]:
    """Print the run log while the context is open, with a live status line on a terminal."""
    from prefect.logging.configuration import ensure_logging_setup

    from cli.terminal import shown, stderr_console

    ensure_logging_setup()  # if Prefect called it later, it would remove the handler
    handler = _RunLogHandler(level=logging.INFO)
    loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        if stderr_console.is_terminal:
            with stderr_console.status(shown(title)):
                yield
        else:
            yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
