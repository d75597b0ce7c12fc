"""Names and references: one normal form, and no invisible character that separates two that look the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text.normalization import (
    describe_character,
    normalize_name,
    normalize_reference,
    refuse_control_characters,
    trim,
)

INVISIBLE = [
    *"\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2064",
    *"\u2066\u2067\u2068\u2069\u206f\u3164\uffa0\u2800\ufeff\ufff9\U0001d173\U000e0001",
    *"\u2065\ufff0\ufff8\U000e0000\U000e0002\U000e001f\U000e0080\U000e00ff\U000e01f0\U000e0fff\U00016fe4\U0001d159",
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
        "র\u200d্যাব",
        "🏳\ufe0f\u200d🌈",
        "🧑🏽\u200d🚀",
        "🕵\ufe0f\u200d♂\ufe0f",
        "🏴\u200d☠\ufe0f",
        "🇩🇪 Ada 🇮🇷",
        "#\ufe0f\u20e3",
        "Ada ⚡\ufe0f ↔\ufe0f ‼\ufe0f ℹ\ufe0f ©\ufe0e ™\ufe0f ◾\ufe0f ㊗\ufe0f",
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
        "9\ufe0f9",
        "é\u200dé",
        "❤\ufe0f\ufe0f❤",
        "x\ufe0f\u20e3",
        "作\u200d者",
        "作\u200c者",
        "김\u200d철수",
        "さ\u200dくら",
        "サ\u200dクラ",
        "ｻ\u200dｸﾗ",
        "々\u200d々",
        "ไทย\u200dไทย",
        "ลี่\u200dลี่",
        "ລາວ\u200dລາວ",
        "שלום\u200dשלום",
        "שָׁ\u200dשָׁ",
        "ª\u200dª",
        "𗀀\u200d𗀀",
        "ދ\u200dދ",
        "º\u200dº",
        "ʼ\u200dʼ",
        "€\u200d€",
        "x̂\u200dx̂",
        "°\u200d°",
        "👩\u200c🔬",
        "👩\u200dक",
        "nº\ufe0f7",
        "100€\ufe0f 7",
        "20°\ufe0f 7",
        "№\ufe0f7",
        "Oʼ\ufe0fB",
        "x̂\ufe0fx",
        "作\ufe0f者",
        "می\ufe00خ",
        "👩\ufe00👩",
        "👩\U000e0100👩",
        "Ada\u180bL",
        "作\u180b者",
        "葛\U000e0100\U000e0100城",
        "🏴\U000e0041\U000e0042",
        "🏴\U000e0067\U000e0062",
        "🏴\U000e007f",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f\U000e007f",
        "می\u200c\u200cخواهم",
        "می\u200c-خواهم",
        "Ada\U000e0041\U000e0042",
    ],
)
def test_joiner_without_effect_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must not contain U\+"):
        normalize_name(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("作者\ufe0f", "作者"),
        ("9\ufe0f", "9"),
        ("nº\ufe0f", "nº"),
        ("100€\ufe0f", "100€"),
        ("20°\ufe0f", "20°"),
        ("x̂\ufe0f\ufe00\U000e0100\u180b", "x̂"),
        ("❤\ufe0f\ufe0f", "❤\ufe0f"),
        ("❤\u200d\ufe0f", "❤"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("葛\U000e0100", "葛\U000e0100"),
        ("ᠮ\u180b", "ᠮ\u180b"),
        (
            "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f\ufe0f",
            "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        ),
        ("\ufe0fAda", "Ada"),
    ],
)
def test_variation_selector_without_effect_is_dropped_at_an_end(text: str, expected: str) -> None:
    assert normalize_name(text) == trim(text) == expected


def test_composed_and_decomposed_text_are_one() -> None:
    assert normalize_reference("Zoe\u0308") == normalize_reference("Zo\u00eb") == "Zo\u00eb"
    assert normalize_reference("\u1112\u1161\u11ab") == "\ud55c"


def test_every_space_in_a_reference_is_one() -> None:
    assert normalize_reference("creator\u00a09") == normalize_reference("creator\u20039") == "creator 9"
    assert normalize_name("山田\u3000太郎") == "山田\u3000太郎"


@pytest.mark.parametrize("space", [*"\u00a0\u2007\u202f"])
def test_no_break_space_in_a_name_is_a_space(space: str) -> None:
    assert normalize_name(f"Ada{space}L") == "Ada L"


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
