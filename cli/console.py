"""Console output: results go to stdout, status messages and logs to stderr."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from models.redaction import redact, redact_json

LOG_RECORD_MARKER = "avatars_run_log"
"""Attribute of the log records that services/run_log.py writes. Importing it from there would import Prefect."""

NON_TTY_WIDTH = 150
"""Columns of the output if it is not a terminal."""


class _RedactedConsole(Console):
    """Redacts secrets in all output, table cells included: Rich renders every string with `render_str`."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the rendered text, or plain redacted text if it contains a secret."""
        rendered = super().render_str(text, **options)
        redacted = redact(rendered.plain)
        return rendered if redacted == rendered.plain else Text(redacted)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(line_buffering=True)  # the output of `avatars up` is read while it runs
    return _RedactedConsole(stderr=stderr, highlight=False, width=None if stream.isatty() else NON_TTY_WIDTH)


stderr_console = _console(stderr=True)
stdout_console = _console(stderr=False)


def print_status(text: str) -> None:
    """Print a status message to stderr."""
    stderr_console.print(escape(text), style="dim", soft_wrap=True)


def print_json(document: object) -> None:
    """Print the JSON document of a command to stdout, with secrets redacted."""
    sys.stdout.write(json.dumps(redact_json(document), indent=2) + "\n")


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
            with stderr_console.status(escape(title)):
                yield
        else:
            yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
