"""Keeps secrets out of the messages of Prefect's states: no logging filter sees them."""

from __future__ import annotations

from types import TracebackType

from prefect import states

from models.redaction import redact

_format_exception = states.format_exception


def redact_states() -> None:
    """Redact what a state tells of an exception, whether a task, a flow, its parameters or the engine raised it."""
    # The one function by which Prefect makes a message of an exception; tests/test_secrets.py would notice another.
    states.format_exception = _redacted  # type: ignore[assignment]  # its default None is not in its type


def _redacted(error: BaseException, trace: TracebackType | None = None) -> str:
    return redact(_format_exception(error, trace))  # type: ignore[arg-type]  # as above
