"""JSON bodies as servers send them: encodings, numbers that are not JSON, repeated keys and deep nesting."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.argil.json_body import MAX_DEPTH, limit_depth, parse_json_or_none

TEXT = '{"id": "a-1", "name": "José"}'


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"]
)
def test_body_is_decoded_in_any_encoding(encoding: str) -> None:
    assert parse_json_or_none(TEXT.encode(encoding)) == {"id": "a-1", "name": "José"}


def test_numbers_that_are_not_finite_are_null() -> None:
    body = b'{"a": NaN, "b": Infinity, "c": -Infinity, "d": 1e999, "e": 1.5, "f": 7}'
    assert parse_json_or_none(body) == {"a": None, "b": None, "c": None, "d": None, "e": 1.5, "f": 7}


@pytest.mark.parametrize("digits", [308, 309, 4300, 4301, 100_000])
def test_long_integer_is_null_and_the_rest_is_read(digits: int) -> None:
    body = b'[{"id": "a-1", "width": -' + b"9" * (digits - 1) + b'}, {"id": "a-2"}]'
    width = -(10 ** (digits - 1) - 1) if digits <= 308 else None
    assert parse_json_or_none(body) == [{"id": "a-1", "width": width}, {"id": "a-2"}]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"<html>", b"\xff\xfe", b"[" * 100_000, b"9" * 5000, b'{"a": 1} {}', b"\x1f\x8b\x08"]
)
def test_invalid_body_is_none(body: bytes) -> None:
    assert parse_json_or_none(body) is None


def test_repeated_key_is_invalid_if_keys_must_be_unique() -> None:
    body = b'{"id": "a-1", "extras": {"k": 1, "k": 2}}'
    assert parse_json_or_none(body, unique_keys=True) is None
    assert parse_json_or_none(body) == {"id": "a-1", "extras": {"k": 2}}


def test_values_below_the_maximum_depth_are_null() -> None:
    nested: Any = 7
    for _ in range(MAX_DEPTH + 5):
        nested = [nested]
    limited = json.dumps(limit_depth(nested))
    assert limited == "[" * MAX_DEPTH + "null" + "]" * MAX_DEPTH
    assert limit_depth({"a": [{"b": 1}]}) == {"a": [{"b": 1}]}


@settings(deadline=None)
@given(body=st.binary(max_size=40), unique_keys=st.booleans())
def test_any_bytes_give_a_value_or_none(body: bytes, *, unique_keys: bool) -> None:
    json.dumps(parse_json_or_none(body, unique_keys=unique_keys), allow_nan=False)
