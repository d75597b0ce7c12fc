"""The messages of pydantic that reach people, in the words of our own rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_TEXTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is required",
    "extra_forbidden": lambda _: "is not a field of this request",
    "string_type": lambda _: "must be text",
    "string_too_short": lambda context: _too_short(context["min_length"]),
    "string_too_long": lambda context: f"must have at most {context['max_length']:,} characters",
    "dict_type": lambda _: "must be pairs of a key and a text",
    "too_long": lambda context: f"must have at most {context['max_length']:,} entries",
    "model_type": lambda _: "must be a request with named fields",
}
"""By the type of the error: the rule, from the values that pydantic gives."""
EMPTY = "is empty"


def _too_short(min_length: int) -> str:
    return EMPTY if min_length == 1 else f"must have at least {min_length:,} characters"


def rule_text(problem: Mapping[str, Any]) -> str:
    """Return what an error of pydantic says, from one entry of `ValidationError.errors`."""
    text = _TEXTS.get(problem["type"])
    if text is not None:
        return text(problem.get("ctx", {}))
    return str(problem["msg"]).removeprefix("Value error, ")
