"""Names and references: one normal form, and no invisible character that separates two that look the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text_normalization import (
    describe_character,
    normalize_name,
    normalize_reference,
    refuse_control_characters,
)

INVISIBLE = [
    *"\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2064",
    *"\u2066\u2067\u2068\u2069\u206f\u3164\uffa0\u2800\ufeff\ufff9\U0001d173\U000e0001",
]
LINE_BREAKS = [*"\n\r\v\f\x85\u2028\u2029"]
WHITE_SPACE = [*" \t\u00a0\u1680\u2003\u2009\u202f\u205f\u3000"]


@pytest.mark.parametrize("normalize", [normalize_name, normalize_reference])
@pytest.mark.parametrize("character", [*INVISIBLE, *LINE_BREAKS, *WHITE_SPACE])
def test_invisible_character_at_an_end_is_dropped(normalize: object, character: str) -> None:
    assert callable(normalize)
    for text in (f"creator-9{character}", f"{character}creator-9", f" {character}\u200bcreator-9{character} "):
        assert normalize(text) == "creator-9"
    assert normalize(character * 3) == ""


@pytest.mark.parametrize("normalize", [normalize_name, normalize_reference])
@pytest.mark.parametrize("character", [*INVISIBLE, *LINE_BREAKS, *"\0\x1b\x7f\x9f\t", "\ud800"])
def test_invisible_character_inside_is_refused_by_name(normalize: object, character: str) -> None:
    assert callable(normalize)
    with pytest.raises(ValueError, match=rf"must not contain U\+{ord(character):04X} "):
        normalize(f"creator{character}-9")


@pytest.mark.parametrize(
    "name",
    [
        "می\u200cخواهم",
        "علی\u200cرضا محمدی",
        "क्\u200dष",
        "क्\u200cष",
        "ශ්\u200dරී ලංකා",
        "නිර්මාණ",
        "Ada 👩\u200d🔬",
        "👨🏽\u200d👩\u200d👧",
        "❤\ufe0f\u200d🔥",
        "❤\ufe0f",
        "9\ufe0f\u20e3",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "葛\U000e0100城",
        "\u0600١٢",
        "山田\u3000太郎",
        "ᠮᠣᠩ\u180bᠭᠣᠯ",
        "O'Brien-Núñez",
        "'; DROP TABLE avatars",
    ],
)
def test_name_of_any_script_is_unchanged(name: str) -> None:
    assert normalize_name(name) == name


@pytest.mark.parametrize(
    "text",
    [
        "creator\u200d-9",
        "creator\u200c9",
        "crea\ufe0ftor",
        "9\ufe0f",
        "é\u200dé",
        "❤\ufe0f\ufe0f",
        "می\u200c\u200cخواهم",
        "می\u200c-خواهم",
        "Ada\U000e0041\U000e0042",
    ],
)
def test_joiner_without_effect_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must not contain U\+"):
        normalize_name(text)


def test_composed_and_decomposed_text_are_one() -> None:
    assert normalize_reference("Zoe\u0308") == normalize_reference("Zo\u00eb") == "Zo\u00eb"
    assert normalize_reference("\u1112\u1161\u11ab") == "\ud55c"


def test_every_space_in_a_reference_is_one() -> None:
    assert normalize_reference("creator\u00a09") == normalize_reference("creator\u20039") == "creator 9"
    assert normalize_name("山田\u3000太郎") == "山田\u3000太郎"


@pytest.mark.parametrize(
    ("character", "description"),
    [
        ("\u202e", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("\t", "U+0009 TAB"),
        ("\x1b", "U+001B a control character"),
        ("\ud800", "U+D800 a lone surrogate"),
        ("\U000e0041", "U+E0041 TAG LATIN CAPITAL LETTER A"),
    ],
)
def test_character_is_described_by_its_code_point(character: str, description: str) -> None:
    assert describe_character(character) == description


@pytest.mark.parametrize("character", [*"\0\t\n\r\x1b\x7f\x85\u2028\u2029", "\ud800"])
def test_control_characters_are_refused_in_extras(character: str) -> None:
    with pytest.raises(ValueError, match=rf"U\+{ord(character):04X}"):
        refuse_control_characters(f"a{character}")
    assert refuse_control_characters(" a\u200b\u00a0") == " a\u200b\u00a0"


@given(st.text())
def test_normal_form_is_stable(text: str) -> None:
    for normalize in (normalize_name, normalize_reference):
        try:
            normal = normalize(text)
        except ValueError:
            continue
        assert normalize(normal) == normal
        assert normalize(f"\u200b {normal}\u00a0") == normal
