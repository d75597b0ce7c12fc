"""Checks that a JSON document can be stored and serialized again by every component that will read it.

Python's parser accepts more than JSON. A lone surrogate, for example, is stored by Prefect's server, but no later
response can contain it: the document then fails every read of its row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 100
"""Levels of arrays and objects. pydantic serializes at most 255 and Prefect adds some of its own."""
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1
"""The integers that orjson, which Prefect's clients use, can serialize."""
PREFECT_KIND, JSON_KIND = "__prefect_kind", "json"
"""An object with this kind has JSON text as its `value`, which Prefect's server replaces with the parsed text
(prefect/utilities/schema_tools/hydration.py)."""


class NotJson(ValueError):
    """The text is not JSON."""


def check_storable_json(document: bytes | str) -> Any:
    """Return the decoded document, or raise ValueError with the rule that it breaks.

    A document must be JSON in UTF-8. Its strings and keys contain neither NUL, which PostgreSQL rejects, nor lone
    surrogates. Its numbers are finite, and its integers fit into 64 bits. It has at most MAX_DEPTH levels.
    """
    try:
        text = document if isinstance(document, str) else document.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it must be JSON in UTF-8") from None
    decoded = _parse(text)
    level = [decoded]
    for _ in range(MAX_DEPTH + 1):  # scalars are on a level of their own
        level = [child for value in level for child in _checked_children(value)]
        if not level:
            return decoded
    raise ValueError(f"it has more than {MAX_DEPTH} levels of arrays and objects")


def dump_storable_json(value: Any) -> str:
    """Return the value as JSON; raise ValueError if `check_storable_json` refuses it."""
    document = json.dumps(value)
    check_storable_json(document)
    return document


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(f"it has more than {MAX_DEPTH} levels of arrays and objects") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"it is not valid JSON: {error.msg} at character {error.pos}") from None
    except ValueError:  # Python's limit on the digits of an integer
        raise ValueError("it has an integer of more than 64 bits") from None


def _checked_children(value: Any) -> Iterator[Any]:
    """Check a value apart from its items, and yield these."""
    if isinstance(value, str):
        _check_string(value)
    elif isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        for key in value:
            _check_string(key)
        yield from value.values()
        yield from _hydrated_values(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it has a number that is not finite, such as NaN, Infinity or 1e999")
    elif isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER:
        raise ValueError("it has an integer of more than 64 bits")


def _check_string(text: str) -> None:
    if "\0" in text:
        raise ValueError("it has a string with the NUL character \\u0000")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it has a string with half of a surrogate pair, such as \\ud800") from None


def _hydrated_values(fields: dict[str, Any]) -> Iterator[Any]:
    """Yield the value that Prefect's server would make of a placeholder for JSON text.

    Placeholders can be nested. The text can therefore be the `value` of the `value`, or a string in JSON that is
    parsed once more.
    """
    if fields.get(PREFECT_KIND) != JSON_KIND:
        return
    value = fields.get("value")
    while isinstance(value, dict) and value.get(PREFECT_KIND) != JSON_KIND:  # one for JSON text is checked itself
        value = value.get("value")
    while isinstance(value, str):
        try:
            value = _parse(value)
        except NotJson:
            return  # Prefect names the error and stores nothing
        yield value
