"""Normal form of names and references: what looks the same is the same text, and nothing invisible separates two.

Both are NFC, without white space and invisible characters at their ends. Inside, invisible characters are refused,
except where a script or an emoji needs them: joiners in scripts that join letters (Persian, Hindi) and in 👩‍🔬,
variation selectors after an emoji, a CJK or a Mongolian letter, and the tags of a flag.
"""

from __future__ import annotations

import re
import unicodedata

MAX_NORMALIZED_CHARACTERS = 4096
"""A longer text is too long in any normal form; to normalize a run of combining marks takes quadratic time."""

_ZERO_WIDTH_JOINER = "\u200d"
_JOINERS = {"\u200c", _ZERO_WIDTH_JOINER}
_KEYCAP = "\u20e3"
_KEYCAP_BASES = set("0123456789#*")
_TAGS = range(0xE0020, 0xE0080)
# A black flag, the tags of a subdivision (gbeng) and the cancel tag: UTS #51, ED-14a. Without the last it is black.
SUBDIVISION_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
"""The only text in which tags are shown."""
_MONGOLIAN_SELECTORS = range(0x180B, 0x1810)
_VARIATION_SELECTORS = (_MONGOLIAN_SELECTORS, range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_EMOJI_SELECTORS = {"\ufe0e", "\ufe0f"}
# Unassigned code points that programs do not display: Default_Ignorable_Code_Point in DerivedCoreProperties.txt.
_UNASSIGNED_IGNORABLES = (
    *(range(0x2065, 0x2066), range(0xFFF0, 0xFFF9), range(0xE0000, 0xE0001), range(0xE0002, 0xE0020)),
    *(range(0xE0080, 0xE0100), range(0xE01F0, 0xE1000)),
)
# The others are letters, marks or symbols by category, but have no picture.
_BLANKS = {chr(code_point) for code_points in _UNASSIGNED_IGNORABLES for code_point in code_points} | set(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U00016fe4\U0001d159"
)
# Blocks in which every symbol with an emoji presentation lies, except a few (emoji-variation-sequences.txt).
_EMOJI_BLOCKS = (
    *(range(0x2190, 0x2200), range(0x2300, 0x2400), range(0x25A0, 0x27C0), range(0x2900, 0x2980)),
    *(range(0x2B00, 0x2C00), range(0x1F000, 0x1FB00)),
)
_EMOJI_IN_OTHER_BLOCKS = set("©®‼⁉™ℹⓂ〰〽㊗㊙")
_SKIN_TONES = range(0x1F3FB, 0x1F400)
# Prefixes of the names of letters without case, and of marks, beside which a joiner changes nothing.
_NAMES_WITHOUT_JOINERS = (
    *("ALEF SYMBOL", "ANATOLIAN", "ARMENIAN", "BAMUM", "BET SYMBOL", "BOPOMOFO", "CANADIAN", "CARON", "CJK"),
    *("COMBINING", "COPTIC", "CUNEIFORM", "CYRILLIC", "DALET SYMBOL", "EGYPTIAN", "ETHIOPIC"),
    *("FEMININE ORDINAL", "GEORGIAN", "GIMEL SYMBOL", "GREEK", "HALFWIDTH", "HANGUL", "HEBREW", "HENTAIGANA"),
    *("HIRAGANA", "IDEOGRAPHIC", "KATAKANA", "KHITAN", "LAO", "LATIN", "LINEAR", "LISU", "MASCULINE ORDINAL"),
    *("MENDE", "MIAO", "MODIFIER", "MUSICAL", "NEW TAI", "NUSHU", "NYIAKENG", "PAHAWH", "RUNIC", "SUBSCRIPT"),
    *("SUPERSCRIPT", "TAI LE", "TAI VIET", "TANGUT", "THAANA", "THAI", "VAI", "VARIATION SELECTOR", "VERTICAL"),
    *("VIETNAMESE", "YI "),
)
_NO_BREAK_SPACES = str.maketrans("\u00a0\u2007\u202f", "   ")
# Format characters that do have a picture: signs before or around Arabic, Syriac and Kaithi numbers.
_VISIBLE_FORMAT_CHARACTERS = set(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
_CONTROL_NAMES = {"\0": "NULL", "\t": "TAB", "\n": "LINE FEED", "\r": "CARRIAGE RETURN", "\x7f": "DELETE"}


def normalize_name(text: str) -> str:
    """Return a name in normal form; a no-break space is U+0020.

    Raises:
        ValueError: It contains a character that is invisible or breaks a line; the message names the code point.
    """
    return refuse_hidden_characters(trim(text).translate(_NO_BREAK_SPACES))


def normalize_reference(text: str) -> str:
    """Return a reference in normal form: that of a name, and every space in it is U+0020.

    Raises:
        ValueError: As for a name.
    """
    return "".join(" " if unicodedata.category(c) == "Zs" else c for c in normalize_name(text))


def trim(text: str) -> str:
    """Return the text in NFC, without white space and invisible characters at its ends.

    A text of more than MAX_NORMALIZED_CHARACTERS is not normalized.
    """
    return strip_invisible(unicodedata.normalize("NFC", text) if len(text) <= MAX_NORMALIZED_CHARACTERS else text)


def strip_invisible(text: str) -> str:
    """Return the text without white space and invisible characters at its ends, otherwise unchanged."""
    start, end = 0, len(text)
    while start < end and (_is_trimmed(text[start]) or _is_variation_selector(text[start])):
        start += 1
    while end > start and (_is_trimmed(text[end - 1]) or _is_selector_without_effect(text, end - 1)):
        end -= 1
    return text[start:end]


def refuse_control_characters(text: str) -> str:
    """Return the text unchanged.

    Raises:
        ValueError: It contains a control character, a line break or a lone surrogate.
    """
    for character in text:
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
            raise ValueError(f"must not contain {describe_character(character)}")
    return text


def refuse_hidden_characters(text: str) -> str:
    """Return the text unchanged.

    Raises:
        ValueError: It contains a character that `is_shown` does not show.
    """
    without_flags = SUBDIVISION_FLAG.sub("x", text)
    for position, character in enumerate(without_flags):
        if not is_shown(without_flags, position):
            raise ValueError(f"must not contain {describe_character(character)}")
    return text


def describe_character(character: str) -> str:
    """Return the code point of a character with its name, for example `U+202E RIGHT-TO-LEFT OVERRIDE`."""
    kinds = {"Cc": "a control character", "Cs": "a lone surrogate"}
    kind = kinds.get(unicodedata.category(character), "an invisible character")
    name = _CONTROL_NAMES.get(character) or unicodedata.name(character, kind)
    return f"U+{ord(character):04X} {name}"


def is_shown(text: str, position: int) -> bool:
    """Return whether a character has a picture or changes that of its neighbours; a space has one.

    Args:
        text: The text, without the flags of SUBDIVISION_FLAG.
        position: The index of the character.
    """
    character = text[position]
    if character in _JOINERS:
        return _is_joiner_with_effect(text, position)
    if _is_variation_selector(character):
        return not _is_selector_without_effect(text, position)
    return not (
        _is_format(character) or character in _BLANKS or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
    )


def _is_trimmed(character: str) -> bool:
    """Whether the character is dropped at the ends: white space, or invisible (a flag ends in tags: they stay)."""
    return character.isspace() or character in _BLANKS or (_is_format(character) and ord(character) not in _TAGS)


def _is_format(character: str) -> bool:
    return unicodedata.category(character) == "Cf" and character not in _VISIBLE_FORMAT_CHARACTERS


def _is_joiner_with_effect(text: str, position: int) -> bool:
    """Whether a joiner can be visible: between two letters of scripts that join, or between two emoji."""
    following = text[position + 1 : position + 2]
    base = position - 1
    while base >= 0 and (unicodedata.category(text[base])[0] == "M" or ord(text[base]) in _SKIN_TONES):
        base -= 1
    if base < 0 or not following:
        return False
    if _is_emoji(text[base]):
        return text[position] == _ZERO_WIDTH_JOINER and _is_emoji(following)
    return _is_joining_letter(text[base]) and _is_joining_letter(following)


def _is_joining_letter(character: str) -> bool:
    """Whether it is a letter without case, or a mark, of a script that joins letters."""
    category = unicodedata.category(character)
    if character in _BLANKS or not (category in {"Lo", "Lm"} or category[0] == "M"):
        return False
    # Python has no names for Tangut ideographs, which do not join.
    name = unicodedata.name(character, "")
    return name != "" and not name.startswith(_NAMES_WITHOUT_JOINERS)


def _is_emoji(character: str) -> bool:
    if character in _EMOJI_IN_OTHER_BLOCKS:
        return True
    # ↔ and ◾ are mathematical symbols by category.
    return unicodedata.category(character) in {"So", "Sm"} and any(
        ord(character) in block for block in _EMOJI_BLOCKS
    )


def _is_variation_selector(character: str) -> bool:
    return any(ord(character) in selectors for selectors in _VARIATION_SELECTORS)


def _is_selector_without_effect(text: str, position: int) -> bool:
    """Whether a variation selector follows a character of which it selects no variant."""
    selector = text[position]
    if not _is_variation_selector(selector):
        return False
    previous, following = text[max(position - 1, 0) : position], text[position + 1 : position + 2]
    if not previous:
        return True
    if selector in _EMOJI_SELECTORS:
        return not (_is_emoji(previous) or (previous in _KEYCAP_BASES and following == _KEYCAP))
    script = "MONGOLIAN LETTER" if ord(selector) in _MONGOLIAN_SELECTORS else "CJK"
    return not unicodedata.name(previous, "").startswith(script)
