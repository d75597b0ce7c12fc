"""Normal form of names and references: what looks the same is the same text, and nothing invisible separates two.

Both are NFC, without white space and invisible characters at their ends. Inside, invisible characters are refused,
except where a script or an emoji needs them: joiners and variation selectors beside a letter without case or a
symbol (in Persian, Hindi and 👩‍🔬), and the tags of a flag.
"""

from __future__ import annotations

import unicodedata

_JOINERS = {"\u200c", "\u200d"}
_KEYCAP = "\u20e3"
_BLACK_FLAG = "\U0001f3f4"
_TAGS = range(0xE0020, 0xE0080)
_VARIATION_SELECTORS = (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
# They are letters, marks or symbols by category, but have no picture.
_BLANKS = set("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# Format characters that do have a picture: signs before or around Arabic, Syriac and Kaithi numbers.
_VISIBLE_FORMAT_CHARACTERS = set(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
_CONTROL_NAMES = {"\0": "NULL", "\t": "TAB", "\n": "LINE FEED", "\r": "CARRIAGE RETURN", "\x7f": "DELETE"}


def normalize_name(text: str) -> str:
    """Return a name in normal form.

    Raises:
        ValueError: It contains a character that is invisible or breaks a line; the message names the code point.
    """
    text = _trim(unicodedata.normalize("NFC", text))
    for position, character in enumerate(text):
        if not _is_allowed(text, position):
            raise ValueError(f"must not contain {describe_character(character)}")
    return text


def normalize_reference(text: str) -> str:
    """Return a reference in normal form: that of a name, and every space in it is U+0020.

    Raises:
        ValueError: As for a name.
    """
    return "".join(" " if unicodedata.category(c) == "Zs" else c for c in normalize_name(text))


def refuse_control_characters(text: str) -> str:
    """Return the text unchanged.

    Raises:
        ValueError: It contains a control character, a line break or a lone surrogate.
    """
    for character in text:
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
            raise ValueError(f"must not contain {describe_character(character)}")
    return text


def describe_character(character: str) -> str:
    """Return the code point of a character with its name, for example `U+202E RIGHT-TO-LEFT OVERRIDE`."""
    kinds = {"Cc": "a control character", "Cs": "a lone surrogate"}
    kind = kinds.get(unicodedata.category(character), "an invisible character")
    name = _CONTROL_NAMES.get(character) or unicodedata.name(character, kind)
    return f"U+{ord(character):04X} {name}"


def _trim(text: str) -> str:
    start, end = 0, len(text)
    while start < end and _is_trimmed(text[start]):
        start += 1
    while end > start and _is_trimmed(text[end - 1]):
        end -= 1
    return text[start:end]


def _is_trimmed(character: str) -> bool:
    """Whether the character is dropped at the ends: white space, or invisible (a flag ends in tags: they stay)."""
    return character.isspace() or character in _BLANKS or (_is_format(character) and ord(character) not in _TAGS)


def _is_format(character: str) -> bool:
    return unicodedata.category(character) == "Cf" and character not in _VISIBLE_FORMAT_CHARACTERS


def _is_allowed(text: str, position: int) -> bool:
    character = text[position]
    previous, following = text[max(position - 1, 0) : position], text[position + 1 : position + 2]
    if ord(character) in _TAGS:
        return previous == _BLACK_FLAG or (previous != "" and ord(previous) in _TAGS)
    if character in _JOINERS:
        return _joins(previous) and _joins(following)
    if _is_variation_selector(character):
        return (_joins(previous) and not _is_variation_selector(previous)) or following == _KEYCAP
    return not (
        _is_format(character) or character in _BLANKS or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
    )


def _is_variation_selector(character: str) -> bool:
    return any(ord(character) in selectors for selectors in _VARIATION_SELECTORS)


def _joins(character: str) -> bool:
    """Whether a joiner next to this character can be visible: next to a letter without case, a mark or a symbol."""
    if character <= "\x7f" or character in _BLANKS:
        return False
    category = unicodedata.category(character)
    return category in {"Lo", "Lm"} or category[0] in "MS"
