"""Redacts secrets from all output of a process and makes it visible: log records, warnings and tracebacks.

A log record stays on one line, and no control character in it reaches a terminal.

Does not import Prefect: every process of this project calls it, also those that do not run flows.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from types import TracebackType
from typing import Any

from models.text.escaping import visible, visible_lines
from models.text.redaction import redact, redact_json, redact_report

ACCESS_LOGGER_NAME = "uvicorn.access"
"""Its formatter unpacks the arguments of a record itself."""
MAX_LOG_CHARACTERS = 100_000
"""A longer log message is cut: it quotes a body or a file. Prefect's API rejects more than 1,000,000 bytes."""
MAX_TRACEBACK_CHARACTERS = 200_000
_original_formatwarning = warnings.formatwarning


def install_redaction() -> None:
    """Redact every log record, warning and traceback of this process from now on; calling it again has no effect.

    Log records are redacted when they are created, so no logger, handler or formatter receives the secret.
    """
    logging.setLogRecordFactory(RedactedLogRecord)
    warnings.formatwarning = _format_warning
    sys.excepthook = _redacted_excepthook
    threading.excepthook = lambda args: _redacted_excepthook(args.exc_type, args.exc_value, args.exc_traceback)
    sys.unraisablehook = lambda args: _redacted_excepthook(args.exc_type, args.exc_value, args.exc_traceback)


class RedactedLogRecord(logging.LogRecord):
    """A log record without secrets: the message is rendered and redacted, an exception is replaced by its text."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.name == ACCESS_LOGGER_NAME and isinstance(self.args, tuple):
            arguments = (redact_json(argument) for argument in self.args)
            self.args = tuple(visible(value) if isinstance(value, str) else value for value in arguments)
        else:
            # The message that announces an exception often quotes it.
            error = self.exc_info[1] if self.exc_info else None
            message = self._rendered_message()
            message = (
                redact(message, max_characters=MAX_LOG_CHARACTERS)
                if error is None
                else redact_report(message, error, max_characters=MAX_LOG_CHARACTERS)
            )
            # Some libraries end a message with a line feed.
            self.msg, self.args = visible(message.rstrip("\n")), ()
        if self.exc_info and self.exc_info[1] is not None:
            self.exc_text = format_redacted_traceback(self.exc_info[1])
            self.exc_info = None

    def _rendered_message(self) -> str:
        try:
            return self.getMessage()
        except Exception:  # noqa: BLE001  # if the arguments do not match the message, logging would print both unredacted
            return f"{self.msg} {self.args}"


def format_redacted_traceback(error: BaseException) -> str:
    """Return the traceback of an exception as Python prints it, without secrets."""
    text = "".join(traceback.format_exception(error))
    return visible_lines(redact_report(text, error, max_characters=MAX_TRACEBACK_CHARACTERS).rstrip("\n"))


def _redacted_excepthook(
    kind: type[BaseException], error: BaseException | None, _trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    sys.stderr.write(f"{format_redacted_traceback(error) if error is not None else kind.__name__}\n")


def _format_warning(*args: Any, **options: Any) -> str:
    return visible_lines(redact(_original_formatwarning(*args, **options)))
