"""JSON documents that every component can store and serialize again."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text.storable_json import MAX_DEPTH, MAX_INTEGER, MIN_INTEGER, check_storable_json, dump_storable_json


def nested(levels: int, value: object = None) -> str:
    return "[" * levels + json.dumps(value) + "]" * levels


def json_kind(text: object) -> str:
    return json.dumps({"parameters": {"name": {"__prefect_kind": "json", "value": text}}})


@pytest.mark.parametrize(
    "document",
    [
        b"{}",
        b"null",
        b' [1, -2.5, true, "text"]\n',
        '{"name": "Zoë \N{PILE OF POO}"}'.encode(),
        rb'"\ud83d\ude00"',
        rb'"\\ud800 \\u0000"',
        json.dumps([MIN_INTEGER, MAX_INTEGER]).encode(),
        b"[1e308, 1e-999]",
        rb'{"name": "\ud800", "name": "the last one counts"}',
        nested(MAX_DEPTH, 1).encode(),
        json_kind('{"a": ["\\ud83d\\ude00"]}').encode(),
        json_kind("not JSON").encode(),
        json_kind({"__prefect_kind": "jinja", "template": "{{ event | tojson }}"}).encode(),
        json_kind(None).encode(),
        rb'{"__prefect_kind": "none", "value": "\"\\ud800\""}',
        b'{"__prefect_kind": ["json"], "value": "NaN"}',
    ],
    ids=lambda document: document[:40].decode(),
)
def test_storable_document_is_accepted(document: bytes) -> None:
    check_storable_json(document)


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        (rb'"half \ud800 x"', "half of a surrogate pair"),
        (rb'"\udc00\ud800"', "half of a surrogate pair"),
        (rb'"\uDBFF"', "half of a surrogate pair"),
        (rb'{"rows": [{"name": ["\ud800"]}]}', "half of a surrogate pair"),
        (rb'{"a\ud800": 1}', "half of a surrogate pair"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        (b'"\xff"', "UTF-8"),
        (b'"\xc0\x80"', "UTF-8"),
        (b'"\xf0\x9f\x92"', "UTF-8"),
        (rb'"a\u0000b"', "NUL"),
        (rb'{"a\u0000": 1}', "NUL"),
        (b'"a\0b"', "not valid JSON"),
        (b"NaN", "not finite"),
        (b'{"a": [Infinity]}', "not finite"),
        (b"[-Infinity]", "not finite"),
        (b"1e999", "not finite"),
        (b"-1e999", "not finite"),
        (str(MAX_INTEGER + 1).encode(), "64 bits"),
        (str(MIN_INTEGER - 1).encode(), "64 bits"),
        (b"9" * 10_000, "64 bits"),
        (nested(MAX_DEPTH + 1).encode(), "levels"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "levels"),
        (b"[" * 100_000 + b"]" * 100_000, "levels"),
        (b"[" * 100_000, "levels"),
        ('{"a": 1}'.encode("utf-16"), "UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), "not valid JSON"),
        ('{"a": 1}'.encode("utf-32-be"), "not valid JSON"),
        ('{"a": 1}'.encode("utf-8-sig"), "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"name=Ada", "not valid JSON"),
        (b" ", "not valid JSON"),
        (b"\x1f\x8b\x08\x00", "UTF-8"),
        (b"{'a': 1}", "not valid JSON"),
        (b"{} {}", "not valid JSON"),
        (json_kind('"\\ud800"').encode(), "half of a surrogate pair"),
        (json_kind("[NaN]").encode(), "not finite"),
        (json_kind('{"a": "\\u0000"}').encode(), "NUL"),
        (json_kind("9" * 10_000).encode(), "64 bits"),
        (json_kind(nested(MAX_DEPTH)).encode(), "levels"),
        (json_kind("[" * 100_000).encode(), "levels"),
        (json_kind({"__prefect_kind": "none", "value": '"\\ud800"'}).encode(), "half of a surrogate pair"),
        (json_kind({"__prefect_kind": "other", "value": {"value": "[NaN]"}}).encode(), "not finite"),
        (json_kind({"__prefect_kind": "json", "value": json.dumps('"\\u0000"')}).encode(), "NUL"),
        (json_kind(json_kind('"\\ud800"')).encode(), "half of a surrogate pair"),
    ],
    ids=lambda value: str(value[:40]) if isinstance(value, bytes) else value,
)
def test_document_that_breaks_a_rule_is_refused(document: bytes, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        check_storable_json(document)


def test_error_does_not_contain_the_document() -> None:
    for document in (rb'{"key": "canary \ud800"}', b'{"key": "canary"', b'"canary \xff"'):
        with pytest.raises(ValueError, match=r"^it ") as error:
            check_storable_json(document)
        assert "canary" not in str(error.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda items: st.lists(items) | st.dictionaries(st.text(), items),
)


@given(VALUES)
def test_accepted_value_survives_orjson_and_utf_8(value: object) -> None:
    document = json.dumps(value)
    try:
        check_storable_json(document)
    except ValueError:
        return
    assert orjson.loads(orjson.dumps(json.loads(document))) == value
    assert "\0" not in json.dumps(json.loads(document), ensure_ascii=False)


def test_nested_placeholders_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a body of some megabytes could occupy the server for minutes."""
    text = json.dumps("x" * 1000)
    value: object = text
    for _ in range(40):
        value = {"__prefect_kind": "json", "value": {"__prefect_kind": "none", "value": value}}
    document = json.dumps(value)
    parsed: list[str] = []
    loads = json.loads

    def recording_loads(text: str) -> object:
        parsed.append(text)
        return loads(text)

    monkeypatch.setattr(json, "loads", recording_loads)
    check_storable_json(document)
    assert parsed == [document, text, "x" * 1000]


def test_value_is_dumped_only_if_it_is_storable() -> None:
    assert json.loads(dump_storable_json({"name": "Zoë"})) == {"name": "Zoë"}
    for value in ("\ud800", {"a": ["\0"]}, float("nan"), 2**64):
        with pytest.raises(ValueError, match=r"^it has "):
            dump_storable_json(value)
