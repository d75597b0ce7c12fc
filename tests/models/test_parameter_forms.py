"""The schema of parameters in Prefect's form: each optional field is one field of its type."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.utilities.schema_tools.validation import is_valid, validate

from models.parameter_forms import with_plain_fields

NULL = {"type": "null"}


def plain(field: dict[str, Any]) -> dict[str, Any]:
    schema = with_plain_fields({"type": "object", "properties": {"field": field}})
    changed: dict[str, Any] = schema["properties"]["field"]
    return changed


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (
            {"anyOf": [{"type": "string", "minLength": 1}, NULL], "default": None, "title": "Reference"},
            {"type": "string", "minLength": 1, "title": "Reference"},
        ),
        (
            {"anyOf": [{"type": "string", "enum": ["csv", "a.b"]}, NULL], "default": None},
            {"type": "string", "pattern": r"^(csv|a\.b)$"},
        ),
        ({"type": "string", "enum": ["block", "none"], "default": "block"}, None),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}], "default": None}, None),
        ({"anyOf": [{"type": "string"}, NULL], "default": "x"}, None),
    ],
)
def test_optional_field_has_one_type(field: dict[str, Any], expected: dict[str, Any] | None) -> None:
    assert plain(field) == (field if expected is None else expected)


@pytest.mark.parametrize(("value", "is_accepted"), [("csv", True), (None, True), ("csvx", False), ("", False)])
def test_prefect_accepts_a_choice_or_null(value: str | None, is_accepted: bool) -> None:
    field = {"anyOf": [{"type": "string", "enum": ["csv", "ods"]}, NULL], "default": None, "title": "field"}
    schema = with_plain_fields({"type": "object", "properties": {"field": field}})
    assert is_valid({"field": value}, schema) == is_accepted
    assert (validate({"field": value}, schema, raise_on_error=False) == []) == is_accepted
