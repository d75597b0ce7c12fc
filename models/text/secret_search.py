"""Finds secrets in a text in any encoding and case, and replaces them.

The encodings are those of models/text/decoding.py, lists of bytes, and base64 and hexadecimal at any position of
the encoded bytes, of the secret as it is or percent-encoded. A server may cut a secret, so its first and its last
half are searched for. The time is linear in the length of the text.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from itertools import islice
from urllib.parse import quote

from models.text.decoding import Layer, decoded_layers

REPLACEMENT = "…"
MIN_SECRET_LENGTH = 8
"""A shorter secret is not searched for: replacing it would damage ordinary words."""
MIN_PART_LENGTH = 4
"""A shorter beginning of a secret at the end of a cut text stays: ordinary words end so."""
MIN_HALF_LENGTH = 12
MIN_HALF_LETTERS, MIN_HALF_DIGITS = 3, 2
"""Half of a secret with fewer may be a word or a number."""
_LETTER, _DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")


class SecretSearch:
    """Replaces a set of secrets in texts. It reads the secrets, and computes their forms, at the first text."""

    def __init__(self, secrets: Iterable[str], shown: str = "") -> None:
        """Create a search.

        Args:
            secrets: Those shorter than MIN_SECRET_LENGTH are ignored. One that begins with a question mark is the
                query of a URL; its mark stays.
            shown: A text that is shown anyway; halves of secrets that it contains are not searched for.
        """
        self._secrets = secrets
        self._shown = shown

    def replace_in(self, text: str, *, is_cut: bool = False) -> str:
        """Return the text with every secret replaced, and with the beginning of one at the end of a cut text."""
        if not self._forms:
            return text
        spans = [
            # The question mark before a query stays.
            layer.locate(start + layer.text.startswith("?", start), end)
            for layer in decoded_layers(text)
            for form, halves in self._forms.items()
            for start, end in _occurrences(form, halves, layer.text)
        ]
        if is_cut:
            spans += [
                span for layer in decoded_layers(text) for form in self._forms for span in _part_at_end(form, layer)
            ]
        return _replace_spans(text, spans) if spans else text

    @cached_property
    def _forms(self) -> dict[str, tuple[str, ...]]:
        """What to look for in the layers of a text, with its halves if they are long enough."""
        forms = {form for secret in self._secrets if len(secret) >= MIN_SECRET_LENGTH for form in _forms(secret)}
        shown = "".join(self._shown.lower().split())
        return {
            form: tuple(half for half in _halves(form) if half not in shown)
            for form in forms
            if len(form) >= MIN_SECRET_LENGTH and REPLACEMENT not in form
        }


def _forms(secret: str) -> Iterator[str]:
    encoded = secret.encode("utf-8", "surrogatepass")
    forms = _decoded_forms(secret)
    # The user information of HTTP is percent-encoded before base64 (RFC 6749, section 2.3.1).
    for octets in {encoded, quote(encoded, safe="").encode()}:
        forms += [octets.hex(), octets.hex(":"), octets.hex("-")]
        forms += [
            _base64_form(octets, offset, alphabet).lower() for alphabet in (b"+/", b"-_") for offset in range(3)
        ]
    yield from forms
    yield from (",".join(map(byte, encoded)) for byte in (str, hex))  # as Node.js and C write bytes
    yield from (form.replace("+", "") for form in forms)  # a decoded query has spaces there, which the layers drop
    yield from _decoded_forms("+".join(secret.split()))  # a query writes spaces so


def _decoded_forms(text: str) -> list[str]:
    return [layer.text for layer in decoded_layers(text)]


def _base64_form(secret: bytes, offset: int, alphabet: bytes) -> str:
    """Return the characters that encode only the secret, if `offset` (modulo 3) other bytes precede it."""
    encoded = base64.b64encode(b"\0" * offset + secret, alphabet).decode().rstrip("=")
    is_last_shared = (offset + len(secret)) % 3 != 0
    return encoded[offset + (offset > 0) : len(encoded) - is_last_shared]


def _halves(form: str) -> Iterator[str]:
    length = (len(form) + 1) // 2
    for half in (form[:length], form[-length:]):
        has_both = _has(_LETTER, half, MIN_HALF_LETTERS) and _has(_DIGIT, half, MIN_HALF_DIGITS)
        if length >= MIN_HALF_LENGTH and has_both:
            yield half


def _has(pattern: re.Pattern[str], text: str, count: int) -> bool:
    """Return whether the text has at least `count` matches; it is not read further."""
    return next(islice(pattern.finditer(text), count - 1, None), None) is not None


def _occurrences(form: str, halves: Iterable[str], text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of a form, and those of its halves with what follows or precedes in the form."""
    for start in _positions(form, text):
        yield start, start + len(form)
    for half in halves:
        for start in _positions(half, text):
            if form.startswith(half):
                yield start, start + _common_length(form, text[start : start + len(form)])
            else:
                end = start + len(half)
                before = text[max(end - len(form), 0) : end]
                yield end - _common_length(form[::-1], before[::-1]), end


def _common_length(first: str, second: str) -> int:
    """Return with how many characters both texts begin."""
    differing = (position for position, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    return next(differing, min(len(first), len(second)))


def _positions(form: str, text: str) -> Iterator[int]:
    start = text.find(form)
    while start >= 0:
        yield start
        start = text.find(form, start + len(form))


def _part_at_end(form: str, layer: Layer) -> Iterator[tuple[int, int]]:
    """Yield the span of the longest beginning of the form with which the text ends."""
    for length in range(min(len(form), len(layer.text)), MIN_PART_LENGTH - 1, -1):
        if layer.text.endswith(form[:length]):
            yield layer.locate(len(layer.text) - length, len(layer.text))
            return


def _replace_spans(text: str, spans: list[tuple[int, int]]) -> str:
    """Return the text with each span replaced; spans that overlap or touch are replaced as one."""
    pieces: list[str] = []
    position = 0
    for start, end in sorted(spans):
        if start > position or not pieces:
            pieces += [text[position:start], REPLACEMENT]
        position = max(position, end)
    return "".join([*pieces, text[position:]])


@lru_cache(maxsize=32)
def search_for(secrets: tuple[str, ...]) -> SecretSearch:
    """Return the search for these secrets; it is kept, because its forms take time to compute."""
    return SecretSearch(secrets)
