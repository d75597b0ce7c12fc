"""Fuzz targets. Every input must give a value or one of our own errors, without secrets in texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st

from models.errors import AvatarsError

Value = TypeVar("Value")

CANARY = "canary-signature"
HOSTS = [
    "videos.example",
    "VIDEOS.example:8443",
    "127.0.0.1",
    "[::1]",
    "drive.google.com",
    "",
    "[",
    "a:99999",
    "é.example",
]


@dataclass(frozen=True)
class FuzzTarget:
    """One kind of input: the strategy that draws cases, and the check that raises for a failing case."""

    name: str
    cases: st.SearchStrategy[Any]
    check: Callable[[Any], None]
    prepare: Callable[[], None] = lambda: None
    """Loads lazy imports and caches before the first case, so that they do not count as memory growth."""


def expect_own_errors(call: Callable[[], Value], *, secrets: tuple[str, ...] = (CANARY,)) -> Value | None:
    """Return the result of `call`, or None if it raises one of our own errors without secrets."""
    try:
        return call()
    except AvatarsError as error:
        assert_no_secrets([str(error), repr(error), error.message, error.hint, repr(error.__dict__)], secrets)
        return None


def assert_no_secrets(texts: list[str], secrets: tuple[str, ...] = (CANARY,)) -> None:
    """Assert that every text can be encoded and does not contain a secret."""
    for text in texts:
        text.encode()
        for secret in secrets:
            assert secret not in text, text


def unspaced(*, without: str = "") -> st.SearchStrategy[str]:
    """Draw text without white space, because a URL in a text ends there."""
    return st.text(
        st.characters(codec="utf-8", exclude_characters=without).filter(lambda character: not character.isspace()),
        max_size=8,
    )


def secret_urls() -> st.SearchStrategy[str]:
    """Draw URLs of many shapes, with the canary in the query, fragment or user information."""
    schemes = st.sampled_from(["https://", "http://", "HTTPS://"])
    hosts = st.sampled_from(HOSTS) | unspaced(without="/?#@")
    paths = unspaced(without="?#@").map("/".__add__) | st.just("")
    suffixes = st.builds(
        lambda mark, before, after: f"{mark}{before}{CANARY}{after}", st.sampled_from("?#"), unspaced(), unspaced()
    )
    with_query = st.builds(lambda *parts: "".join(parts), schemes, hosts, paths, suffixes)
    users = unspaced(without="/?#")
    with_user_info = st.builds(
        lambda scheme, user, host, path: f"{scheme}{user}{CANARY}@{host}{path}", schemes, users, hosts, paths
    )
    return with_query | with_user_info
