"""An array that is kept as text has the items, and the errors, of one that is decoded at once."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.argil.json_array import JsonArray
from models.argil.json_body import parse_json_or_none

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


@given(items=st.lists(VALUES, max_size=6), space=st.sampled_from(["", " ", "\n\t\r "]), is_ascii=st.booleans())
def test_array_has_the_items_of_its_text(items: list[object], space: str, *, is_ascii: bool) -> None:
    separators = (f"{space},{space}", f"{space}:{space}")
    text = f"{space}[{space}{json.dumps(items, separators=separators, ensure_ascii=is_ascii)[1:-1]}{space}]{space}"
    array = parse_json_or_none(text.encode("utf-8", "surrogatepass"), keep_array=True)
    assert isinstance(array, JsonArray)
    assert (list(array), len(array), list(array[1:3])) == (items, len(items), items[1:3])
    assert [array[index] for index in range(len(array))] == items


@given(st.text(alphabet='[]{},:" \n01e.-ntrufals\\é', max_size=14))
def test_same_texts_are_valid(text: str) -> None:
    body = text.encode()
    kept, decoded = parse_json_or_none(body, keep_array=True), parse_json_or_none(body)
    assert (list(kept) if isinstance(kept, JsonArray) else kept) == decoded
    assert isinstance(kept, JsonArray) == isinstance(decoded, list)


@pytest.mark.parametrize(
    "body",
    [
        b"[",
        b"[1",
        b"[1,",
        b"[1,]",
        b"[,]",
        b"[1 2]",
        b"[1]]",
        b"[1] x",
        b"[]x",
        b"[" * 100_000,
        b'[{"id": "a"}, <html>]',
    ],
)
def test_invalid_array_is_none(body: bytes) -> None:
    assert parse_json_or_none(body, keep_array=True) is None


def test_numbers_and_encodings_are_those_of_other_bodies() -> None:
    array = parse_json_or_none('[{"a": NaN, "b": 1e999, "name": "José"}]'.encode("utf-16"), keep_array=True)
    assert isinstance(array, JsonArray)
    assert list(array) == [{"a": None, "b": None, "name": "José"}]
