"""Keeps secrets out of whatever this process logs, warns of or dies with, whoever's code says it.

Knows no Prefect: every process of ours calls it, Prefect's server too.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from types import TracebackType
from typing import Any

from models.redaction import redact, redact_json

ACCESS_LOG = "uvicorn.access"
"""Its formatter takes the arguments apart by itself."""
_formatted_warning = warnings.formatwarning


def redact_output() -> None:
    """Redact every log record, warning and traceback of this process from now on; again changes nothing.

    Log records at their making, so that no logger, handler or formatter, of whatever library, has more to tell.
    """
    logging.setLogRecordFactory(RedactedRecord)
    warnings.formatwarning = _format_warning
    sys.excepthook = _print_uncaught
    threading.excepthook = lambda args: _print_uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    sys.unraisablehook = lambda args: _print_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


class RedactedRecord(logging.LogRecord):
    """A log record that holds no secret: neither its message, nor arguments, nor more of an exception than text."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.name == ACCESS_LOG and isinstance(self.args, tuple):
            self.args = tuple(redact_json(one) for one in self.args)
        else:
            self.msg, self.args = redact(self._told()), ()
        if self.exc_info and self.exc_info[1] is not None:
            self.exc_text = redacted_traceback(self.exc_info[1])
            self.exc_info = None

    def _told(self) -> str:
        try:
            return self.getMessage()
        except Exception:  # noqa: BLE001  # logging would print a message and arguments that do not fit as they are
            return f"{self.msg} {self.args}"


def redacted_traceback(error: BaseException) -> str:
    """Return an exception's traceback as Python would print it, without secrets."""
    return redact("".join(traceback.format_exception(error))).rstrip("\n")


def _print_uncaught(kind: type[BaseException], error: BaseException | None, _trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    sys.stderr.write(f"{redacted_traceback(error) if error is not None else kind.__name__}\n")


def _format_warning(*args: Any, **options: Any) -> str:
    return redact(_formatted_warning(*args, **options))
