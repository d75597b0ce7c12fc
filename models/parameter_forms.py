"""Changes the schema of parameters so that Prefect's form needs no choice of a type and shows plain text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NULL = {"type": "null"}


def with_plain_fields(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of all parameters with optional fields as fields of their type.

    For a field that may be null, the form asks for its type first. Without `null` and without the default, Prefect
    still accepts null (`_fix_null_typing` in prefect/utilities/schema_tools/validation.py), except for a choice:
    such a field becomes a text with a pattern. Descriptions lose their backticks, which the form shows as they are.

    Args:
        schema: JSON schema of an object, with definitions.
    """
    changed = {**schema, "properties": _plain_properties(schema.get("properties", {}))}
    if "definitions" in schema:
        changed["definitions"] = {
            name: {**definition, "properties": _plain_properties(definition["properties"])}
            if "properties" in definition
            else definition
            for name, definition in schema["definitions"].items()
        }
    return changed


def _plain_properties(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain_text(_plain_field(field)) for name, field in properties.items()}


def _plain_field(field: Mapping[str, Any]) -> Mapping[str, Any]:
    options = [option for option in field.get("anyOf", ()) if option != _NULL]
    is_optional = _NULL in field.get("anyOf", ()) and field.get("default", ...) is None
    if not is_optional or len(options) != 1 or "type" not in options[0]:
        return field
    plain = {**{key: value for key, value in field.items() if key not in {"anyOf", "default"}}, **options[0]}
    if "enum" in plain:
        plain["pattern"] = f"^({'|'.join(map(re.escape, plain.pop('enum')))})$"
    return plain


def _plain_text(field: Mapping[str, Any]) -> Mapping[str, Any]:
    description = field.get("description")
    return {**field, "description": description.replace("`", "")} if isinstance(description, str) else field
