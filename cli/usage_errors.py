"""The errors of the command line's parser in our words: what is wrong, with which value, and where the help is."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from enum import Enum
from typing import TYPE_CHECKING

from cyclopts import CoercionError, CycloptsError, MissingArgumentError, UnusedCliTokensError

from models.errors import InvalidArguments

if TYPE_CHECKING:
    from cyclopts.argument import Argument

_KINDS = {int: "a whole number", float: "a number", bool: "true or false"}


def usage_error(error: CycloptsError, args: Sequence[str]) -> InvalidArguments:
    """Return the error of a command line that cannot be parsed.

    Args:
        error: The error of cyclopts.
        args: What follows `avatars`.
    """
    command = " ".join(error.command_chain or args[:1])
    hint = f"{_advice(error, args)}`avatars {command} --help` explains the command"
    return InvalidArguments(_message(error), hint=hint)


def _message(error: CycloptsError) -> str:
    argument = error.argument
    match error:
        case MissingArgumentError() if argument is not None:
            choices = f"; it is one of {', '.join(names)}" if (names := _choices(argument.hint)) else ""
            return f"{argument.name} {'needs a value' if error.keyword else 'is required'}{choices}"
        case UnusedCliTokensError() if error.unused_tokens:
            noun = "argument" if len(error.unused_tokens) == 1 else "arguments"
            return f"unexpected {noun} {', '.join(map(repr, error.unused_tokens))}"
        case CoercionError() if argument is not None and error.token is not None and error.target_type in _KINDS:
            return f"{argument.name}: must be {_KINDS[error.target_type]}; it is {error.token.value!r}"
        case CoercionError() if argument is not None and error.token is not None:
            if names := _choices(error.target_type):
                return f"{argument.name}: must be one of {', '.join(names)}; it is {error.token.value!r}"
    return str(error)


def _choices(hint: object) -> list[str]:
    return [str(member.value) for member in hint] if isinstance(hint, type) and issubclass(hint, Enum) else []


def _advice(error: CycloptsError, args: Sequence[str]) -> str:
    """Return which option was meant, or how to give several values if one text has them."""
    argument: Argument | None = error.argument
    if isinstance(error, MissingArgumentError) and argument is not None and argument.name not in args:
        options = [arg.partition("=")[0] for arg in args if arg.startswith("--")]
        typed = get_close_matches(argument.name, options, n=1, cutoff=0.8)
        return f"did you mean `{argument.name}` instead of `{typed[0]}`? " if typed else ""
    if not isinstance(error, CoercionError) or argument is None or error.token is None:
        return ""
    known = {name.lower() for name in _choices(error.target_type)}
    values = [value.strip() for value in error.token.value.split(",")]
    if len(values) == 1 or not known.issuperset(value.lower().replace("-", "_") for value in values):
        return ""
    return f"repeat the option: `{' '.join(f'{argument.name} {value}' for value in values)}`; "
