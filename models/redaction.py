"""Redacts secrets in text: queries and userinfo of URLs, signature parameters by name, and registered secrets.

Logs, errors, Prefect states, artifacts, events and command output all use this module.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

_REPLACEMENT = "…"
MIN_SECRET_LENGTH = 8
"""A shorter secret is not registered: replacing it would damage ordinary words."""

# Each character literally, percent-encoded (once or more), and as a JSON escape.
_COLON = r"(?::|%(?:25)*3a|\\+u003a)"
_SLASH = r"(?:\\*/|%(?:25)*2f|\\+u002f)"
_EQUALS = r"(?:=|%(?:25)*3d|\\+u003d)"
# Up to the next white space: a query may contain quotes, and the signature may follow them.
_URL = re.compile(rf"(?<![a-z0-9+.-])[a-z0-9+.-]+{_COLON}{_SLASH}{{2}}\S+", re.IGNORECASE)
_FRAGMENT = re.compile(r"#|\\+u0023")
_QUERY = re.compile(r"\?|\\+u003f", re.IGNORECASE)
# In a URL nested in another one, or a URL that is percent-encoded as a whole.
_ENCODED = re.compile(rf"(%(?:25)*3a{_SLASH}{{2}}.*?)%(?:25)*(?:3f|23).*", re.IGNORECASE)
_ENCODED_USERINFO = re.compile(rf"(%(?:25)*3a{_SLASH}{{2}})(?:(?!%(?:25)*2f)[^/])*?%(?:25)*40", re.IGNORECASE)
_USERINFO = re.compile(r"^([^/]*/\\*/)[^/]*@")
# A database URL may contain a password with a slash.
_PASSWORD = re.compile(r"^((?!https?:)[^/]*//[^/:@]*):[^@]*@", re.IGNORECASE)
# In a fragment of a truncated URL: the parameters that are secrets.
_PARAMETER = re.compile(
    r"(?<![a-z0-9_])((?:"
    r"x-(?:amz|goog|oss|obs|tos)-(?:signature|credential|security-token)"
    rf"[\"']?\s*(?:{_EQUALS}|:)\s*"
    rf"|(?:sig|signature|token|access_token|password|api_?key){_EQUALS}"
    rf")[\"']?)(?!{_REPLACEMENT})[^\s&\"'<>\\]+",
    re.IGNORECASE,
)
# A text without any of these contains neither a URL nor a parameter; this check is enough for most texts.
_SECRET_MARKERS = re.compile(r"[:=%\\]")

_registered_secrets: list[str] = []
"""Longest first: replacing a secret that is part of another one would leave the rest of that one."""


def register_secret(secret: str) -> None:
    """Make `redact` replace this secret in this process, also in its percent-encoded form.

    A secret shorter than MIN_SECRET_LENGTH is ignored.
    """
    if len(secret) >= MIN_SECRET_LENGTH:
        secrets = {*_registered_secrets, secret, quote(secret, safe="")}
        _registered_secrets[:] = sorted(secrets, key=len, reverse=True)


def redact_url(url: str) -> str:
    """Return the URL without userinfo, query and fragment; `?…` replaces a query.

    Presigned URLs carry their signature in the query. Text that is not a URL is returned up to its first `?`.
    """
    # Not urlsplit: it raises on some malformed hosts, and a malformed URL can hold secrets too.
    bare, *query = _QUERY.split(_FRAGMENT.split(url, maxsplit=1)[0], maxsplit=1)
    bare = _USERINFO.sub(r"\1", _PASSWORD.sub(r"\1@", bare))
    bare = _ENCODED_USERINFO.sub(r"\1", _ENCODED.sub(rf"\1?{_REPLACEMENT}", bare))
    return f"{bare}?{_REPLACEMENT}" if any(query) and not bare.endswith(f"?{_REPLACEMENT}") else bare


def redact(text: str) -> str:
    """Return the text with every URL redacted, and without signature parameters and registered secrets."""
    text = _strip_queries(text)
    for secret in _registered_secrets:
        text = text.replace(secret, _REPLACEMENT)
    return text


def contains_secret(text: str) -> bool:
    """Whether the text contains a URL with a query or userinfo, or a signature parameter.

    The result does not depend on registered secrets, so it is the same in every process.
    """
    return _strip_queries(text) != text


def _strip_queries(text: str) -> str:
    if not _SECRET_MARKERS.search(text):
        return text
    return _PARAMETER.sub(rf"\1{_REPLACEMENT}", _URL.sub(lambda match: redact_url(match.group()), text))


def redact_json(value: Any) -> Any:
    """Return decoded JSON with every string redacted, including keys."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(key) if isinstance(key, str) else key: redact_json(item) for key, item in value.items()}
    return [redact_json(item) for item in value] if isinstance(value, list | tuple) else value
