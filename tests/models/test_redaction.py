"""Redaction removes every secret of a URL."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import redaction
from models.redaction import redact, redact_json, redact_url, register_secret

CANARY = "canary"


def unspaced(*, without: str = "") -> st.SearchStrategy[str]:
    """Generate text without white space, which would end a URL in a text."""
    return st.text(st.characters(exclude_characters=without).filter(lambda character: not character.isspace()))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/b.mp4", "https://a.example/b.mp4"),
        ("https://a.example/b.mp4?sig=canary", "https://a.example/b.mp4?…"),
        ("https://a.example?sig=canary", "https://a.example?…"),
        ("https://a.example/b#canary", "https://a.example/b"),
        ("https://a.example/b?c#canary", "https://a.example/b?…"),
        ("https://a.example/b#canary?canary", "https://a.example/b"),
        ("https://a.example/b?", "https://a.example/b"),
        ("https://ada:canary@a.example:8443/b", "https://a.example:8443/b"),
        ("https://canary@a.example/b@2x.jpg?c", "https://a.example/b@2x.jpg?…"),
        ("https://ada:can@ary@a.example/", "https://a.example/"),
        ("//ada:canary@a.example/b", "//a.example/b"),
        ("https://ada:canary@[::1/b?canary", "https://[::1/b?…"),
        ("a.example/b?sig=canary", "a.example/b?…"),
        ("not a URL", "not a URL"),
        ("", ""),
    ],
)
def test_redact_url_keeps_only_host_and_path(url: str, expected: str) -> None:
    assert redact_url(url) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("get https://a.example/b?c=canary failed", "get https://a.example/b?… failed"),
        ("HTTP://A.example/b?c=canary", "HTTP://A.example/b?…"),
        ("https://a/?x=canary https://b/?y=canary", "https://a/?… https://b/?…"),
        ("https://a/?file='x'&sig=canary then", "https://a/?… then"),
        ('https://a/?file="x"&sig=canary then', "https://a/?… then"),
        ("https://a/?next=https://b/?sig=canary", "https://a/?…"),
        ("value: 'https://a/b'", "value: 'https://a/b'"),
        ("https://ada:canary@a/b and c@d.example", "https://a/b and c@d.example"),
        ("is it? no", "is it? no"),
        ("AVATARS_WEBHOOK_TOKEN=... is how it is set", "AVATARS_WEBHOOK_TOKEN=... is how it is set"),
        ("postgresql+asyncpg://ada:can/ary@h/db failed", "postgresql+asyncpg://h/db failed"),
        ("sqlite+aiosqlite:////a/b.db?key=canary", "sqlite+aiosqlite:////a/b.db?…"),
        ("https:\\/\\/a\\/b?c=canary", "https:\\/\\/a\\/b?…"),
        ("https:\\/\\/ada:canary@a\\/b", "https:\\/\\/a\\/b"),
        ("https://a/b\\u003fc\\u003dcanary", "https://a/b?…"),
        ("https%3A%2F%2Fa%2Fb%3Fsig%3Dcanary&x", "https%3A%2F%2Fa%2Fb?…"),
        ("https%253A%252F%252Fa%252Fb%253Fsig%253Dcanary", "https%253A%252F%252Fa%252Fb?…"),
        ("https%3A%2F%2Fada%3Acanary%40a%2Fb", "https%3A%2F%2Fa%2Fb"),
        ("https://p/fetch/https%3A%2F%2Fa%2Fb%3Fc%3Dcanary", "https://p/fetch/https%3A%2F%2Fa%2Fb?…"),
        ("/b?X-Amz-Signature=canary&x=1", "/b?X-Amz-Signature=…&x=1"),
        ("X-Amz-Signature%3Dcanary", "X-Amz-Signature%3D…"),
        ('{"X-Goog-Signature": "canary"}', '{"X-Goog-Signature": "…"}'),
        ("sv=1&sig=can%2Fary", "sv=1&sig=…"),
    ],
)
def test_redact_changes_only_urls_and_secrets(text: str, expected: str) -> None:
    assert redact(text) == expected


@settings(deadline=None)
@given(
    scheme=st.sampled_from(["http://", "https://", "HTTPS://"]),
    host_and_path=unspaced(without="?#@"),
    before=unspaced(),
    after=unspaced(),
    around=st.text(),
)
def test_no_query_or_fragment_survives(
    scheme: str, host_and_path: str, before: str, after: str, around: str
) -> None:
    for mark in "?#":
        url = f"{scheme}{host_and_path}{mark}{before}{CANARY}{after}"
        assert CANARY not in redact(f"{around} {url} {around}")
        assert CANARY not in redact_url(url)


@settings(deadline=None)
@given(user=unspaced(without="/?#"), host=unspaced(without="/?#@"), path=unspaced(without="?#"))
def test_no_user_information_survives(user: str, host: str, path: str) -> None:
    url = f"https://{user}{CANARY}@{host}/{path}"
    assert CANARY not in redact(f"see {url} there")


@settings(deadline=None)
@given(st.text())
def test_redact_is_idempotent(text: str) -> None:
    assert redact(redact(text)) == redact(text)


def test_registered_secret_is_redacted_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_registered_secrets", [])
    register_secret("canary/key")
    register_secret("short")
    assert redact("canary/key, canary%2Fkey and short words") == "…, … and short words"


def test_secret_that_contains_another_secret_is_redacted_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_registered_secrets", [])
    for secret in ("123456789", "canary-0123456789-canary", "canary-0123456789"):
        register_secret(secret)
    assert redact("canary-0123456789-canary and 123456789") == "… and …"


def test_redact_json_redacts_keys_and_values() -> None:
    document = {"a": ["https://a/?c=canary", 1, None], "https://b/?c=canary": {"c": "sig=canary"}}
    assert redact_json(document) == {"a": ["https://a/?…", 1, None], "https://b/?…": {"c": "sig=…"}}
