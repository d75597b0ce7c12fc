"""Redacts secrets in text: those that models/text/url_redaction.py recognizes, and known secrets.

Known secrets are those of the process (`register_secret`) and those of the request that the current task processes
(`redaction_scope`). Logs, errors, Prefect states, artifacts, events and command output all use this module.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from itertools import islice
from typing import Any

from models.text.secret_search import MIN_SECRET_LENGTH, REPLACEMENT, SecretSearch, search_for
from models.text.url_redaction import redact_urls_in

MAX_FAILED_SCOPES = 10_000
"""How many scopes that an exception has left are remembered for its traceback, which is formatted later.

A batch with thousands of rows reports the first exception after all rows have ended.
"""
MAX_RECENT_SCOPES = 50
"""How many of them, the newest, are searched for in any traceback: an exception may quote another one's text."""

_registered_secrets: list[str] = []
_scope: ContextVar[tuple[SecretSearch, ...]] = ContextVar("redaction_scope", default=())
_failed_scopes: dict[int, tuple[SecretSearch, ...]] = {}
"""By the `id` of the exception, which a later exception may reuse; then more is replaced than necessary."""


def register_secret(secret: str) -> None:
    """Make `redact` replace this secret in this process, in any encoding of models/text/secret_search.py.

    A secret shorter than MIN_SECRET_LENGTH is ignored.
    """
    if len(secret) >= MIN_SECRET_LENGTH and secret not in _registered_secrets:
        _registered_secrets.append(secret)


@contextlib.contextmanager
def redaction_scope(search: SecretSearch) -> Iterator[None]:
    """Make `redact` replace further secrets in the current task, and in tasks that it starts, until the block ends.

    Within another such block this one has no effect: both are about the same request.
    """
    if _scope.get():
        yield
        return
    with nested_redaction_scope(search):
        yield


@contextlib.contextmanager
def nested_redaction_scope(search: SecretSearch) -> Iterator[None]:
    """Like `redaction_scope`, but also within another such block, in addition to its secrets."""
    searches = (*_scope.get(), search)
    token = _scope.set(searches)
    try:
        yield
    except BaseException as error:
        left = _failed_scopes.pop(id(error), ())  # so that the new entry is the newest
        # A block within this one has stored its secrets together with those of this block.
        _failed_scopes[id(error)] = left if any(search is each for each in left) else searches
        if len(_failed_scopes) > MAX_FAILED_SCOPES:
            del _failed_scopes[next(iter(_failed_scopes))]
        raise
    finally:
        _scope.reset(token)


def cut_at_white_space(text: str, max_characters: int) -> str:
    """Return the text, or its beginning up to a white space, so that it does not end in half of a URL."""
    if len(text) <= max_characters:
        return text
    kept = text[:max_characters].rsplit(maxsplit=1)
    return kept[0] if len(kept) > 1 else ""


def redact(text: str, *, max_characters: int | None = None) -> str:
    """Return the text with every URL redacted, and without signature parameters and known secrets.

    Args:
        text: Any text.
        max_characters: A longer text is cut first, at the last white space, with what may be half of a secret.
    """
    return _redact(text, [_process_secrets(), *_scope.get()], max_characters)


def redact_report(text: str, error: BaseException, *, max_characters: int | None = None) -> str:
    """Redact the report of an exception, also if the exception has left the scope whose secrets it contains."""
    left = {each: _failed_scopes[each] for each in _chained_ids(error) if each in _failed_scopes}
    recent = islice(reversed(_failed_scopes.items()), MAX_RECENT_SCOPES)
    searches = itertools.chain(_scope.get(), *{**left, **dict(recent)}.values())
    return _redact(text, [_process_secrets(), *searches], max_characters)


def _chained_ids(error: BaseException) -> set[int]:
    """Return the `id` of an exception and of every exception that its traceback shows."""
    found: set[int] = set()
    remaining: list[BaseException | None] = [error]
    while remaining:
        each = remaining.pop()
        if each is not None and id(each) not in found:
            found.add(id(each))
            remaining += [each.__cause__, each.__context__]
            remaining += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
    return found


def redact_json(value: Any) -> Any:
    """Return decoded JSON with every string redacted, including keys."""
    return _map_strings(redact, value)


def redact_stored(value: Any) -> Any:
    """Like `redact_json`, but without the secrets of the current scope.

    It is for values that are compared later: an ETag in the ledger must not depend on the task that wrote it.
    """
    return _map_strings(lambda text: _redact(text, [_process_secrets()]), value)


def _process_secrets() -> SecretSearch:
    return search_for(tuple(_registered_secrets))


def _redact(text: str, searches: Iterable[SecretSearch], max_characters: int | None = None) -> str:
    is_cut = max_characters is not None and len(text) > max_characters
    if max_characters is not None:
        text = cut_at_white_space(text, max_characters)
    text = redact_urls_in(text)
    if len(text) >= MIN_SECRET_LENGTH:
        for search in searches:
            text = search.replace_in(text, is_cut=is_cut)
    return f"{text} {REPLACEMENT}" if is_cut else text


def _map_strings(function: Callable[[str], str], value: Any) -> Any:
    if isinstance(value, str):
        return function(value)
    if isinstance(value, dict):
        return {_map_strings(function, key): _map_strings(function, item) for key, item in value.items()}
    return [_map_strings(function, item) for item in value] if isinstance(value, list | tuple) else value
