"""No secret of a URL survives redaction."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.redaction import redact, redact_url

CANARY = "canary"


def unspaced(*, without: str = "") -> st.SearchStrategy[str]:
    """Text without white space, which is where a URL in a text ends."""
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
def test_a_url_keeps_host_and_path_alone(url: str, expected: str) -> None:
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
        ("seen: 'https://a/b'", "seen: 'https://a/b'"),
        ("https://ada:canary@a/b and c@d.example", "https://a/b and c@d.example"),
        ("is it? no", "is it? no"),
    ],
)
def test_every_url_in_a_text_is_redacted_and_the_rest_is_left_alone(text: str, expected: str) -> None:
    assert redact(text) == expected


@settings(deadline=None)
@given(
    scheme=st.sampled_from(["http://", "https://", "HTTPS://"]),
    place=unspaced(without="?#@"),
    before=unspaced(),
    after=unspaced(),
    around=st.text(),
)
def test_no_query_or_fragment_survives(scheme: str, place: str, before: str, after: str, around: str) -> None:
    for mark in "?#":
        url = f"{scheme}{place}{mark}{before}{CANARY}{after}"
        assert CANARY not in redact(f"{around} {url} {around}")
        assert CANARY not in redact_url(url)


@settings(deadline=None)
@given(user=unspaced(without="/?#"), host=unspaced(without="/?#@"), path=unspaced(without="?#"))
def test_no_user_information_survives(user: str, host: str, path: str) -> None:
    url = f"https://{user}{CANARY}@{host}/{path}"
    assert CANARY not in redact(f"see {url} there")


@settings(deadline=None)
@given(st.text())
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    assert redact(redact(text)) == redact(text)
