"""Untrusted text in each place: no control character, no markup, no formula, no unbounded length."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.text.escaping import (
    INERT_FORMS,
    MAX_CELL_CHARACTERS,
    MAX_RUN_NAME_CHARACTERS,
    MAX_STATE_MESSAGE_CHARACTERS,
    inert,
    json_document,
    markdown,
    markdown_code,
    run_name,
    shorten,
    spreadsheet_cell,
    state_message,
    visible,
    visible_lines,
)
from models.text.normalization import normalize_name
from tests.hostile_texts import CONTROL_TEXTS, FORMULAS, HOSTILE_TEXTS, LONG

ANY_TEXT = st.text(st.characters(exclude_categories=()))
HIDDEN_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
BIDI_CONTROLS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
NAMES = [
    *("José", "李小龍", "می\u200cخواهم", "क\u094d\u200dष", "👩\u200d🔬", "❤\ufe0f", "Jean-Luc O'Neil (2)", "a_b"),
    *("\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "5\ufe0f\u20e3"),
]
"""Texts that no place may change, except for Markdown's escapes."""


def hidden_characters(text: str) -> list[str]:
    return [
        f"U+{ord(character):04X}"
        for character in text
        if unicodedata.category(character) in HIDDEN_CATEGORIES or character in BIDI_CONTROLS
    ]


@pytest.mark.parametrize(
    "place",
    [visible, state_message, run_name, markdown, markdown_code, inert, spreadsheet_cell],
    ids=lambda f: f.__name__,
)
@given(ANY_TEXT)
@example("".join(CONTROL_TEXTS.values()))
def test_each_place_shows_control_characters_on_one_line(place: object, text: str) -> None:
    assert callable(place)
    assert hidden_characters(place(text)) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\x9b\x7f\x00", r"\x9b\x7f\x00"),
        ("\u202egpj\u2069", r"\u202egpj\u2069"),
        ("\u2028\u2029\u061c", r"\u2028\u2029\u061c"),
        ("a\u200bb\ufeff\u00ad", r"a\u200bb\ufeff\xad"),
        ("\ud800", r"\ud800"),
        ("x\U000e0041", r"x\U000e0041"),
        ("a\u200db", r"a\u200db"),
        ("\u3164", r"\u3164"),
    ],
)
def test_hidden_characters_are_shown_as_escapes(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize("name", NAMES)
def test_names_of_every_script_stay_as_they_are(name: str) -> None:
    assert normalize_name(name) == visible(name) == inert(name) == spreadsheet_cell(name) == name
    assert json.dumps(name, ensure_ascii=False) in json_document([name], ascii_only=False)


def test_lines_stay_lines_in_a_traceback() -> None:
    assert visible_lines("a\n  b\r\n\x1b") == "a\n  b\\r\n\\x1b"


@pytest.mark.parametrize(
    ("place", "limit"),
    [
        (state_message, MAX_STATE_MESSAGE_CHARACTERS),
        (run_name, MAX_RUN_NAME_CHARACTERS),
        (markdown, MAX_CELL_CHARACTERS),
        (inert, MAX_CELL_CHARACTERS),
    ],
)
def test_each_place_of_prefect_is_bounded(place: object, limit: int) -> None:
    assert callable(place)
    assert place(LONG) == f"{'x' * (limit - 1)}…"
    assert len(place("\x1b" * 100_000).replace(r"\\", "\\")) == limit
    assert shorten("x" * limit, limit) == "x" * limit


@given(ANY_TEXT)
def test_inert_text_has_no_character_of_markup(text: str) -> None:
    shown = inert(text)
    assert not any(form in shown for form in INERT_FORMS)
    assert "://" not in shown
    assert re.match(r"[-+=#>]|[0-9]+[.)]", shown) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<!channel>", "＜!channel＞"),
        ("<http://evil.example/|click>", "＜http：//evil.example/｜click＞"),
        ("![t](http://h/t.png)", "!［t］(http：//h/t.png)"),
        ("&lt;b&gt;", "＆lt;b＆gt;"),
        ("@everyone", "＠everyone"),
        ("www.evil.example WwW.x", "www．evil.example WwW．x"),
        ("- item", "－ item"),
        ("1. item", "１. item"),
        ("--- a", "－-- a"),
    ],
)
def test_inert_text_looks_like_the_original(text: str, shown: str) -> None:
    assert inert(text) == shown


@pytest.mark.parametrize("text", FORMULAS)
def test_spreadsheet_evaluates_no_formula(text: str) -> None:
    cell = spreadsheet_cell(text)
    for part in cell.split(";"):
        first = unicodedata.normalize("NFKC", part.lstrip(' \t\r\n\u00a0\u3000"\u201c')[:1])
        assert first not in {"=", "+", "-", "@", "\u2212"}, cell
    assert cell.startswith("'") or ";'" in cell


@pytest.mark.parametrize(
    "text", ["Ada", "a-b", "a=b", "row-1f", "1+1", "a, -b", "code: message; code: other", "", "'Ada"]
)
def test_ordinary_cells_of_a_spreadsheet_stay(text: str) -> None:
    assert spreadsheet_cell(text) == text


@given(st.lists(ANY_TEXT, min_size=1, max_size=5))
@example(HOSTILE_TEXTS)
def test_csv_of_hostile_cells_has_one_line_per_row(texts: list[str]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerow([spreadsheet_cell(text) for text in texts])
    [line] = buffer.getvalue().splitlines()
    assert len(next(csv.reader([line]))) == len(texts)


@pytest.mark.parametrize("ascii_only", [True, False])
@given(st.lists(ANY_TEXT))
@example(HOSTILE_TEXTS)
def test_json_document_keeps_each_text_and_shows_no_control(ascii_only: bool, texts: list[str]) -> None:
    document = json_document(texts, ascii_only=ascii_only)
    # json.loads joins two escapes that are a surrogate pair; two lone surrogates in a row are one, too.
    assert json.loads(document) == json.loads(json.dumps(texts))
    assert hidden_characters(document.replace("\n", "")) == []
    assert not ascii_only or document.isascii()


@given(ANY_TEXT)
@example("".join(HOSTILE_TEXTS))
def test_code_span_is_closed_only_at_its_end(text: str) -> None:
    shown = markdown_code(text)
    assert re.fullmatch(r"`[^`|\n]*`", shown)
