"""Makes untrusted text safe to show, with one function per place: names, responses of Argil, URLs, file names.

| Place | Function |
|---|---|
| one line: log record, event, state message, run name | `visible`, `short_line`, `state_message`, `run_name` |
| several lines: traceback, terminal as a whole | `visible_lines` |
| Markdown of an artifact | `markdown`, `markdown_code`; `markdown_with_code` for texts of ours with commands |
| text whose renderer is unknown: notification, description and table of an artifact | `inert` |
| cell of a spreadsheet | `spreadsheet_cell`; `own_cell` for one that is read again |
| JSON document | `json_document` |

A terminal shows what `shown_line` in cli/console.py returns. Redaction comes first, because an escape can divide a
secret. Cutting comes before a place's own escapes, because it could divide one of them.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable

from models.text.normalization import SUBDIVISION_FLAG, is_shown

MAX_STATE_MESSAGE_CHARACTERS = 2000
"""Of the message of a Prefect state, which every page about the run shows."""
MAX_RUN_NAME_CHARACTERS = 300
"""Of the name of a flow run: a name or reference of 256 characters, and a verb."""
MAX_CELL_CHARACTERS = 1000
"""Of one text in an artifact."""
MAX_EVENT_CHARACTERS = 1000
"""Of one text in a Prefect event; a notification contains several."""

_PRINTABLE_ASCII = re.compile(r"[ -~]*")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~&-])")
_CODE_SPAN_BREAKERS = re.compile(r"[`|\s]")
# A list, a rule or a heading of Markdown at the start of a line.
_BLOCK_START = re.compile(r"^(?:[-+=]|[0-9]{1,9}(?=[.)]))")
_FULL_WIDTH_OFFSET = 0xFEE0
INERT_FORMS = {
    # These begin a tag, an entity, a mention, a link, an image, code, emphasis or a heading in HTML, Markdown and
    # Slack's mrkdwn. A quote or a backslash ends a string in a webhook's body that is written as text.
    **{character: chr(ord(character) + _FULL_WIDTH_OFFSET) for character in '<>&@[]`*~#|"\\'},
    # Channels link addresses, and load previews of them.
    "://": "：//",
    **{text: f"{text[:-1]}．" for text in ("ww.", "wW.", "Ww.", "WW.")},
}
"""Replacements that look alike, are text in every channel, and that no channel decodes."""
_INERT = re.compile("|".join(map(re.escape, INERT_FORMS)))
# What may precede a formula: some spreadsheets drop white space and quotes.
_BEFORE_FORMULA = re.compile(r"[\s'\"`\u2018-\u201f]*(.)", re.DOTALL)
# A text that a spreadsheet reads as another value: it has digits and the signs of numbers, dates and times only.
_NUMBER_OR_DATE = re.compile(r"[\s.,:/+\-\u2212%()$€£¥]{0,20}\d[\d\s.,:/+\-\u2212%()$€£¥Ee]{0,300}")
_LOGICAL_VALUES = {"TRUE", "FALSE"}
_PLAIN_NUMBER = re.compile(r"0|[1-9]\d{0,14}")
"""A number that a spreadsheet stores with all its digits (15 significant ones) and displays as it was written."""
_FORMULA_CHARACTERS = set("=+-@\u2212")


def visible(text: str) -> str:
    r"""Return the text on one line, with each control or invisible character as an escape like `\x1b` or `\u202e`.

    Joiners and selectors stay where a name may contain them, for example in a Persian word or in 👩‍🔬.
    """
    return _escape_hidden(text, lambda character: character.encode("unicode_escape").decode())


def visible_lines(text: str) -> str:
    """Return the text like `visible`, but with its line feeds."""
    return "\n".join(map(visible, text.split("\n")))


def shorten(text: str, max_characters: int) -> str:
    """Return the text, cut to `max_characters` with `…` at the end if it is longer."""
    return text if len(text) <= max_characters else f"{text[: max_characters - 1]}…"


def short_line(text: str, max_characters: int) -> str:
    """Return the text like `visible`, with at most `max_characters`."""
    # An escape is never shorter than its character, so what follows is cut in any case.
    return shorten(visible(text[: max_characters + 1]), max_characters)


def state_message(text: str) -> str:
    """Return the text as the message of a Prefect state."""
    return short_line(text, MAX_STATE_MESSAGE_CHARACTERS)


def run_name(text: str) -> str:
    """Return the text as the name of a Prefect flow run."""
    return short_line(text, MAX_RUN_NAME_CHARACTERS)


def markdown(text: str) -> str:
    """Return the text on one line for a paragraph or a table cell of Markdown, without any markup of its own."""
    return _MARKDOWN.sub(r"\\\1", short_line(" ".join(text.split()), MAX_CELL_CHARACTERS))


def markdown_code(text: str) -> str:
    """Return an id as a code span, without characters that end it or its table cell: Argil chooses avatar ids."""
    return f"`{short_line(_CODE_SPAN_BREAKERS.sub('·', text), MAX_CELL_CHARACTERS)}`"


def markdown_with_code(text: str) -> str:
    """Return a text of ours like `markdown`, whose commands in backticks become code that can be copied.

    A renderer shows a code span as it is written. A backtick without a second one is left out.
    """
    parts = short_line(" ".join(text.split()), MAX_CELL_CHARACTERS).split("`")
    return "".join(
        f"`{part.replace('|', '·')}`"
        if position % 2 and position < len(parts) - 1 and part.strip()
        else _MARKDOWN.sub(r"\\\1", part)
        for position, part in enumerate(parts)
    )


def inert(text: str) -> str:
    """Return the text on one line, with the characters of INERT_FORMS replaced by ones that look alike.

    For places that one renderer shows as text and another one as Markdown or HTML: an escape would be shown.
    """
    text = short_line(" ".join(text.split()), MAX_CELL_CHARACTERS)
    text = _INERT.sub(lambda match: INERT_FORMS[match.group()], text)
    return _BLOCK_START.sub(lambda match: "".join(chr(ord(c) + _FULL_WIDTH_OFFSET) for c in match.group()), text)


def spreadsheet_cell(text: str) -> str:
    """Return the text of a CSV cell that no spreadsheet evaluates as a formula; an apostrophe marks text.

    Full-width forms count as formulas, because Excel evaluates them in Japanese and Chinese.
    """
    return visible(_mark_formulas(text))


def own_cell(text: str) -> str:
    """Return a cell of the input for a results file in CSV, from which `unmark_cell` reads the same text again.

    No spreadsheet evaluates a formula in it, or loses a digit of a number. Hidden characters stay: an escape would
    make an invalid row valid.
    """
    return f"'{text}" if _looks_like_number(text) and not _starts_formula(text) else _mark_formulas(text)


def unmark_cell(text: str) -> str:
    """Return the text that `own_cell` was given; a text that it would not mark is unchanged."""
    if text.startswith("'") and _looks_like_number(text[1:]):
        return text[1:]
    parts = text.split(";")
    return ";".join(part[1:] if part.startswith("'") and _starts_formula(part[1:]) else part for part in parts)


def _mark_formulas(text: str) -> str:
    # Locales with a decimal comma start a cell after each semicolon too.
    return ";".join(f"'{part}" if _starts_formula(part) else part for part in text.split(";"))


def _starts_formula(text: str) -> bool:
    start = _BEFORE_FORMULA.match(text)
    return start is not None and unicodedata.normalize("NFKC", start[1])[:1] in _FORMULA_CHARACTERS


def _looks_like_number(text: str) -> bool:
    """Whether a spreadsheet would store the text, without apostrophes before it, as another number or date."""
    text = text.lstrip("'")
    if text.upper() in _LOGICAL_VALUES:
        return True
    return _NUMBER_OR_DATE.fullmatch(text) is not None and _PLAIN_NUMBER.fullmatch(text) is None


def json_document(value: object, *, ascii_only: bool) -> str:
    """Return the value as an indented JSON document that ends in a line feed.

    Args:
        value: JSON-compatible values.
        ascii_only: Whether every character outside of ASCII is an escape, for a terminal of any encoding. Otherwise
            only the invisible ones are.
    """
    text = json.dumps(value, indent=2, ensure_ascii=ascii_only)
    return "".join(f"{_escape_hidden(line, _json_escape)}\n" for line in text.split("\n"))


def _escape_hidden(text: str, escape: Callable[[str], str]) -> str:
    if _PRINTABLE_ASCII.fullmatch(text):
        return text
    # Of a flag, only the base is judged: the tags after it are shown as its picture.
    parts, start = [], 0
    for flag in SUBDIVISION_FLAG.finditer(text):
        parts += [_escape_each(text[start : flag.start()], escape), flag.group()]
        start = flag.end()
    return "".join([*parts, _escape_each(text[start:], escape)])


def _escape_each(text: str, escape: Callable[[str], str]) -> str:
    return "".join(
        character if " " <= character <= "~" or is_shown(text, position) else escape(character)
        for position, character in enumerate(text)
    )


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
