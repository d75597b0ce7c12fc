"""Decodes the escapes of a text, layer by layer, and finds where a decoded part was in the original text.

A server may repeat a secret percent-encoded, in JSON, in HTML, broken over lines, or in several of these forms at
once. models/text/secret_search.py looks for secrets in every layer. All functions take linear time.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from html.entities import html5
from typing import NamedTuple

MAX_LAYERS = 5
"""How many encodings around each other are decoded. Repeated percent-encoding (`%2525`) counts as one."""
MAX_ENTITY_DIGITS = 7
"""The digits of the largest code point, in decimal. Python refuses to parse numbers of thousands of digits."""

# White space and characters without a glyph: control characters, soft hyphen, joiners, zero-width, bidirectional
# controls, variation selectors, byte order mark, tags. And the backslashes that continue a line: what follows the
# line break is not part of their escape.
_INVISIBLE = re.compile(
    r"(?:(?<!\\)\\++(?=[\r\n])|"
    "[\\s\\x00-\\x1f\\x7f-\\x9f\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e0fff])+"
)
_INVISIBLE_ASCII = dict.fromkeys([*range(0x21), 0x7F])
_TAG = re.compile(r"<[^<>]*>")
_ESCAPE = re.compile(
    r"%(?:25)*(?P<ascii>[0-7][0-9a-f])"
    # Bytes beyond ASCII are decoded together: several of them encode one character of UTF-8.
    r"|(?P<bytes>(?:%(?:25)*+[89a-f][0-9a-f])++)"
    # JSON within JSON repeats the backslashes; JavaScript's `escape` writes a percent sign instead.
    r"|(?:\\++|%(?:25)*+)u(?P<high>d[89ab][0-9a-f]{2})(?:\\++|%(?:25)*+)u(?P<low>d[c-f][0-9a-f]{2})"
    r"|(?:\\++|%(?:25)*+)u(?P<unit>[0-9a-f]{4})"
    # Braces as in Rust, octal as in C and shells. Alone, backslashes are dropped: they escape nothing.
    r"|\\++(?:u\{0*+(?P<braced>[0-9a-f]{1,5})\}|x(?P<byte>[0-9a-f]{2})|(?P<octal>[0-3][0-7]{2})|[nrtbf])?"
    r"|(?P<entity>&(?:\#x[0-9a-f]+|\#[0-9]+|[a-z][a-z0-9]{1,30});?)"
)
# Names that differ in case alone mean letters that do, and the layers are in lower case: `&NewLine;`, `&Tab;`.
_CHARACTERS_BY_NAME = {f"&{name.lower()}": characters for name, characters in html5.items()}
_ENTITY_NUMBER = re.compile(r"&#(?:[xX]0*([0-9a-fA-F]+)|0*([0-9]+));?")
_PERCENT_BYTE = re.compile(r"%(?:25)*+([89a-f][0-9a-f])")


class _Piece(NamedTuple):
    """A part of a decoded text and its origin in the text before; a literal part has the same length there."""

    start: int
    source_start: int
    source_end: int
    is_literal: bool


class Layer:
    """A text in lower case with some escapes decoded; it remembers the text that it was decoded from."""

    def __init__(self, text: str, source: Layer | None = None, pattern: re.Pattern[str] = _ESCAPE) -> None:
        self.text = text
        self._source = source
        self._pattern = pattern

    def locate(self, start: int, end: int) -> tuple[int, int]:
        """Return where the non-empty part of this text from `start` to `end` is in the original text."""
        if self._source is None:
            return start, end
        first, last = self._piece_at(start), self._piece_at(end - 1)
        source_start = first.source_start + (start - first.start if first.is_literal else 0)
        source_end = last.source_start + end - last.start if last.is_literal else last.source_end
        return self._source.locate(source_start, source_end)

    def _piece_at(self, position: int) -> _Piece:
        return self._pieces[bisect_right(self._starts, position) - 1]

    @cached_property
    def _starts(self) -> list[int]:
        return [piece.start for piece in self._pieces]

    @cached_property
    def _pieces(self) -> list[_Piece]:
        """The pieces in order. They are found only on demand, because hardly any text contains a secret."""
        if self._source is None:
            return []
        pieces, start, position = [], 0, 0
        for match in self._pattern.finditer(self._source.text):
            pieces.append(_Piece(start, position, match.start(), is_literal=True))
            start += match.start() - position
            pieces.append(_Piece(start, match.start(), match.end(), is_literal=False))
            start += len(_decode(match))
            position = match.end()
        return [*pieces, _Piece(start, position, len(self._source.text), is_literal=True)]


def decoded_layers(text: str) -> Iterator[Layer]:
    """Yield the text in lower case without white space, then with its escapes decoded, then without its tags."""
    layer = Layer(_lower(text))
    is_simple = text.isascii() and not any(mark in text for mark in ("\\\n", "\\\r"))
    squeezed = layer.text.translate(_INVISIBLE_ASCII) if is_simple else _INVISIBLE.sub("", layer.text)
    layer = Layer(squeezed, layer, _INVISIBLE)
    yield layer
    for decoded in _unescaped(layer):
        layer = decoded
        yield layer
    if "<" in layer.text:
        layer = Layer(_TAG.sub("", layer.text), layer, _TAG)
        yield layer
        yield from _unescaped(layer)  # tags may divide an escape


def _unescaped(layer: Layer) -> Iterator[Layer]:
    """Yield the layers with the escapes of the one before decoded, at most MAX_LAYERS."""
    for _ in range(MAX_LAYERS):
        if not any(mark in layer.text for mark in "%\\&"):
            break
        decoded = _ESCAPE.sub(_decode, layer.text)
        if decoded == layer.text:
            break
        layer = Layer(decoded, layer, _ESCAPE)
        yield layer


def unescape_html(text: str) -> str:
    """Return the text with its character references decoded; a number beyond Unicode becomes U+FFFD.

    `html.unescape` raises ValueError for a number of thousands of digits.
    """
    return html.unescape(_ENTITY_NUMBER.sub(_bounded_reference, text))


def _bounded_reference(match: re.Match[str]) -> str:
    return match[0] if max(map(len, match.groups(""))) <= MAX_ENTITY_DIGITS else "\ufffd"


def _decode(match: re.Match[str]) -> str:
    """Return what one match of a layer's pattern stands for, in lower case and without white space."""
    if match.re is not _ESCAPE:
        return ""
    if entity := match["entity"]:
        decoded = unescape_html(entity)
        decoded = _CHARACTERS_BY_NAME.get(entity, entity) if decoded == entity else decoded
    elif match["bytes"]:
        decoded = bytes.fromhex("".join(_PERCENT_BYTE.findall(match["bytes"]))).decode(errors="replace")
    elif match["high"]:
        pair = bytes.fromhex(match["high"] + match["low"])
        decoded = pair.decode("utf-16-be")
    elif match["octal"]:
        decoded = chr(int(match["octal"], 8))
    elif code := match["ascii"] or match["unit"] or match["braced"] or match["byte"]:
        decoded = chr(int(code, 16))
    else:
        return ""
    return _INVISIBLE.sub("", _lower(decoded))


def _lower(text: str) -> str:
    """Return the text in lower case with every character at its place, whatever stands beside it."""
    # The lower case of İ is two characters; that of Σ depends on its neighbours.
    if "İ" in text or "Σ" in text:
        return "".join(lower if len(lower := character.lower()) == 1 else character for character in text)
    return text.lower()
