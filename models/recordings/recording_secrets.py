"""Finds the secrets in the URLs of a request's recordings, so that no text repeats them while it is processed.

models/text/redaction.py recognizes a URL, and a signature by the name of its parameter. A server may repeat the
path and query without the host, or one value alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from urllib.parse import parse_qsl, unquote, unquote_plus

from models.recordings.signature_parameters import is_public_parameter, names_recording
from models.recordings.signature_terms import MAX_QUERY_PARAMETERS
from models.request import AvatarRequest
from models.text.redaction import nested_redaction_scope, redaction_scope, register_secret
from models.text.secret_search import SecretSearch

MIN_RANDOM_LENGTH = 16
"""A shorter value of a parameter that is not named as a secret may be a word, a date or a number."""
MIN_RANDOM_CHANGES = 3
"""So many letters and digits, or capital letters after small ones, a random value has."""
MAX_WORD_LENGTH = 11
MAX_NESTED_URLS = 3
"""How deeply a URL in the query of a URL is searched."""

_SECRET_NAME = re.compile(
    r"sig|token|cred|secret|pass|pwd|key|policy|session|ticket|nonce|hash|auth|hmac|jwt|hdn|gda|md5|verify|secure|code|accessid|q-ak|^(?:hm|at|e|pw|sid|otp)$",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(r"[~|,;:/=&*!\s]+")
_LETTER, _DIGIT, _RISE = re.compile(r"[A-Za-z]"), re.compile(r"[0-9]"), re.compile(r"[a-z][A-Z]")
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.]{5,15}Z?)?")
_USERINFO = re.compile(r"[^/?#]*//([^/?#]*)@")


def protect_request(request: AvatarRequest) -> AbstractContextManager[None]:
    """Make `redact` replace the secrets of the request's recordings, until the block ends."""
    shown = [request.name, request.reference or "", *request.extras, *request.extras.values()]
    return protect_urls(request.recordings.values(), shown)


def protect_urls(
    urls: Iterable[str], shown: Iterable[str] = (), *, secrets: Iterable[str] = ()
) -> AbstractContextManager[None]:
    """Make `redact` replace the secrets of these URLs, until the block ends.

    Args:
        urls: URLs, or other text.
        shown: Texts that are shown anyway; what they contain is not a secret.
        secrets: Other texts that are secrets.
    """
    urls = list(urls)
    visible = "\n".join([*shown, *(unquote(url.partition("?")[0]) for url in urls)])
    return redaction_scope(SecretSearch([*_secrets(urls, visible), *secrets], visible))


def protect_signed_urls(urls: Iterable[str]) -> AbstractContextManager[None]:
    """Make `redact` replace the secrets of URLs that this process signed, until the block ends.

    Unlike those of `protect_urls`, they are replaced in addition to the secrets of the request.
    """
    return nested_redaction_scope(SecretSearch(_secrets(urls, ""), ""))


def secrets_of_url(url: str) -> Iterator[str]:
    """Yield the user information, the query as a whole (after a question mark) and its values that are secrets."""
    if userinfo := _USERINFO.match(url):
        for part in (userinfo[1], *userinfo[1].split(":", 1)):
            yield from (part, unquote(part))
    yield from _secrets_of_query(url, MAX_NESTED_URLS)


def register_password(url: str) -> None:
    """Make `redact` replace the passwords in a URL and its parameters in this process."""
    # The password may contain a slash or an @, and so may the parameters.
    parts = url.partition("//")[2].split("@")
    for count in range(1, len(parts)):
        register_credentials("@".join(parts[:count]))
    for name, value in parse_qsl(url.partition("?")[2]):
        if "password" in name.lower():
            _register_unless_word(value)


def register_credentials(text: str) -> None:
    """Make `redact` replace the password of `user:password`, or of `:password`, in this process."""
    password = text.partition(":")[2]
    for form in (password, unquote(password)):
        _register_unless_word(form)


def _register_unless_word(password: str) -> None:
    if not is_word(password):
        register_secret(password)


def is_word(text: str) -> bool:
    """Whether a text may be an ordinary word, which must not be replaced everywhere."""
    return text.isalpha() and len(text) <= MAX_WORD_LENGTH


def _secrets(urls: Iterable[str], visible: str) -> Iterator[str]:
    visible = visible.lower()
    for url in urls:
        for secret in secrets_of_url(url):
            if secret.lower() not in visible:
                yield secret


def _secrets_of_query(url: str, depth: int) -> Iterator[str]:
    query = url.partition("?")[2].partition("#")[0]
    if not query or not depth:
        return
    yield f"?{query}"
    for parameter in query.split("&", MAX_QUERY_PARAMETERS)[:MAX_QUERY_PARAMETERS]:
        name, _, value = parameter.partition("=")
        name, decoded = unquote_plus(name), unquote_plus(value)
        yield from _secrets_of_query(decoded, depth - 1)
        if is_public_parameter(name):
            continue
        if _SECRET_NAME.search(name):
            yield from (
                each for each in (value, unquote(value), decoded) if not is_word(each) and not _TIME.fullmatch(each)
            )
            # A credential contains an account, a token of Akamai its HMAC.
            yield from (part for part in _SEPARATOR.split(decoded) if len(part) >= MIN_RANDOM_LENGTH)
        elif _looks_random(decoded):
            yield from (value, unquote(value), decoded)


def _looks_random(value: str) -> bool:
    """Whether the value is long and mixes letters and digits, or small and capital letters, as no name does."""
    if len(value) < MIN_RANDOM_LENGTH or " " in value or "://" in value or names_recording(value):
        return False
    is_mixed = min(len(_LETTER.findall(value)), len(_DIGIT.findall(value))) >= MIN_RANDOM_CHANGES
    return is_mixed or len(_RISE.findall(value)) >= MIN_RANDOM_CHANGES
