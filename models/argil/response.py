"""What can be read from one HTTP response of Argil's host, before its meaning is decided.

A gateway, a proxy or a challenge page may answer in Argil's place. models/argil/response_meaning.py decides the
meaning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any

from models.argil.avatar import Avatar, read_extras
from models.argil.json_body import parse_json_or_none
from models.request_fields import SUBMISSION_ID_EXTRA
from models.text.decoding import unescape_html
from models.text.redaction import cut_at_white_space

MAX_BODY_CHARACTERS = 65_536
"""The part of a body that is read for people; a longer one is a file or an attack."""
MAX_TEXT_CHARACTERS = 16_384
"""The part of a message or a text that is searched for secrets. A few hundred of its characters are shown."""
MAX_PAGE_CHARACTERS = 4000
"""The part of a page that is searched for words."""
_HTML_TYPES = ("text/html", "application/xhtml", "text/xml", "application/xml")
_INVISIBLE = re.compile(r"<(script|style|svg)\b.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
# Tags within a word: a page may break a long URL with them.
_INLINE_TAG = re.compile(r"</?(?:a|b|code|em|font|i|mark|small|span|strong|tt|u|wbr)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>?")


@dataclass(frozen=True)
class ArgilResponse:
    """One response: status, headers with names in lower case, and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes | bytearray = b""
    is_list: bool = False
    """Whether thousands of objects may follow; then an array stays text, and a repeated key is not detected."""

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @cached_property
    def content_type(self) -> str:
        """The media type in lower case without parameters; empty if the header is absent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @cached_property
    def json(self) -> object:
        """The decoded JSON body, None if it is not JSON or an object has a key twice."""
        return parse_json_or_none(self.body, unique_keys=not self.is_list, keep_array=self.is_list)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The properties of the JSON object in the body; empty if it has none."""
        return self.json if isinstance(self.json, dict) else {}

    @cached_property
    def avatar(self) -> Avatar | None:
        """The avatar in the body, None if it has no usable id."""
        return Avatar.parse_created(self.json)

    @property
    def submission_id(self) -> str | None:
        """The correlation key in the body's `extras`, None if absent."""
        return (read_extras(self.fields.get("extras")) or {}).get(SUBMISSION_ID_EXTRA)

    @property
    def raw_submission_id(self) -> object:
        """The value of the correlation key in the body's `extras`, of any type; None if absent."""
        extras = self.fields.get("extras")
        return extras.get(SUBMISSION_ID_EXTRA) if isinstance(extras, dict) else self.submission_id

    @property
    def is_empty(self) -> bool:
        """Whether the body holds only white space."""
        return not self.body.strip()

    @cached_property
    def is_page(self) -> bool:
        """Whether the body is a page for browsers, which Argil's API never sends."""
        if self.is_empty or self.json is not None:
            return False
        return self.content_type in _HTML_TYPES or self.body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")

    @cached_property
    def is_argil_error(self) -> bool:
        """Whether the body is Argil's documented error: a JSON object with an integer code and a message."""
        if "json" not in self.content_type and self.content_type:
            return False
        code, message = self.fields.get("code"), self.fields.get("message")
        return type(code) is int and isinstance(message, str)  # not isinstance: True is an int

    @property
    def error_code(self) -> int | None:
        """The integer `code` of the body, None if absent."""
        code = self.fields.get("code")
        return code if type(code) is int else None

    def words(self, hide: Callable[[str], str]) -> str:
        """Return what the body says to people, on one line; empty if it says nothing.

        Args:
            hide: Removes secrets. It is applied before a page is shortened, which could leave half of a secret.
        """
        message = self.fields.get("message")
        if message and isinstance(message, str):
            return " ".join(hide(cut_at_white_space(message, MAX_TEXT_CHARACTERS)).split())
        text = self.body.decode(json.detect_encoding(self.body), errors="replace")
        if not self.is_page:
            return " ".join(hide(cut_at_white_space(text, MAX_TEXT_CHARACTERS)).split())
        text = cut_at_white_space(text, MAX_BODY_CHARACTERS)
        text = hide(unescape_html(_INLINE_TAG.sub("", text)))[:MAX_PAGE_CHARACTERS]
        text = unescape_html(_TAG.sub(" ", _INVISIBLE.sub(" ", text)))
        return " ".join(text.split())
