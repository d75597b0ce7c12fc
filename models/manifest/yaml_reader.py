"""Reads YAML manifests with the safe loader, within limits on depth, rows and what aliases repeat."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from models.errors import InvalidManifest
from models.manifest.rows import MAX_ROWS, SPLIT_HINT, RawRow, find_duplicates
from models.text.redaction import redact

MAX_DEPTH = 10
MAX_INT_BITS = 256
MAX_YAML_CHARACTERS = 32 * 1024 * 1024
"""Characters of all scalars, each counted as often as aliases repeat it: the limit of a file without aliases."""
MAX_NUMBER_CHARACTERS = 1000
"""A longer number in YAML is text: the time that PyYAML takes to parse one in base 60 (`1:30:00`) is quadratic."""
# The loader of libyaml is ten times as fast, and most builds of PyYAML include it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNREAD_LIST = ["..."]
"""Stands for a list or mapping where none is allowed: with aliases, its content could take gigabytes."""
_NUMBER_TAGS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
# A message of the YAML parser that quotes more than one character quotes the file: a tag, an anchor, a value.
# A match begins only at the first white space of several, so that a long run of them takes linear time.
_QUOTED_CONTENT = re.compile(r"""(?<!\s)\s*(['"]).{2,}\1""", re.DOTALL)


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
            problems += [
                (f"{redact(str(key))}.{redact(str(name))}", "is repeated") for name in find_duplicates(names)
            ]
            values[key] = {n: _yaml_scalar(loader, v) for n, (_, v) in zip(names, value_node.value, strict=True)}
        else:
            values[key] = _yaml_scalar(loader, value_node)
    return RawRow(line, values, problems)


def _yaml_key(loader: Any, node: yaml.Node) -> Any:
    return _yaml_scalar(loader, node) if isinstance(node, yaml.ScalarNode) else "?"


def _yaml_scalar(loader: Any, node: yaml.Node) -> Any:
    """Return a scalar value, as text if it does not match its tag, and a list of unread items for other nodes."""
    if not isinstance(node, yaml.ScalarNode):
        return _UNREAD_LIST
    if node.tag in _NUMBER_TAGS and len(node.value) > MAX_NUMBER_CHARACTERS:
        return node.value
    try:
        value = loader.construct_object(node)
    # An invalid date, a value that does not match a tag like !!int or !!timestamp, or a float out of range.
    except (ValueError, LookupError, AttributeError, OverflowError):
        return node.value
    # Python parses hexadecimal integers of any length, but refuses to format very large ones in decimal.
    return node.value if isinstance(value, int) and value.bit_length() > MAX_INT_BITS else value
