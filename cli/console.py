"""Where the command line writes: documents to stdout, everything for people around them to stderr."""

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

NARRATION_MARK = "avatars_narration"

PIPE_WIDTH = 150
"""Columns where there is no terminal to ask: a log or a file can be wide."""


class _RedactedConsole(Console):
    """Prints no secret, in no cell of any table: rich makes every text that it prints by `render_str`."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the text as rich renders it, and where a secret is in it, redacted and plain."""
        rendered = super().render_str(text, **options)
        redacted = redact(rendered.plain)
        return rendered if redacted == rendered.plain else Text(redacted)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(line_buffering=True)  # what `avatars up` prints is read while it runs
    return _RedactedConsole(stderr=stderr, highlight=False, width=None if stream.isatty() else PIPE_WIDTH)


progress = _console(stderr=True)
result = _console(stderr=False)


def say(text: str) -> None:
    """Tell a person something on stderr."""
    progress.print(escape(text), style="dim", soft_wrap=True)


def print_json(document: object) -> None:
    """Print the one JSON document of a command."""
    sys.stdout.write(json.dumps(redact_json(document), indent=2) + "\n")


class _Narration(logging.Handler):
    """Passes on what our own code tells of a run, and not what Prefect says around it."""

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, NARRATION_MARK, False):
            say(record.getMessage() if record.levelno < logging.WARNING else f"! {record.getMessage()}")


@contextmanager
def narrated(title: str) -> Iterator[None]:
    """Show what runs do while the context is open: a live line on a terminal, plain lines otherwise."""
    from prefect.logging.configuration import ensure_logging_setup

    ensure_logging_setup()  # it would take our handler away, were it done later
    handler = _Narration(level=logging.INFO)
    loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        if progress.is_terminal:
            with progress.status(escape(title)):
                yield
        else:
            yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
