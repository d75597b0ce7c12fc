"""Console output: results go to stdout, status messages and logs to stderr.

Untrusted text is printed with `print_line` or `print_status`, or as the result of `shown`, never in Rich's markup.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.text import Text

from models.errors import AvatarsError, InvalidRequest
from models.escaping import json_document, short_line, visible_lines
from models.redaction import redact, redact_json

LOG_RECORD_MARKER = "avatars_run_log"
"""Attribute of the log records that services/run_log.py writes. Importing it from there would import Prefect."""

NON_TTY_WIDTH = 150
"""Columns of the output if it is not a terminal."""


MAX_TERMINAL_CHARACTERS = 20_000
"""Of one line. The longest of our own name every avatar and run of a provisioning, for its erasure."""


def shown(text: str, style: str = "") -> Text:
    """Return untrusted text for a terminal: without secrets, on one line, with escapes for control characters."""
    return Text(short_line(redact(text), MAX_TERMINAL_CHARACTERS), style)


def shown_lines(texts: Iterable[str]) -> Text:
    """Return several untrusted texts, each on a line of its own."""
    return Text("\n").join(map(shown, texts))


class _RedactedConsole(Console):
    """Redacts secrets in all output, table cells included: Rich renders every string with `render_str`.

    It also escapes control characters, except for line feeds, if a caller did not.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the rendered text, or plain text if it contained a secret or a control character."""
        rendered = super().render_str(text, **options)
        shown = visible_lines(redact(rendered.plain))
        return rendered if shown == rendered.plain else Text(shown)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        # The output of `avatars up` is read while it runs. An encoding without a character must not end a command.
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    # Without `emoji`, Rich replaces a name like :bomb: with a picture.
    width = None if stream.isatty() else NON_TTY_WIDTH
    return _RedactedConsole(stderr=stderr, highlight=False, emoji=False, width=width)


stderr_console = _console(stderr=True)
stdout_console = _console(stderr=False)


def print_status(text: str) -> None:
    """Print a status message to stderr."""
    stderr_console.print(shown(text), style="dim", soft_wrap=True)


def print_line(text: str, style: str = "") -> None:
    """Print one line of a result to stdout."""
    stdout_console.print(shown(text, style), soft_wrap=True)


def print_json(document: object) -> None:
    """Print the JSON document of a command to stdout, with secrets redacted."""
    sys.stdout.write(json_document(redact_json(document), ascii_only=True))


class _RunLogHandler(logging.Handler):
    """Prints the log records of services/run_log.py and drops Prefect's own."""

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, LOG_RECORD_MARKER, False):
            print_status(record.getMessage() if record.levelno < logging.WARNING else f"! {record.getMessage()}")


@contextmanager
def show_run_log(title: str) -> Iterator[None]:
    """Print the run log while the context is open, with a live status line on a terminal."""
    from prefect.logging.configuration import ensure_logging_setup

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


def print_error(error: AvatarsError) -> None:
    """Print an expected error to stderr: its message, every problem of a request, and its hint."""
    stderr_console.print(Text.assemble(("error", "bold red"), " ", shown(error.message)), soft_wrap=True)
    if isinstance(error, InvalidRequest) and len(error.problems) > 1:
        for field, problem in error.problems:
            stderr_console.print(shown(f"  - {field}: {problem}"), soft_wrap=True)
    if error.hint:
        stderr_console.print(shown(error.hint, "dim"), soft_wrap=True)
