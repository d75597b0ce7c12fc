"""Reads manifests of one JSON object per line, and the JSON objects of other formats."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

from models.manifest.rows import RawRow, find_duplicates
from models.text.redaction import redact


def read_jsonl(text: str) -> Iterator[RawRow]:
    """Parse one JSON object per line; empty lines are skipped."""
    # Not splitlines: it also splits at characters that a JSON string may contain.
    for number, line in enumerate(io.StringIO(text, newline="\n"), 1):
        if not line.strip():
            continue
        problems: list[tuple[str, str]] = []
        repeated_keys: list[str] = []
        values: object = {}
        try:
            values = parse_json(line, repeated_keys.append)
            problems = [(key, "is repeated") for key in repeated_keys]
        except ValueError as error:
            position = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            problems = [("row", f"is not valid JSON{position}: write one object per line")]
        if not isinstance(values, dict):
            values, problems = {}, [("row", "must be a JSON object with the columns as its keys")]
        yield RawRow(number, values, problems)


def parse_json(text: str, on_repeated_key: Callable[[str], None]) -> object:
    """Parse JSON; raises ValueError. Repeated keys are reported: the json module silently keeps the last one."""

    def build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for key in find_duplicates(key for key, _ in pairs):
            on_repeated_key(redact(key))
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=build_object)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
