"""Takes secrets out of text: queries and user information of URLs, signatures by their names, and known secrets.

The one redaction: logs, errors, states, artifacts, events and output all use it.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

_WITHHELD = "…"
SHORTEST_SECRET = 8
"""A shorter one would take innocent words with it."""

# Each as it is, percent-encoded (once or more), and as JSON may escape it.
_COLON = r"(?::|%(?:25)*3a|\\+u003a)"
_SLASH = r"(?:\\*/|%(?:25)*2f|\\+u002f)"
_IS = r"(?:=|%(?:25)*3d|\\+u003d)"
# Up to the next white space: a query may hold quotes, and what follows them may be its signature.
_URL = re.compile(rf"(?<![a-z0-9+.-])[a-z0-9+.-]+{_COLON}{_SLASH}{{2}}\S+", re.IGNORECASE)
_FRAGMENT = re.compile(r"#|\\+u0023")
_QUERY = re.compile(r"\?|\\+u003f", re.IGNORECASE)
# In a URL within a URL, or one that is encoded as a whole.
_ENCODED = re.compile(rf"(%(?:25)*3a{_SLASH}{{2}}.*?)%(?:25)*(?:3f|23).*", re.IGNORECASE)
_ENCODED_USERINFO = re.compile(rf"(%(?:25)*3a{_SLASH}{{2}})(?:(?!%(?:25)*2f)[^/])*?%(?:25)*40", re.IGNORECASE)
_USERINFO = re.compile(r"^([^/]*/\\*/)[^/]*@")
# A database's URL may hold a password with a slash.
_PASSWORD = re.compile(r"^((?!https?:)[^/]*//[^/:@]*):[^@]*@", re.IGNORECASE)
# What is left of a URL where somebody cut it: the parameters that are secrets.
_PARAMETER = re.compile(
    r"(?<![a-z0-9_])((?:"
    r"x-(?:amz|goog|oss|obs|tos)-(?:signature|credential|security-token)"
    rf"[\"']?\s*(?:{_IS}|:)\s*"
    rf"|(?:sig|signature|token|access_token|password|api_?key){_IS}"
    rf")[\"']?)(?!{_WITHHELD})[^\s&\"'<>\\]+",
    re.IGNORECASE,
)
# Without one of these there is neither a URL nor a parameter: most texts need no more than this look.
_SIGNS = re.compile(r"[:=%\\]")

_known: set[str] = set()


def withhold(secret: str) -> None:
    """Have `redact` take this secret out of every text of this process, also in its percent-encoded form."""
    if len(secret) >= SHORTEST_SECRET:
        _known.update((secret, quote(secret, safe="")))


def redact_url(url: str) -> str:
    """Return the URL without userinfo, query and fragment; `?…` marks where a query stood.

    Presigned URLs carry their signature in the query. Text that is no URL comes back up to its first `?`.
    """
    # By hand: urlsplit gives up on some malformed hosts, and a malformed URL has secrets too.
    bare, *query = _QUERY.split(_FRAGMENT.split(url, maxsplit=1)[0], maxsplit=1)
    bare = _USERINFO.sub(r"\1", _PASSWORD.sub(r"\1@", bare))
    bare = _ENCODED_USERINFO.sub(r"\1", _ENCODED.sub(rf"\1?{_WITHHELD}", bare))
    return f"{bare}?{_WITHHELD}" if any(query) and not bare.endswith(f"?{_WITHHELD}") else bare


def redact(text: str) -> str:
    """Return the text with each URL in it redacted, and without signatures and known secrets."""
    text = _without_queries(text)
    for secret in _known:
        text = text.replace(secret, _WITHHELD)
    return text


def looks_secret(text: str) -> bool:
    """Whether the text holds a URL with a query or user information, or a signature; the same in every process."""
    return _without_queries(text) != text


def _without_queries(text: str) -> str:
    if not _SIGNS.search(text):
        return text
    return _PARAMETER.sub(rf"\1{_WITHHELD}", _URL.sub(lambda match: redact_url(match.group()), text))


def redact_json(value: Any) -> Any:
    """Return decoded JSON with every text in it redacted, keys too."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(key) if isinstance(key, str) else key: redact_json(item) for key, item in value.items()}
    return [redact_json(item) for item in value] if isinstance(value, list | tuple) else value
