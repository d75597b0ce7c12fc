"""Parses the three manifest formats into raw rows: the line of each, its values and its syntax problems."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import yaml

from models.errors import InvalidManifest
from models.redaction import redact
from models.text_normalization import MAX_NORMALIZED_CHARACTERS, trim

MAX_ROWS = 100_000
SPLIT_HINT = "split it into several manifests"
MAX_DEPTH = 10
MAX_INT_BITS = 256
MAX_YAML_CHARACTERS = 32 * 1024 * 1024
"""Characters of all scalars, each counted as often as aliases repeat it: the limit of a file without aliases."""
MAX_NUMBER_CHARACTERS = 1000
"""A longer number in YAML is text: the time that PyYAML takes to parse one in base 60 (`1:30:00`) is quadratic."""
EXTRAS_COLUMN = "extras"
EXTRAS_COLUMN_PREFIX = "extras."
"""The prefix of a CSV column with one pair of extras, for example `extras.team`."""
REQUIRED_COLUMNS = ("name", "dataset_video", "consent_video")
_COLUMNS = (*REQUIRED_COLUMNS, EXTRAS_COLUMN, "reference")
_MIN_COLUMNS_TO_QUOTE = 2
"""Required columns that a file has at least if it is meant as a manifest: all, or all but a misspelt one."""
_CSV_HINT = (
    f"begin with a header line: {','.join(_COLUMNS[:3])}, and optionally reference, {EXTRAS_COLUMN_PREFIX}KEY"
)
# The loader of libyaml is ten times as fast, and most builds of PyYAML include it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER_TAGS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
# 12 E5 is a reference: only an exponent with a sign can follow a space. U+066B is the decimal separator in Arabic.
# A message of the YAML parser that quotes more than one character quotes the file: a tag, an anchor, a value.
# A match begins only at the first white space of several, so that a long run of them takes linear time.
_QUOTED_CONTENT = re.compile(r"""(?<!\s)\s*(['"]).{2,}\1""", re.DOTALL)
_SCIENTIFIC_NOTATION = re.compile(
    r"[+\-\u2212]?(?:\d+(?:[.,\u066b]\d*)?|[.,\u066b]\d+)(?:\s?E[+\-\u2212]|E)\d+", re.IGNORECASE
)
# A column that is too narrow, and the errors of a formula (ECMA-376, 18.17.3).
_PLACEHOLDER = re.compile(r"#{3,}|#(?:N/A|NULL!|DIV/0!|VALUE!|REF!|NAME\?|NUM!)", re.IGNORECASE)
Name = TypeVar("Name", bound=Hashable)


class RawRow(NamedTuple):
    """A row as it was written. `problems` lists its syntax problems as (column, rule)."""

    line: int
    values: Mapping[Any, Any]
    problems: list[tuple[str, str]]


def is_meant_as_manifest(columns: Iterable[object]) -> bool:
    """Whether errors may quote a file with these columns.

    Another file is perhaps not a manifest but has secrets, and everyone who can read the run can read its errors.
    """
    return len(set(REQUIRED_COLUMNS).intersection(columns)) >= _MIN_COLUMNS_TO_QUOTE


def read_csv(text: str) -> Iterator[RawRow]:
    """Parse values separated by commas, semicolons or tabs, under a header line with the columns in any order."""
    header_line = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t", key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            first_line, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = _validate_header([cell.strip() for cell in cells])
            else:
                yield _parse_csv_row(first_line, columns, cells)
    except csv.Error as error:
        raise InvalidManifest(
            f"the manifest is not valid CSV from line {line} on: {error}",
            hint=f"check line {line} for an unclosed quote",
        ) from None


def _validate_header(columns: list[str]) -> list[str]:
    is_quotable = is_meant_as_manifest(columns)
    shown = {c: repr(redact(c)) if is_quotable else f"number {n}" for n, c in enumerate(columns, 1)}
    problems = [f"{shown[c]} is not a column of a manifest" for c in columns if not _is_column(c)]
    problems += [f"the column {column!r} is missing" for column in REQUIRED_COLUMNS if column not in columns]
    problems += [f"the column {shown[column]} is repeated" for column in _duplicates(columns)]
    if problems:
        raise InvalidManifest(f"header line: {'; '.join(problems)}", hint=_CSV_HINT)
    return columns


def _is_column(name: str) -> bool:
    return name in _COLUMNS or (name.startswith(EXTRAS_COLUMN_PREFIX) and name != EXTRAS_COLUMN_PREFIX)


def _parse_csv_row(line: int, columns: list[str], cells: list[str]) -> RawRow:
    if len(cells) != len(columns):
        rule = f"has {len(cells)} cells, but the header line has {len(columns)}"
        return RawRow(line, {}, [("row", f"{rule}: put values that contain the separator in quotes")])
    values: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    pairs: dict[str, str] = {}
    for column, cell in zip(columns, cells, strict=True):
        if column.startswith(EXTRAS_COLUMN_PREFIX):
            if trim(cell):  # a spreadsheet writes a cell in each row; an empty one is not a pair
                pairs[column.removeprefix(EXTRAS_COLUMN_PREFIX)] = cell
        elif column == EXTRAS_COLUMN:
            values[EXTRAS_COLUMN] = _parse_json_object(cell, problems) if cell else {}
        elif cell or column in REQUIRED_COLUMNS:
            values[column] = cell
            if column == "reference" and (lost := _lost_value_rule(cell)):
                problems.append((column, f"{lost}; it is {trim(cell)!r}"))
    if repeated := sorted(pairs.keys() & values.get(EXTRAS_COLUMN, {}).keys()):
        problems.append((EXTRAS_COLUMN, f"repeats {', '.join(map(redact, repeated))}, which has its own column"))
    values[EXTRAS_COLUMN] = {**values.get(EXTRAS_COLUMN, {}), **pairs}
    return RawRow(line, values, problems)


def _lost_value_rule(cell: str) -> str | None:
    """Return the rule that a reference breaks because a spreadsheet wrote something else than its value."""
    if len(cell) > MAX_NORMALIZED_CHARACTERS:
        return None
    text = unicodedata.normalize("NFKC", trim(cell))
    if _SCIENTIFIC_NOTATION.fullmatch(text):
        # A spreadsheet displays long numbers so; several references end up as one.
        return "is a number in scientific notation, so its digits are lost: format the column as text"
    if _PLACEHOLDER.fullmatch(text):
        return "is what a spreadsheet shows in place of the value: widen the column, or correct the formula"
    return None


def _parse_json_object(cell: str, problems: list[tuple[str, str]]) -> dict[Any, Any]:
    repeated_keys: list[str] = []
    try:
        value = _parse_json(cell, repeated_keys.append)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        problems.append((EXTRAS_COLUMN, 'must be a JSON object, for example {"team": "berlin"}'))
        return {}
    problems += [(EXTRAS_COLUMN, f"repeats the key {key!r}") for key in repeated_keys]
    return value


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
            values = _parse_json(line, repeated_keys.append)
            problems = [(key, "is repeated") for key in repeated_keys]
        except ValueError as error:
            position = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            problems = [("row", f"is not valid JSON{position}: write one object per line")]
        if not isinstance(values, dict):
            values, problems = {}, [("row", "must be a JSON object with the columns as its keys")]
        yield RawRow(number, values, problems)


def _parse_json(text: str, on_repeated_key: Callable[[str], None]) -> object:
    """Parse JSON; raises ValueError. Repeated keys are reported: the json module silently keeps the last one."""

    def build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for key in _duplicates(key for key, _ in pairs):
            on_repeated_key(redact(key))
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=build_object)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _duplicates(names: Iterable[Name]) -> list[Name]:
    """Return the names that occur more than once, in order of their first occurrence."""
    return [name for name, count in Counter(names).items() if count > 1]


def read_yaml(text: str) -> Iterator[RawRow]:
    """Parse a list of mappings with the safe loader, which creates no Python objects."""
    loader = None
    try:
        _reject_costly_events(text)
        loader = _LOADER(text)
        root = loader.get_single_node()
        if root is None:
            return
        if not isinstance(root, yaml.SequenceNode):
            raise InvalidManifest("the manifest is not a list of rows", hint="begin each row with `- name: ...`")
        for node in root.value:
            yield _parse_yaml_row(loader, node)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        position = f" at line {mark.line + 1}" if mark else ""
        problem = _QUOTED_CONTENT.sub("", str(getattr(error, "problem", None) or "it cannot be parsed"))
        raise InvalidManifest(
            f"the manifest is not valid YAML{position}: {problem}", hint="check the indentation and the quotes"
        ) from None
    finally:
        if loader is not None:
            loader.dispose()


def _reject_costly_events(text: str) -> None:
    """Raise InvalidManifest if the nesting is too deep: the loader of libyaml would overflow its stack.

    Too many rows are rejected too, because each would take a kilobyte as nodes, and aliases that repeat too much.
    """
    depth = rows = 0
    characters = _CharacterCount()
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
                f"the manifest is nested deeper than {MAX_DEPTH} levels at line {line}",
                hint="use at most three levels: the list, a row and its extras",
            )
        characters.add(event)
        if characters.total > MAX_YAML_CHARACTERS:
            raise InvalidManifest(
                f"the manifest has more than {MAX_YAML_CHARACTERS:,} characters with what its aliases repeat",
                hint="shorten the values that `*` repeats, or split it into several manifests",
            )


class _CharacterCount:
    """Counts the characters of scalars. With aliases, a small file can stand for gigabytes."""

    def __init__(self) -> None:
        self.total = 0
        self._by_anchor: dict[str, int] = {}
        self._open: list[tuple[str | None, int]] = []

    def add(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.AliasEvent):
            self.total += self._by_anchor.get(event.anchor, 0)
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            self._open.append((event.anchor, self.total))
        if isinstance(event, yaml.ScalarEvent):
            self.total += len(event.value)
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionEndEvent):
            anchor, start = self._open.pop()
            if anchor is not None:
                self._by_anchor[anchor] = self.total - start


def _parse_yaml_row(loader: Any, node: yaml.Node) -> RawRow:
    line = node.start_mark.line + 1
    problems: list[tuple[str, str]] = []
    if not isinstance(node, yaml.MappingNode):
        return RawRow(line, {}, [("row", "must be a mapping with the columns as its keys")])
    values: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = _yaml_key(loader, key_node)
        if key in values:
            problems.append((redact(str(key)), "is repeated"))
        if isinstance(value_node, yaml.MappingNode):
            names = [_yaml_key(loader, name) for name, _ in value_node.value]
            problems += [(f"{redact(str(key))}.{redact(str(name))}", "is repeated") for name in _duplicates(names)]
            values[key] = {n: _yaml_scalar(loader, v) for n, (_, v) in zip(names, value_node.value, strict=True)}
        else:
            values[key] = _yaml_scalar(loader, value_node)
    return RawRow(line, values, problems)


def _yaml_key(loader: Any, node: yaml.Node) -> Any:
    return _yaml_scalar(loader, node) if isinstance(node, yaml.ScalarNode) else "?"


def _yaml_scalar(loader: Any, node: yaml.Node) -> Any:
    """Return a scalar value, as text if it does not match its tag; other nodes are returned as they are."""
    if not isinstance(node, yaml.ScalarNode):
        return node
    if node.tag in _NUMBER_TAGS and len(node.value) > MAX_NUMBER_CHARACTERS:
        return node.value
    try:
        value = loader.construct_object(node)
    # An invalid date, a value that does not match a tag like !!int or !!timestamp, or a float out of range.
    except (ValueError, LookupError, AttributeError, OverflowError):
        return node.value
    # Python parses hexadecimal integers of any length, but refuses to format very large ones in decimal.
    return node.value if isinstance(value, int) and value.bit_length() > MAX_INT_BITS else value


PARSERS: dict[str, Callable[[str], Iterator[RawRow]]] = {"csv": read_csv, "jsonl": read_jsonl, "yaml": read_yaml}
