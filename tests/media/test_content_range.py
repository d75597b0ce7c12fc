from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.remote.content_range import ContentRange, parse_content_range, parse_unsatisfied_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes 0-99/100", ContentRange(0, 99, 100)),
        ("bytes 0-99/*", ContentRange(0, 99, None)),
        ("Bytes 5-9/100", ContentRange(5, 9, 100)),
        ("BYTES 5-9/100", ContentRange(5, 9, 100)),
        ("bytes=5-9/100", ContentRange(5, 9, 100)),
        ("bytes = 5-9/100", ContentRange(5, 9, 100)),
        ("bytes5-9/100", ContentRange(5, 9, 100)),
        (" bytes\t5 - 9 / 100 ", ContentRange(5, 9, 100)),
        ("bytes 005-0009/0100", ContentRange(5, 9, 100)),
        ("bytes 0-0/1", ContentRange(0, 0, 1)),
        (f"bytes 0-1/{10**18 - 1}", ContentRange(0, 1, 10**18 - 1)),
    ],
)
def test_content_range_is_parsed_in_unusual_forms(header: str, expected: ContentRange) -> None:
    assert parse_content_range([header]) == expected
    assert parse_content_range([header, header]) == expected


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["bytes 9-5/100"],
        ["bytes 0-100/100"],
        ["bytes 0-99/0"],
        ["bytes */100"],
        ["bytes 0-99"],
        ["bytes 0-/100"],
        ["bytes -99/100"],
        ["bytes -1-99/100"],
        ["bytes 0-99/+100"],
        ["bytes 0-99/100, 100-199/200"],
        ["bytes 0-99/100 x"],
        ["bytes ٠-٩/١٠"],
        ["items 0-99/100"],
        ["0-99/100"],
        ["bytes 0-1/" + "9" * 19],
        ["bytes 0-99/100", "bytes 0-99/101"],
        ["bytes 0-99/100", "x"],
    ],
)
def test_invalid_content_range_is_not_guessed(headers: list[str]) -> None:
    assert parse_content_range(headers) is None


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ("bytes */0", 0),
        ("bytes */100", 100),
        ("BYTES=*/100", 100),
        ("*/100", None),
        ("bytes 0-9/100", None),
        ("", None),
    ],
)
def test_unsatisfied_range_states_the_size(header: str, size: int | None) -> None:
    assert parse_unsatisfied_range(header) == size


@settings(deadline=None)
@given(st.text(max_size=60) | st.from_regex(r"bytes [0-9*/=-]{0,40}", fullmatch=True))
def test_any_content_range_is_inside_its_file(header: str) -> None:
    parsed = parse_content_range([header])
    assert parsed is None or 0 <= parsed.first <= parsed.last < (parsed.size or 10**18)
