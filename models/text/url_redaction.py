"""Redacts in text what is a secret by its form: queries and userinfo of URLs, and signature parameters by name.

It takes linear time for any text; tests/test_linear_time.py measures it. models/text/redaction.py adds known
secrets.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable

from models.text.secret_search import REPLACEMENT

MAX_REPETITIONS = 4
"""Of the replacement in one text; three were enough for 300,000 random sequences of delimiters and parameters."""


def _literal(character: str, entity: str) -> str:
    """Return a pattern for a character: as it is, as a JSON escape, or as a character reference of HTML."""
    code = f"{ord(character):02x}"
    # A match starts at the first backslash of a run, so that a search is linear: JSON within JSON has long runs.
    # Each alternative starts with a literal, by which `re` finds the places to try.
    references = rf"&(?:{entity}|\#0*+{ord(character)}|\#x0*+{code});"
    return rf"{re.escape(character)}|\\(?<!\\\\)\\*+(?:u00|x){code}|{references}"


def _encoded(character: str) -> str:
    """Return a pattern for a character that is percent-encoded, once or more."""
    return rf"%(?:25)*+{ord(character):02x}"


_COLON, _SLASH, _AT = _literal(":", "colon"), _literal("/", "sol"), _literal("@", "commat")
_ENCODED_COLON, _ENCODED_SLASH, _ENCODED_AT = map(_encoded, ":/@")
_EQUALS = rf"(?:{_literal('=', 'equals')}|{_encoded('=')})"
_ANY_SLASH = rf"(?:\\*+/|{_SLASH}|{_ENCODED_SLASH})"
_SCHEME = rf"(?<![a-z0-9+.-])(?P<scheme>[a-z0-9+.-]++)(?:{_COLON}|{_ENCODED_COLON}){_ANY_SLASH}{{2}}"
# Up to the next white space: a query may contain quotes, and the signature may follow them.
_URL = re.compile(rf"{_SCHEME}\S+", re.IGNORECASE)
_AUTHORITY_START = re.compile(rf"{_SCHEME}|^{_ANY_SLASH}{{2}}", re.IGNORECASE)
# The # of a character reference for a delimiter begins no fragment.
_FRAGMENT = r"#(?!(?<=&#)(?:58|47|64|63|x3a|x2f|x40|x3f);)|\\(?<!\\\\)\\*+(?:u00|x)23|&num;"
_QUERY = re.compile(_literal("?", "quest"), re.IGNORECASE)
_END = re.compile(rf"{_QUERY.pattern}|{_FRAGMENT}", re.IGNORECASE)
# In a URL nested in another one, or a URL that is percent-encoded as a whole.
_ENCODED_END = re.compile(rf"{_encoded('?')}|{_encoded('#')}", re.IGNORECASE)
_WEB_SCHEMES = ("http", "https", "ws", "wss")


class _Delimiters:
    """The delimiters of an authority, in a URL that is percent-encoded or not."""

    def __init__(self, colon: str, slash: str, at: str) -> None:
        self.slash = re.compile(slash, re.IGNORECASE)
        self.at = re.compile(at, re.IGNORECASE)
        self.any = re.compile(rf"(?P<colon>{colon})|{slash}|{at}", re.IGNORECASE)


_LITERAL_DELIMITERS = _Delimiters(_COLON, _SLASH, _AT)
_ENCODED_DELIMITERS = _Delimiters(
    rf"{_COLON}|{_ENCODED_COLON}", rf"{_SLASH}|{_ENCODED_SLASH}", rf"{_AT}|{_ENCODED_AT}"
)
_QUOTE = r"(?:\\*+[\"']|&(?:quot|apos|\#0*+3[49]|\#x0*+2[27]);)"
# In a fragment of a truncated URL, or as JSON, a list or a dict: the parameters that are secrets.
_PARAMETER = re.compile(
    r"(?<![a-z0-9_])((?:"
    r"x-(?:amz|goog|oss|obs|tos)-(?:signature|credential|security-token)"
    rf"(?:{_QUOTE}?\s*+(?:{_EQUALS}|:)|{_QUOTE}\s*+,)\s*+\[*+"
    r"|(?:sig|signature|token|access_token|password|api_?key|awsaccesskeyid|googleaccessid|ossaccesskeyid|key-pair-id"
    r"|q-ak|q-signature|temp_url_sig|x-cos-security-token|hdnts|hdnea|hdntl|__token__|rlkey|tempauth)"
    rf"(?:{_EQUALS}|{_QUOTE}\s*+:\s*+\[*+(?={_QUOTE}))"
    # A value in base64 has slashes and plus signs, which JSON and HTML may escape.
    rf"){_QUOTE}?)"
    r"(?:[^\s&\"'<>\\]|\\++(?:/|u00[0-9a-f]{2})|&(?:\#x?[0-9a-f]{1,7}|sol|plus|equals);)+",
    re.IGNORECASE,
)
# Libraries shorten a value in its middle; the rest may be the end of a query, without the URL to which it belongs.
# SQLAlchemy does so with a parameter of more than 300 characters, pydantic with an input of more than 50.
_SHORTENED = re.compile(
    r"(\([0-9]{1,12} characters truncated\) \.{3} )\S++"
    r"|(input_value=[^\n]{0,40}?\.{3})[^\n]{1,40}?(?=, input_type=)"
)
_SHORTENED_MARKS = ("characters truncated) ... ", "input_value=")
# A text without these has neither userinfo nor a URL or parameter; the checks are enough for most texts.
_USERINFO_MARKS = re.compile(r"[@%\\&]")
_URL_MARKS = ("//", "%", "\\", "&")
_PARAMETER_WORDS = ("sig", "token", "key", "password", "credential", "accessid", "q-ak", "hdn", "tempauth")


def redact_url(url: str) -> str:
    """Return the URL without userinfo, query and fragment; `?…` replaces a query.

    Presigned URLs carry their signature in the query. Text that is not a URL is returned up to its first `?`.
    """
    return _repeat(_redact_url_once, url)


def redact_urls_in(text: str) -> str:
    """Return the text with every URL redacted as by `redact_url`, and without signature parameters."""
    return _repeat(_redact_urls_once, text)


def contains_secret(text: str) -> bool:
    """Whether the text contains a URL with a query or userinfo, or a signature parameter.

    The result does not depend on known secrets, so it is the same in every process.
    """
    return redact_urls_in(text) != text


def _repeat(replace: Callable[[str], str], text: str) -> str:
    """Replace until nothing changes: what is removed may turn the rest of a hostile text into another URL."""
    for _ in range(MAX_REPETITIONS):
        replaced = replace(text)
        if replaced == text:
            return text
        text = replaced
    return REPLACEMENT


def _redact_url_once(url: str) -> str:
    # Not urlsplit: it raises on some malformed hosts, and a malformed URL can hold secrets too.
    end = _END.search(url)
    bare = url[: end.start()] if end else url
    encoded_end = _find_encoded_end(bare) if "%" in bare else None
    bare = bare[: encoded_end.start()] if encoded_end else bare
    bare = _strip_userinfo(bare) if _USERINFO_MARKS.search(bare) else bare
    has_query = encoded_end is not None or (end is not None and _is_query(url, end))
    return f"{bare}?{REPLACEMENT}" if has_query else bare


def _redact_urls_once(text: str) -> str:
    if any(mark in text for mark in _URL_MARKS):
        text = _URL.sub(lambda match: _redact_url_once(match.group()), text)
    lowered = text.lower()
    if any(word in lowered for word in _PARAMETER_WORDS):
        text = _PARAMETER.sub(rf"\1{REPLACEMENT}", text)
    if any(mark in text for mark in _SHORTENED_MARKS):
        text = _SHORTENED.sub(rf"\1\2{REPLACEMENT}", text)
    return text


def _is_query(url: str, mark: re.Match[str]) -> bool:
    """Whether the mark is a question mark, and a query follows it."""
    if not _QUERY.fullmatch(mark.group()) or mark.end() == len(url):
        return False
    following = _END.match(url, mark.end())
    return following is None or _QUERY.fullmatch(following.group()) is not None


def _find_encoded_end(url: str) -> re.Match[str] | None:
    """Return the first encoded question mark or number sign after the beginning of an encoded URL."""
    start = next((start for start in _AUTHORITY_START.finditer(url) if "%" in start.group()), None)
    return _ENCODED_END.search(url, start.end()) if start else None


def _strip_userinfo(url: str) -> str:
    """Return the URL, and each URL in it, without userinfo."""
    ends = {each: [at.end() for at in each.at.finditer(url)] for each in (_LITERAL_DELIMITERS, _ENCODED_DELIMITERS)}
    pieces, position = [], 0
    while start := _AUTHORITY_START.search(url, position):
        delimiters = _ENCODED_DELIMITERS if "%" in start.group() else _LITERAL_DELIMITERS
        pieces.append(url[position : start.end()])
        limit = _authority_end(url, start, delimiters)
        last = bisect_left(ends[delimiters], limit + 1) - 1
        position = max(start.end(), ends[delimiters][last] if last >= 0 else 0)
    return "".join([*pieces, url[position:]])


def _authority_end(url: str, start: re.Match[str], delimiters: _Delimiters) -> int:
    """Return where the authority ends; the password of a database URL may contain a slash."""
    first = delimiters.any.search(url, start.end())
    if first and first["colon"] and not (start["scheme"] or "http").lower().endswith(_WEB_SCHEMES):
        return len(url)
    slash = delimiters.slash.search(url, start.end())
    return slash.start() if slash else len(url)
