"""Reads JSON bodies of Argil's host: any encoding, and only values that a database can store."""

from __future__ import annotations

import json
import math
from typing import Any

from models.argil.json_array import parse_array

MAX_DEPTH = 32
"""Deeper values are dropped. Argil's documented responses have at most four levels."""
MAX_INTEGER_CHARACTERS = 308
"""A longer integer is read as null: as a float it is infinite, and int() refuses one of more than 4,300 digits."""


def parse_json_or_none(body: bytes | bytearray, *, unique_keys: bool = False, keep_array: bool = False) -> object:
    """Return the decoded JSON body, None if it is not valid JSON.

    The body may be UTF-8, UTF-16 or UTF-32, with or without a byte order mark. Any other encoding is read as
    Latin-1, which preserves ids and keys. Numbers that are not finite are read as null, because JSON has none.

    Args:
        body: The body as received.
        unique_keys: Whether an object with a repeated key is invalid. The check is too slow for a list of
            thousands.
        keep_array: Whether an array stays text, as a JsonArray.
    """
    decoder = _UNIQUE_KEYS if unique_keys else _ANY_KEYS
    try:
        text = _decode(body)
        array = parse_array(text, decoder) if keep_array else None
        return decoder.decode(text) if array is None else array
    except (ValueError, RecursionError):  # RecursionError: the body is nested too deeply
        return None


def limit_depth(value: Any, levels: int = MAX_DEPTH) -> Any:
    """Return the value with null in place of arrays and objects below `levels`, so that it can be stored."""
    if not isinstance(value, dict | list):
        return value
    if levels == 0:
        return None
    if isinstance(value, list):
        return [limit_depth(item, levels - 1) for item in value]
    return {key: limit_depth(item, levels - 1) for key, item in value.items()}


def _decode(body: bytes | bytearray) -> str:
    try:
        return body.decode(json.detect_encoding(body), "surrogatepass")
    except UnicodeDecodeError:
        return body.decode("latin-1")


def _finite_or_none(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _short_or_none(text: str) -> int | None:
    return int(text) if len(text) <= MAX_INTEGER_CHARACTERS else None


def _object_with_unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("an object has a key twice")
    return fields


_ANY_KEYS, _UNIQUE_KEYS = (
    json.JSONDecoder(
        parse_constant=lambda _: None,
        parse_float=_finite_or_none,
        parse_int=_short_or_none,
        object_pairs_hook=hook,
    )
    for hook in (None, _object_with_unique_keys)
)
