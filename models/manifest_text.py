"""Reads the three formats of a manifest into raw rows: where each begins, its values, and what breaks its form."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import yaml

from models.errors import InvalidManifest
from models.redaction import redact

MAX_ROWS = 100_000
SPLIT_HINT = "split it: each part is a batch of its own"
MAX_DEPTH = 10
MAX_BITS = 256
EXTRAS = "extras"
PAIR = "extras."
"""Begins the name of a CSV column with one pair of extras: `extras.team`."""
_REQUIRED = ("name", "dataset_video", "consent_video")
_PLAIN = (*_REQUIRED, EXTRAS, "reference")
_CSV_HINT = f"begin with a line of column names: {','.join(_PLAIN[:3])}, and if needed reference, {PAIR}KEY"
# libyaml's is ten times as fast, and comes with most builds of PyYAML.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Name = TypeVar("Name", bound=Hashable)


class RawRow(NamedTuple):
    """A row as it was written. `problems` lists what breaks its form, as (column, rule)."""

    line: int
    values: Mapping[Any, Any]
    problems: list[tuple[str, str]]


def read_csv(text: str) -> Iterator[RawRow]:
    """Read comma, semicolon or tab separated values under a line of column names, which may stand in any order."""
    header_line = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t", key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            begins, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = _header([cell.strip() for cell in cells])
            else:
                yield _csv_row(begins, columns, cells)
    except csv.Error as error:
        raise InvalidManifest(
            f"the manifest is no CSV from line {line} on: {error}", hint="look for a quote that is not closed there"
        ) from None


def _header(columns: list[str]) -> list[str]:
    unknown = [c for c in columns if c not in _PLAIN and not (c.startswith(PAIR) and len(c) > len(PAIR))]
    problems = [f"{redact(column)!r} is no column of a manifest" for column in unknown]
    problems += [f"the column {column!r} is missing" for column in _REQUIRED if column not in columns]
    problems += [f"the column {redact(column)!r} stands there twice" for column in _twice(columns)]
    if problems:
        raise InvalidManifest(f"line of column names: {'; '.join(problems)}", hint=_CSV_HINT)
    return columns


def _csv_row(line: int, columns: list[str], cells: list[str]) -> RawRow:
    if len(cells) != len(columns):
        rule = f"has {len(cells)} cells, and the line of column names {len(columns)}"
        return RawRow(line, {}, [("row", f"{rule}: put values that hold the separator in quotes")])
    values: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    pairs: dict[str, str] = {}
    for column, cell in zip(columns, cells, strict=True):
        if column.startswith(PAIR):
            if cell:  # a spreadsheet has a cell in each row; an empty one is no pair
                pairs[column.removeprefix(PAIR)] = cell
        elif column == EXTRAS:
            values[EXTRAS] = _object(cell, problems) if cell else {}
        elif cell or column in _REQUIRED:
            values[column] = cell
    if twice := sorted(pairs.keys() & values.get(EXTRAS, {}).keys()):
        problems.append((EXTRAS, f"has {', '.join(map(redact, twice))} in a column of its own as well"))
    values[EXTRAS] = {**values.get(EXTRAS, {}), **pairs}
    return RawRow(line, values, problems)


def _object(cell: str, problems: list[tuple[str, str]]) -> dict[Any, Any]:
    twice: list[str] = []
    try:
        found = _json(cell, twice.append)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        problems.append((EXTRAS, 'must be a JSON object, as {"team": "berlin"}'))
        return {}
    problems += [(EXTRAS, f"has the key {key!r} twice") for key in twice]
    return found


def read_jsonl(text: str) -> Iterator[RawRow]:
    """Read one JSON object a line; empty lines are left out."""
    # Not splitlines: it breaks at characters that may stand inside a JSON text.
    for number, line in enumerate(io.StringIO(text, newline="\n"), 1):
        if not line.strip():
            continue
        problems: list[tuple[str, str]] = []
        twice: list[str] = []
        values: object = {}
        try:
            values = _json(line, twice.append)
            problems = [(key, "stands there twice") for key in twice]
        except ValueError as error:
            at = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            problems = [("row", f"is no JSON{at}: write one object a line")]
        if not isinstance(values, dict):
            values, problems = {}, [("row", "must be a JSON object with the columns as its keys")]
        yield RawRow(number, values, problems)


def _json(text: str, on_twice: Callable[[str], None]) -> object:
    """Read JSON; raises ValueError. Python would take the last of two equal keys without a word."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        for key in _twice(key for key, _ in found):
            on_twice(redact(key))
        return dict(found)

    try:
        return json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError("it nests too deep") from None


def _twice(names: Iterable[Name]) -> list[Name]:
    """Return the names that stand there more than once, in their order."""
    return [name for name, count in Counter(names).items() if count > 1]


def read_yaml(text: str) -> Iterator[RawRow]:
    """Read a list of mappings. Nothing in it can name a Python object."""
    loader = None
    try:
        _refuse_deep(text)
        loader = _LOADER(text)
        root = loader.get_single_node()
        if root is None:
            return
        if not isinstance(root, yaml.SequenceNode):
            raise InvalidManifest("the manifest is no list of rows", hint="begin each row with `- name: ...`")
        for node in root.value:
            yield _yaml_row(loader, node)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        problem = redact(str(getattr(error, "problem", None) or "it cannot be read"))
        raise InvalidManifest(
            f"the manifest is no YAML{where}: {problem}", hint="look at the indents and quotes there"
        ) from None
    finally:
        if loader is not None:
            loader.dispose()


def _refuse_deep(text: str) -> None:
    """Raise InvalidManifest for what nests deeper than any row: libyaml's loader would overrun its stack.

    And for more rows than a manifest may have, each of which would take a kilobyte as nodes.
    """
    depth = rows = 0
    for event in yaml.parse(text, Loader=_LOADER):
        rows += depth == 1 and isinstance(event, yaml.NodeEvent)
        if rows > MAX_ROWS:
            raise InvalidManifest(f"the manifest has more than {MAX_ROWS:,} rows", hint=SPLIT_HINT)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1
            raise InvalidManifest(
                f"the manifest nests deeper than {MAX_DEPTH} levels at line {line}", hint="a row needs three"
            )


def _yaml_row(loader: Any, node: yaml.Node) -> RawRow:
    line = node.start_mark.line + 1
    problems: list[tuple[str, str]] = []
    if not isinstance(node, yaml.MappingNode):
        return RawRow(line, {}, [("row", "must be a mapping with the columns as its keys")])
    values: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = _key(loader, key_node)
        if key in values:
            problems.append((redact(str(key)), "stands there twice"))
        if isinstance(value_node, yaml.MappingNode):
            names = [_key(loader, name) for name, _ in value_node.value]
            problems += [
                (f"{redact(str(key))}.{redact(str(name))}", "stands there twice") for name in _twice(names)
            ]
            values[key] = {n: _scalar(loader, v) for n, (_, v) in zip(names, value_node.value, strict=True)}
        else:
            values[key] = _scalar(loader, value_node)
    return RawRow(line, values, problems)


def _key(loader: Any, node: yaml.Node) -> Any:
    return _scalar(loader, node) if isinstance(node, yaml.ScalarNode) else "?"


def _scalar(loader: Any, node: yaml.Node) -> Any:
    """Return a single value, as text where it is not what it says it is; what is none stays a node."""
    if not isinstance(node, yaml.ScalarNode):
        return node
    try:
        value = loader.construct_object(node)
    # A date that no calendar has; what a tag like !!int or !!timestamp does not fit; a float past all floats.
    except (ValueError, LookupError, AttributeError, OverflowError):
        return node.value
    # Python reads hexadecimal numbers of any length, and refuses to write them.
    return node.value if isinstance(value, int) and value.bit_length() > MAX_BITS else value


READERS: dict[str, Callable[[str], Iterator[RawRow]]] = {"csv": read_csv, "jsonl": read_jsonl, "yaml": read_yaml}
