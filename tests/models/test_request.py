"""A request: what is taken, what is refused, how that is told, and what makes two the same."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from models.errors import InvalidRequest
from models.request import (
    MAX_EXTRAS,
    SHOWN_CHARACTERS,
    ProvisioningRequest,
    check_url,
    input_identity,
    read_request,
)

FIELDS: dict[str, Any] = {
    "name": "Ada",
    "dataset_video": "https://videos.example/ada/dataset.mp4",
    "consent_video": "https://videos.example/ada/consent.mp4",
}
CANARY = "canary-signature"


def problems(**changes: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        read_request({**FIELDS, **changes})
    return caught.value.problems


def identity(**changes: Any) -> str:
    return read_request({**FIELDS, **changes}).identity


@pytest.mark.parametrize("name", ["A", "x" * 256, " ", "Ada Lovelace 👩‍🔬", "'; DROP TABLE avatars", "<b>"])
def test_a_name_of_1_to_256_characters_is_taken_as_it_is(name: str) -> None:
    assert read_request({**FIELDS, "name": name}).name == name


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "at least 1 character; it is ''"),
        ("x" * 257, f"at most 256 characters; it is '{'x' * SHOWN_CHARACTERS}… (257 characters)'"),
        ("A\x00a", "must not hold a NUL character; it is 'A\\x00a'"),
        (7, "valid string; it is 7"),
        (None, "valid string; it is None"),
        ("\udcff", "unicode string; it is '\\udcff'"),
    ],
)
def test_any_other_name_is_refused_with_the_rule_and_the_value_seen(name: object, rule: str) -> None:
    [(field, told)] = problems(name=name)
    assert field == "name"
    assert told.endswith(rule)


@pytest.mark.parametrize(
    "url",
    [
        "https://videos.example/a.mp4",
        "https://videos.example:8443/a.mp4?X-Amz-Signature=1&x='y'#t=3",
        "https://192.0.2.1/",
        "https://[2001:db8::1]/a",
        "https://bücher.example/größe.mp4",
    ],
)
def test_an_https_url_is_taken_as_it_is(url: str) -> None:
    assert read_request({**FIELDS, "dataset_video": url}).dataset_video == url


@pytest.mark.parametrize("field", ["dataset_video", "consent_video"])
@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://videos.example/a.mp4", "must begin with https://"),
        ("ftp://videos.example/a.mp4", "must begin with https://"),
        ("HTTPS://videos.example/a.mp4", "must begin with https://"),
        ("videos.example/a.mp4", "must begin with https://"),
        (" https://videos.example/a.mp4", "must begin with https://"),
        ("", "must begin with https://"),
        ("https:///a.mp4", "must name a host"),
        ("https://:443/a.mp4", "must name a host"),
        ("https://[::1/a.mp4", "must be a valid URL"),
        ("https://videos.example:99999/a.mp4", "must be a valid URL"),
        ("https://videos.example:port/a.mp4", "must be a valid URL"),
        ("https://ada:secret@videos.example/a.mp4", "must not hold a user name or password"),
        ("https://@videos.example/a.mp4", "must not hold a user name or password"),
        ("https://videos.example/a b.mp4", "must not hold white space or control characters"),
        ("https://videos.example/a.mp4\n", "must not hold white space or control characters"),
        ("https://videos.example/a\u00a0b.mp4", "must not hold white space or control characters"),
        ("https://videos.example/a\x00.mp4", "must not hold white space or control characters"),
        ("https://videos.example/a\x7f.mp4", "must not hold white space or control characters"),
        ("https://videos.example/" + "a" * 8192, "String should have at most 8192 characters"),
    ],
)
def test_any_other_url_is_refused_with_its_rule(field: str, url: str, rule: str) -> None:
    [(told_field, told)] = problems(**{field: url})
    assert told_field == field
    assert told.startswith(f"{rule}; it is '")
    assert "secret" not in told


@pytest.mark.parametrize(
    "extras",
    [{}, {str(n): "" for n in range(MAX_EXTRAS)}, {"k" * 256: "v" * 256}],
)
def test_extras_within_the_limits_are_taken(extras: dict[str, str]) -> None:
    assert read_request({**FIELDS, "extras": extras}).extras == extras


@pytest.mark.parametrize(
    ("extras", "field", "rule"),
    [
        ({str(n): "" for n in range(MAX_EXTRAS + 1)}, "extras", "at most 9 items"),
        ({"": "v"}, "extras..[key]", "at least 1 character"),
        ({"k" * 257: "v"}, f"extras.{'k' * 257}.[key]", "at most 256 characters"),
        ({"k": "v" * 257}, "extras.k", "at most 256 characters"),
        ({"k": 5}, "extras.k", "valid string; it is 5"),
        ({"k": None}, "extras.k", "valid string; it is None"),
        ({"k\x00": "v"}, "extras.k\x00.[key]", "must not hold a NUL character"),
        ({"k": "v\x00"}, "extras.k", "must not hold a NUL character"),
        ({"k": "\udcff"}, "extras.k", "unicode string"),
        ({"submission_id": "mine"}, "extras", "must not hold 'submission_id': it is the service's own key"),
        ("k=v", "extras", "valid dictionary; it is 'k=v'"),
    ],
)
def test_extras_beyond_the_limits_are_refused(extras: object, field: str, rule: str) -> None:
    [(told_field, told)] = problems(extras=extras)
    assert told_field == field
    assert rule in told


@pytest.mark.parametrize(("given", "read"), [("", None), (None, None), ("r", "r"), ("r" * 256, "r" * 256)])
def test_a_blank_reference_is_none(given: str | None, read: str | None) -> None:
    assert read_request({**FIELDS, "reference": given}).reference == read


@pytest.mark.parametrize("reference", ["r" * 257, "r\x00", "\udcff", 7])
def test_a_reference_that_the_ledger_could_not_keep_is_refused(reference: object) -> None:
    assert [field for field, _ in problems(reference=reference)] == ["reference"]


def test_every_problem_is_told_at_once_with_its_field() -> None:
    found = problems(
        name="", dataset_video="ftp://a", consent_video="https://", extras={"submission_id": ""}, nmae="Ada"
    )
    assert [field for field, _ in found] == ["name", "dataset_video", "consent_video", "extras", "nmae"]


def test_missing_fields_are_all_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_request({})
    assert caught.value.problems == [(field, "Field required") for field in FIELDS]
    assert "README" in caught.value.hint


def test_an_unknown_field_is_refused_by_its_name() -> None:
    assert problems(datasetVideo="x") == [("datasetVideo", "Extra inputs are not permitted; it is 'x'")]


@pytest.mark.parametrize(
    "url",
    [
        f"http://videos.example/a.mp4?X-Amz-Signature={CANARY}",
        f"videos.example/a.mp4?X-Amz-Signature={CANARY}",
        f"s3://bucket/a.mp4?X-Amz-Signature={CANARY}",
        f"https://videos.example/a b.mp4?X-Amz-Signature={CANARY}",
        f"https://videos.example/a.mp4?name='a b'&X-Amz-Signature={CANARY}",
        f'https://videos.example/a.mp4?name="a b"&X-Amz-Signature={CANARY}',
        f"https://ada:{CANARY}@videos.example/a.mp4",
        f"https://ada:{CANARY}@[::1/a.mp4",
        f"https://videos.example:99999/a.mp4?X-Amz-Signature={CANARY}",
        f"https://[::1/a.mp4?X-Amz-Signature={CANARY}#{CANARY}",
    ],
)
def test_no_problem_ever_shows_the_query_or_the_password_of_a_url(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_request({**FIELDS, "dataset_video": url})
    with pytest.raises(InvalidRequest) as caught_alone:
        check_url(url)
    with pytest.raises(ValidationError) as caught_by_pydantic:
        ProvisioningRequest(**{**FIELDS, "dataset_video": url})
    for told in (caught.value, caught_alone.value, caught_by_pydantic.value):
        assert "canary" not in f"{told} {told!r}"
    assert [field for field, _ in caught_alone.value.problems] == ["url"]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": f"https://a.example/?{CANARY}" + "x" * 256},
        {"video": f"https://a.example/?{CANARY}"},
        {f"https://a.example/?{CANARY}": "x"},
        {"extras": {"k": f"https://a.example/?{CANARY}" + "x" * 256}},
        {"reference": f"https://a.example/?{CANARY}" + "x" * 256},
    ],
)
def test_a_url_in_the_wrong_place_keeps_its_query_to_itself(changes: dict[str, Any]) -> None:
    assert "canary" not in str(problems(**changes))


def test_a_url_alone_is_checked_as_in_a_request() -> None:
    check_url("https://videos.example/a.mp4?x=1")


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset_video": FIELDS["dataset_video"] + "?X-Amz-Signature=1"},
        {"consent_video": FIELDS["consent_video"] + "?X-Amz-Signature=1#t=2"},
        {"dataset_video": FIELDS["dataset_video"] + "#t=2"},
        {"dataset_video": "https://VIDEOS.example/ada/dataset.mp4"},
        {"reference": "ada-1"},
    ],
)
def test_the_identity_ignores_queries_fragments_the_hosts_case_and_the_reference(changes: dict[str, str]) -> None:
    assert identity(**changes) == identity()


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "ada"},
        {"dataset_video": "https://videos.example/ada/Dataset.mp4"},
        {"dataset_video": "https://other.example/ada/dataset.mp4"},
        {"dataset_video": "https://videos.example:8443/ada/dataset.mp4"},
        {"consent_video": "https://videos.example/eve/consent.mp4"},
        {"dataset_video": FIELDS["consent_video"], "consent_video": FIELDS["dataset_video"]},
        {"extras": {"team": "blue"}},
    ],
)
def test_the_identity_tells_other_requests_apart(changes: dict[str, Any]) -> None:
    assert identity(**changes) != identity()


def test_the_identity_does_not_mind_the_order_of_extras() -> None:
    assert identity(extras={"a": "1", "b": "2"}) == identity(extras={"b": "2", "a": "1"})
    assert identity(extras={"a": "1", "b": "2"}) != identity(extras={"a": "2", "b": "1"})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://A.example/B?c=1#d", "https://a.example/B"),
        ("https://a.example", "https://a.example"),
        ("https://a.example/b;v=1?c", "https://a.example/b;v=1"),
    ],
)
def test_a_recording_is_named_by_its_url_without_query_and_fragment(url: str, expected: str) -> None:
    assert input_identity(url) == expected


def test_the_form_in_the_ui_explains_every_field() -> None:
    schema = ProvisioningRequest.model_json_schema()
    assert list(schema["properties"]) == ["name", "dataset_video", "consent_video", "extras", "reference"]
    assert schema["required"] == list(FIELDS)
    assert schema["additionalProperties"] is False
    for field in schema["properties"].values():
        assert field["title"]
        assert field["description"]
        assert field["examples"]


@pytest.mark.parametrize(
    ("field", "rules"),
    [
        ("name", {"minLength": 1, "maxLength": 256}),
        ("dataset_video", {"format": "uri", "pattern": "^https://", "maxLength": 8192}),
        ("consent_video", {"format": "uri", "pattern": "^https://", "maxLength": 8192}),
        ("extras", {"maxProperties": 9, "propertyNames": {"minLength": 1, "maxLength": 256}}),
    ],
)
def test_the_form_in_the_ui_knows_the_limits(field: str, rules: dict[str, Any]) -> None:
    schema = ProvisioningRequest.model_json_schema()["properties"][field]
    assert {name: schema[name] for name in rules} == rules


def test_the_examples_of_the_form_make_a_request() -> None:
    properties = ProvisioningRequest.model_json_schema()["properties"]
    read_request({name: field["examples"][0] for name, field in properties.items()})


@pytest.mark.parametrize("field", ["name", "reference"])
def test_what_is_shown_to_everyone_holds_no_signed_url(field: str) -> None:
    [(told_of, told)] = problems(**{field: f"https://videos.example/a.mp4?sig={CANARY}"})
    assert told_of == field
    assert "must hold no secret" in told
    assert CANARY not in told


def test_a_number_that_python_refuses_to_write_is_told_by_its_length() -> None:
    with pytest.raises(InvalidRequest, match="it is a number of 40,001 bits"):
        read_request({"name": 2**40_000})
