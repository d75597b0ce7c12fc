"""Replaces a person's rows in artifacts that list several people: the tables of a batch, and the fleet report."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from models.privacy.data_subject import DataSubject
from models.privacy.erasure import ERASED_PLACEHOLDER
from models.reports.artifact_keys import AVATAR_KEY_PREFIX, is_key_of
from models.reports.fleet_report import ERASED_ITEM, is_item_of
from models.text.escaping import inert, markdown

_KEPT_COLUMNS = frozenset({"line", "status", "count"})
"""Columns that say nothing about a person."""
_FLEET_COLUMNS = 5
_FLEET_NAME = 1
"""Number of columns of the tables in a fleet report of an earlier version, and the position of the name."""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OUR_KEY_PREFIXES = (AVATAR_KEY_PREFIX, "batch-", "shared-recordings-")


def is_own_artifact(key: str | None, data: Any, subject: DataSubject) -> bool:
    """Return whether an artifact is the report on this provisioning, in any version."""
    if key is None or not is_key_of(key, subject.provisioning_id):
        return False
    # The text tells it from one whose id begins alike. An interrupted erasure left the placeholder.
    text = str(data)
    return key.endswith(subject.provisioning_id) or subject.provisioning_id in text or text == ERASED_PLACEHOLDER


def is_our_artifact(key: str | None) -> bool:
    """Return whether a flow of this project published an artifact, so that its rows may be replaced."""
    return key is not None and key.startswith(_OUR_KEY_PREFIXES)


def erase_in_artifact(data: Any, subject: DataSubject) -> Any:
    """Return the data of an artifact with the person's rows replaced; the same object if it has none.

    A row of another provisioning stays, also if its reasons name the same recording.

    Args:
        data: A table as a list of rows or as JSON, or markdown.
        subject: The person.
    """
    table = _parse_table(data)
    if table is not None:
        erased = [_erase_row(row, subject) for row in table]
        if erased == table:
            return data
        return json.dumps(erased) if isinstance(data, str) else erased
    if not isinstance(data, str):
        return data
    lines = [_erase_line(line, subject) for line in data.split("\n")]
    return "\n".join(_erase_items(lines, subject))


def is_mentioned_in_artifact(data: Any, subject: DataSubject) -> bool:
    """Return whether an artifact of another project has a row, an id or the URL of a recording of the person."""
    text = str(data).replace("\\", "")
    has_text = subject.has_url(text) or any(own_id in text for own_id in subject.own_ids)
    return has_text or erase_in_artifact(data, subject) != data


def has_namesake(data: Any, subject: DataSubject) -> bool:
    """Return whether the table of a batch has a row with an equal name and no id: it may be about another person.

    An invalid row has no provisioning, and its reference may be missing.
    """
    names = subject.as_shown(inert).names
    return any(
        isinstance(row, dict) and row.get("name") in names and not (row.get("provisioning") or row.get("reference"))
        for row in _parse_table(data) or []
    )


def _parse_table(data: Any) -> list[Any] | None:
    if isinstance(data, str) and data.lstrip().startswith("["):
        try:
            data = json.loads(data)
        except ValueError:
            return None
    return data if isinstance(data, list) else None


def _erase_row(row: Any, subject: DataSubject) -> Any:
    if not isinstance(row, dict) or not any(_is_own_row(row, form) for form in (subject, subject.as_shown(inert))):
        return row
    return {column: value if column in _KEPT_COLUMNS else ERASED_PLACEHOLDER for column, value in row.items()}


def _is_own_row(row: dict[Any, Any], subject: DataSubject) -> bool:
    # A reference may be any text, and Argil chooses the ids of avatars: they are compared with their columns only.
    if subject.is_key(row.get("reference")) or row.get("avatar") in subject.traces.avatar_ids:
        return True
    if row.get("provisioning") not in {None, "", subject.provisioning_id}:
        return False  # the reasons of another provisioning may name the same recording, or this provisioning
    texts = [value for value in row.values() if isinstance(value, str)]
    return any(text in subject.own_ids or subject.has_url(text) for text in texts)


def _erase_items(lines: Sequence[str], subject: DataSubject) -> Iterator[str]:
    """Yield the lines with each item of the fleet report's lists that is about this provisioning replaced.

    The first line of an item has the id of its provisioning and is not indented, as FLEET_ITEM in
    models/reports/fleet_report.py. Text from outside cannot have that form: its brackets and dashes are escaped.
    """
    is_own = False
    for line in lines:
        if not line.startswith("  "):
            is_own = is_item_of(line, subject.provisioning_id)
            yield ERASED_ITEM if is_own else line
        elif not is_own:
            yield line


def _erase_line(line: str, subject: DataSubject) -> str:
    # models/reports/markdown_reports.py escapes markup, also every | within a cell.
    cells = line.split(" | ")
    if len(cells) != _FLEET_COLUMNS:
        return line
    # The next step has the id of its provisioning, or none; then a name is all that a row has. The reasons of
    # another provisioning may name the same recording, or this provisioning.
    is_named = cells[_FLEET_NAME] in map(markdown, subject.names)
    if not (subject.provisioning_id in cells[-1] or (is_named and not _UUID.search(cells[-1]))):
        return line
    return " | ".join([cells[0], *([ERASED_PLACEHOLDER] * (len(cells) - 1))]) + " |"
