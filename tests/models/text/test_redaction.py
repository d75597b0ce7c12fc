"""Redaction removes every secret of a URL."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Callable

import pytest
import sqlalchemy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.exc import DatabaseError

from models.text import redaction
from models.text.redaction import (
    MAX_RECENT_SCOPES,
    nested_redaction_scope,
    redact,
    redact_json,
    redact_report,
    redact_stored,
    redaction_scope,
    register_secret,
)
from models.text.secret_search import SecretSearch
from models.text.url_redaction import redact_url

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


@pytest.mark.parametrize("padding", [0, 100, 300, 5000])
def test_end_of_a_query_that_sqlalchemy_shortened_is_redacted(padding: int) -> None:
    url = f"https://a.example/b.mp4?auth={'Q' * padding}&hash=canary"
    query = sqlalchemy.text("INSERT INTO missing VALUES (:request)")
    with sqlalchemy.create_engine("sqlite://").connect() as connection, pytest.raises(DatabaseError) as raised:
        connection.execute(query, {"request": json.dumps({"url": url, "name": "Ada"})})
    assert CANARY in str(raised.value)
    assert CANARY not in redact(str(raised.value))


@pytest.mark.parametrize("wrap", [lambda url: url, lambda url: [url], lambda url: {"request": {"url": url}}])
@pytest.mark.parametrize("padding", [0, 50])
def test_end_of_a_query_that_pydantic_shortened_is_redacted(wrap: Callable[[str], object], padding: int) -> None:
    url = f"https://videos.a.example/{'b' * padding}/dataset.mp4?auth={'c' * 30}canary"
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(int).validate_python(wrap(url))
    text = redact(f"{raised.value}")
    assert CANARY not in text
    assert "input_type=" in text


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
        ("{'X-Amz-Signature': ['canary']}", "{'X-Amz-Signature': ['…']}"),
        ("[('X-Amz-Signature', 'canary')]", "[('X-Amz-Signature', '…')]"),
        (r"{\"X-Amz-Signature\": \"canary\"}", r"{\"X-Amz-Signature\": \"…\"}"),
        ("{&quot;X-Amz-Signature&quot;: &#34;canary&quot;}", "{&quot;X-Amz-Signature&quot;: &#34;…&quot;}"),
        ('{"sig": "canary", "token":["canary"]}', '{"sig": "…", "token":["…"]}'),
        ("it lacks X-Amz-Signature, X-Amz-Date", "it lacks X-Amz-Signature, X-Amz-Date"),
        ('use "signature", "token" and "sig": x', 'use "signature", "token" and "sig": x'),
        (r"https\x3a\x2f\x2fada:canary\x40a\x2fb\x3fc=canary", r"https\x3a\x2f\x2fa\x2fb?…"),
        ("sv=1&sig=can%2Fary", "sv=1&sig=…"),
        (r"sv=1&sig=can\/ary\u002bcanary&x=1", "sv=1&sig=…&x=1"),
        ("sv=1&amp;sig=can&#47;ary&#x2B;canary&amp;x=1", "sv=1&amp;sig=…&amp;x=1"),
        ("token=…canary", "token=…"),
        ("hdnts=exp=1~acl=/*~hmac=canary", "hdnts=…"),
        ("AWSAccessKeyId=canary&Signature=canary&x=1", "AWSAccessKeyId=…&Signature=…&x=1"),
        ('{"a":"https://h/a","b":"https://ada:canary@h/b"}', '{"a":"https://h/a","b":"https://h/b"}'),
        ("https://h/a,https://ada:can@ary@h/b,https://canary@h", "https://h/a,https://h/b,https://h"),
        (r"https:\u002f\u002fada:canary\u0040a\u002fb\u003fsig=canary", r"https:\u002f\u002fa\u002fb?…"),
        (r"https:\\/\\/ada:canary@a\\/b\\u003fc=canary", r"https:\\/\\/a\\/b?…"),
        ("https&#58;&#x2F;&#x2F;ada:canary&#64;a&#47;b&#63;c=canary", "https&#58;&#x2F;&#x2F;a&#47;b?…"),
        ("https:&sol;&sol;canary&commat;a&sol;b&quest;c=canary", "https:&sol;&sol;a&sol;b?…"),
        ("https://a/b&num;canary and https://a/b&#canary", "https://a/b and https://a/b&"),
        ("https%3A%2F%2Fada%3Acan%2540ary%40a%2Fb", "https%3A%2F%2Fa%2Fb"),
        ("postgresql%3A%2F%2Fada%3Acan%2Fary%40h%2Fdb", "postgresql%3A%2F%2Fh%2Fdb"),
        ("postgresql://ada:can@ary/canary@h/db failed", "postgresql://h/db failed"),
        ("https://a/b%3Fc%40d.mp4", "https://a/b%3Fc%40d.mp4"),
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


MARKS = r"""
https https:// a:// :// // / \\ \/ \u002f \u003a \u003f \u0023 \u0040 %2f%2f %3a %253a %3f %23 %40 %25
&#x2f; &#47; &#58; &#63; &#35; &#64; &sol; &colon; &quest; &commat; &amp; ? # @ : = & sig= token%3d
x-amz-signature : ' " … canary
"""
HOSTILE = st.lists(st.sampled_from(MARKS.split()), max_size=14).map("".join)


@settings(deadline=None)
@given(st.one_of(st.text(), HOSTILE))
@example("0://SIG=/'@")
@example(r"a://\u0040https:////@\u003a%253a&#63;https")
def test_redact_is_idempotent(text: str) -> None:
    assert redact_url(redact_url(text)) == redact_url(text)
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a short text", "a short text"),
        ("words and https://ada:canary@host/", "words and …"),
        ("words " * 10 + "?sig=canary" * 10, "words words words words …"),
        ("canary" * 10, " …"),
        ("say the canary k3y 0123456789 to them", "say the … …"),
    ],
)
def test_cut_text_has_no_half_of_a_secret(text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_registered_secrets", ["canary-k3y-0123456789", "canary k3y 0123456789"])
    assert redact(text, max_characters=27) == expected


def test_scope_ends_and_leaves_other_tasks_alone() -> None:
    text = "no /a.mp4?part=canary-0123456789 there"

    async def run(secret: str) -> str:
        with redaction_scope(SecretSearch([secret])):
            await asyncio.sleep(0)
            return redact(text)

    async def run_both() -> list[str]:
        return list(await asyncio.gather(run("canary-0123456789"), run("canary-of-another-request")))

    assert asyncio.run(run_both()) == ["no /a.mp4?part=… there", text]
    assert redact(text) == redact_stored(text) == text


def test_stored_values_do_not_depend_on_the_scope() -> None:
    with redaction_scope(SecretSearch(["9b2cf535f27731c974343645a3985328"])):
        facts = {"etag": '"9b2cf535f27731c974343645a3985328"', "url": "https://a/?c=canary"}
        assert redact_stored(facts) == {**facts, "url": "https://a/?…"}


def test_report_of_an_exception_outlives_its_scope() -> None:
    error = ValueError("bad canary-0123456789")
    with pytest.raises(ValueError, match="bad"), redaction_scope(SecretSearch(["canary-0123456789"])):
        raise error
    assert redact_report(str(error), error) == redact_report(str(error), KeyError()) == "bad …"
    assert redact(str(error)) == str(error)


@pytest.mark.parametrize("place", ["itself", "context", "cause", "group"])
def test_first_of_many_exceptions_keeps_its_scope(place: str) -> None:
    """All rows of a batch end before the first exception is reported."""
    secrets = [hashlib.sha256(bytes([number])).hexdigest() for number in range(2 * MAX_RECENT_SCOPES)]
    errors = []
    for secret in secrets:
        error = ValueError(f"bad {secret}")
        with pytest.raises(ValueError, match="bad"), redaction_scope(SecretSearch([secret])):
            raise error
        errors.append(error)
    first, outer = errors[0], RuntimeError("outer")
    if place == "context":
        outer.__context__ = first
    if place == "cause":
        outer.__cause__ = first
    reported = {"itself": first, "group": ExceptionGroup("rows", errors)}.get(place, outer)
    assert redact_report(f"it was {secrets[0]}", reported) == "it was …"


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


def test_nested_scope_adds_its_secrets() -> None:
    outer, inner = SecretSearch(["canary-outer-secret"], ""), SecretSearch(["canary-inner-secret"], "")
    text = "canary-outer-secret canary-inner-secret"
    with redaction_scope(outer):
        with nested_redaction_scope(inner):
            assert "canary" not in redact(text)
        assert redact(text).endswith("canary-inner-secret")


def test_report_outlives_both_scopes() -> None:
    text = "canary-outer-secret canary-inner-secret"
    error = ValueError(text)
    with (
        contextlib.suppress(ValueError),
        redaction_scope(SecretSearch(["canary-outer-secret"], "")),
        nested_redaction_scope(SecretSearch(["canary-inner-secret"], "")),
    ):
        raise error
    assert "canary" not in redact_report(text, error)
