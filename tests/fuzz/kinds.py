"""What a kind of input is, and what holds for each: a value or one of our own errors, and no secret told."""

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
class Kind:
    """One kind of input: how cases are drawn, and what fails (raises) where a case breaks a promise."""

    name: str
    cases: st.SearchStrategy[Any]
    check: Callable[[Any], None]
    prepare: Callable[[], None] = lambda: None
    """Loads what the first case would load: it counts as the program, and not as growth."""


def ours(call: Callable[[], Value], *, secrets: tuple[str, ...] = (CANARY,)) -> Value | None:
    """Return what `call` returns, None where it raises one of our own errors: whose words are then looked at."""
    try:
        return call()
    except AvatarsError as error:
        assert_tells_nothing([str(error), repr(error), error.message, error.hint, repr(error.__dict__)], secrets)
        return None


def assert_tells_nothing(texts: list[str], secrets: tuple[str, ...] = (CANARY,)) -> None:
    """Every text can be printed, and holds no secret."""
    for text in texts:
        text.encode()
        for secret in secrets:
            assert secret not in text, text


def unspaced(*, without: str = "") -> st.SearchStrategy[str]:
    """Text without white space, at which a URL in a text ends."""
    return st.text(
        st.characters(codec="utf-8", exclude_characters=without).filter(lambda character: not character.isspace()),
        max_size=8,
    )


def secret_urls() -> st.SearchStrategy[str]:
    """URLs of many shapes, whose query, fragment or user information holds the canary."""
    begin = st.sampled_from(["https://", "http://", "HTTPS://"])
    hosts = st.sampled_from(HOSTS) | unspaced(without="/?#@")
    paths = unspaced(without="?#@").map("/".__add__) | st.just("")
    ends = st.builds(lambda mark, a, b: f"{mark}{a}{CANARY}{b}", st.sampled_from("?#"), unspaced(), unspaced())
    plain = st.builds(lambda *parts: "".join(parts), begin, hosts, paths, ends)
    users = unspaced(without="/?#")
    withheld = st.builds(lambda b, user, h, p: f"{b}{user}{CANARY}@{h}{p}", begin, users, hosts, paths)
    return plain | withheld
