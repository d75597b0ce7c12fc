"""What is adopted: the map of avatars and references, and the request and status of an adopted avatar."""

from __future__ import annotations

from typing import Any

import pytest

from models.adoption import UNNAMED, Adoption, adopt_request
from models.argil.avatar import Avatar
from models.errors import InvalidManifest, InvalidRequest
from models.manifest.adoption_map import MAX_PROBLEMS, parse_adoption_map
from models.provisioning import Status


def avatar(**fields: Any) -> Avatar:
    parsed = Avatar.parse({"id": "a-1", "status": "IDLE", "name": "Mary", **fields})
    assert parsed is not None
    return parsed


def rows(text: str, encoding: str = "utf-8") -> list[tuple[int, str, str]]:
    return [(line, key, reference) for line, key, reference in parse_adoption_map(text.encode(encoding))]


@pytest.mark.parametrize(
    "text",
    [
        "avatar_id,reference\na-1,creator-1\na-2,creator-2\n",
        "Reference;Avatar ID;Note\r\ncreator-1;a-1;x\r\ncreator-2;a-2;\r\n",
        "sep=;\nreference;avatar_id\ncreator-1;a-1\n\n;\ncreator-2;a-2",
        '\ufeff"avatar_id"\t"reference"\n" a-1 "\t"creator-1"\n="a-2"\tcreator-2\n',
        "Our avatars\n\navatar_id,reference\na-1,creator-1\na-2,creator-2\n",
    ],
    ids=["plain", "semicolon", "sep", "tabs", "title"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_map_is_read_as_spreadsheets_write_it(text: str, encoding: str) -> None:
    assert [item[1:] for item in rows(text, encoding)] == [("a-1", "creator-1"), ("a-2", "creator-2")]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["map: has no header line"]),
        ("a-1,creator-1\n", ["map: has no header line"]),
        ("avatar_id,reference,reference\na-1,b,c\n", ["map: has no header line"]),
        ("avatar_id,reference\n", ["map: has no rows"]),
        (
            "avatar_id,reference\na-1,\n,creator-2\n",
            ["line 2: reference must not be", "line 3: avatar_id must not"],
        ),
        (
            "avatar_id,reference\na-1,r-1\na-1,r-2\na-3,r-1 \n",
            ["line 3: repeats the avatar_id 'a-1' of line 2", "line 4: repeats the reference 'r-1' of line 2"],
        ),
        ("avatar_id,reference\na-1,1.2E+15\na-2,#REF!\n", ["line 2: reference is a number in sci", "line 3: refe"]),
    ],
)
def test_all_problems_of_a_map_are_reported(text: str, problems: list[str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        rows(text)
    found = [f"{field}: {rule}" for field, rule in caught.value.problems]
    assert len(found) == len(problems)
    assert all(text.startswith(start) for text, start in zip(found, problems, strict=True))


def test_problems_of_a_long_map_are_bounded() -> None:
    with pytest.raises(InvalidRequest) as caught:
        rows("avatar_id,reference\n" + "a-1,\n" * 5000)
    assert len(caught.value.problems) == MAX_PROBLEMS + 1
    assert "more problems" in caught.value.problems[-1][1]


@pytest.mark.parametrize("data", [b"\x00\x01\x02" * 50, b'avatar_id,reference\n"a-1,b\n'])
def test_what_is_not_csv_is_an_error(data: bytes) -> None:
    with pytest.raises((InvalidManifest, InvalidRequest)) as caught:
        parse_adoption_map(data)
    assert "the manifest" not in caught.value.message


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("IDLE", Status.READY),
        ("NOT_TRAINED", Status.TRAINING),
        ("TRAINING", Status.TRAINING),
        ("PAUSED", Status.TRAINING),
        ("TRAINING_FAILED", Status.TRAINING_FAILED),
        ("REFUSED", Status.REFUSED),
    ],
)
def test_status_follows_that_of_the_avatar(status: str, expected: Status) -> None:
    listed = avatar(status=status)
    assert Adoption("", "r", adopt_request(listed, "r"), listed).status is expected


def test_name_and_extras_are_those_at_argil() -> None:
    request = adopt_request(avatar(extras={"team": "berlin", "submission_id": "4711"}), " r-1\u200b")
    assert (request.name, request.extras, request.reference) == ("Mary", {"team": "berlin"}, "r-1")
    assert request.recordings == {}


@pytest.mark.parametrize("name", [None, "", " ", "a" * 300, "a\x00", "a\u202eb", 7])
def test_name_that_a_request_may_not_have_is_left_out(name: object) -> None:
    request = adopt_request(avatar(name=name, extras={"team": "berlin"}), "r-1")
    assert (request.name, request.extras) == (UNNAMED, {"team": "berlin"})


def test_extras_that_a_request_may_not_have_are_left_out() -> None:
    request = adopt_request(avatar(extras={f"key-{number}": "v" for number in range(20)}), "r-1")
    assert (request.name, request.extras) == ("Mary", {})


@pytest.mark.parametrize("reference", ["", " ", "a" * 257, "a\u200bb"])
def test_reference_must_be_one_of_a_request(reference: str) -> None:
    with pytest.raises(InvalidRequest, match="reference"):
        adopt_request(avatar(), reference)
