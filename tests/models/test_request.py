"""The provisioning request: validation, problem texts without secrets, and the fingerprint."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from models.errors import InvalidRequest
from models.request import (
    MAX_REASON_CHARACTERS,
    ProvisioningRequest,
    parse_reason,
    parse_request,
    validate_recording,
)
from models.request_fields import MAX_ECHOED_CHARACTERS, MAX_EXTRAS
from tests.hostile_texts import CONTROL_TEXTS

FIELDS: dict[str, Any] = {
    "name": "Ada",
    "dataset_video": "https://videos.example/ada/dataset.mp4",
    "consent_video": "https://videos.example/ada/consent.mp4",
}
CANARY = "canary-signature"


def problems_of(**changes: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        parse_request({**FIELDS, **changes})
    return caught.value.problems


def fingerprint(**changes: Any) -> str:
    return parse_request({**FIELDS, **changes}).fingerprint


@pytest.mark.parametrize("name", ["A", "x" * 256, "Ada Lovelace 👩‍🔬", "'; DROP TABLE avatars", "<b>"])
def test_name_of_1_to_256_characters_is_accepted(name: str) -> None:
    assert parse_request({**FIELDS, "name": name}).name == name


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "is empty"),
        ("x" * 257, f"at most 256 characters; it is '{'x' * MAX_ECHOED_CHARACTERS}… (257 characters)'"),
        (" \u200b", "is empty"),
        ("A\x00a", "must not contain U+0000 NULL; it is 'A\\x00a'"),
        ("A\u202ea", "must not contain U+202E RIGHT-TO-LEFT OVERRIDE; it is 'A\\u202ea'"),
        (7, "must be text; it is 7"),
        (None, "must be text; it is None"),
        ("\udcff", "must not contain U+DCFF a lone surrogate; it is '\\udcff'"),
    ],
)
def test_invalid_name_is_rejected_with_rule_and_value(name: object, rule: str) -> None:
    [(field, problem)] = problems_of(name=name)
    assert field == "name"
    assert problem.endswith(rule)


@pytest.mark.parametrize(
    "url",
    [
        "https://videos.example/a.mp4",
        "https://videos.example:8443/a.mp4?X-Amz-Signature=1&x='y'",
        "https://192.0.2.1/",
        "https://[2001:db8::1]/a",
        "https://bücher.example/größe.mp4",
    ],
)
def test_https_url_is_accepted_unchanged(url: str) -> None:
    assert parse_request({**FIELDS, "dataset_video": url}).dataset_video == url


@pytest.mark.parametrize("field", ["dataset_video", "consent_video"])
@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://videos.example/a.mp4", "must begin with https://, s3://, gs:// or az://"),
        ("ftp://videos.example/a.mp4", "must begin with https://, s3://, gs:// or az://"),
        ("HTTPS://videos.example/a.mp4", "must begin with https://, s3://, gs:// or az://"),
        ("videos.example/a.mp4", "must begin with https://, s3://, gs:// or az://"),
        (" https://videos.example/a.mp4", "must begin with https://, s3://, gs:// or az://"),
        ("", "must not be empty"),
        ("https:///a.mp4", "must name a host"),
        ("https://:443/a.mp4", "must name a host"),
        ("https://[::1/a.mp4", "must be a valid URL"),
        ("https://videos.example:99999/a.mp4", "must be a valid URL"),
        ("https://videos.example:port/a.mp4", "must be a valid URL"),
        ("https://ada:secret@videos.example/a.mp4", "must not contain a user name or password"),
        ("https://@videos.example/a.mp4", "must not contain a user name or password"),
        (
            "https://videos.example/a b.mp4",
            "must not contain a space: in the name of a file it must be written %20",
        ),
        ("https://videos.example/a.mp4\n", "must not contain white space or control characters"),
        ("https://videos.example/a\u00a0b.mp4", "must not contain white space or control characters"),
        ("https://videos.example/a\x00.mp4", "must not contain white space or control characters"),
        ("https://videos.example/a\u3164b.mp4", "must not contain U+3164 HANGUL FILLER"),
        ("https://videos.example/a\x7f.mp4", "must not contain white space or control characters"),
        ("https://videos.example/take#1.mp4", "must not contain #: in the name of a file it must be written %23"),
        ("https://videos.example/a.mp4#", "must not contain #: in the name of a file it must be written %23"),
        ("https://videos.example/a\\b.mp4", "must not contain \\: in the name of a file it must be written %5C"),
        ("https://h.example%2Fq/d.mp4", "must not contain % in its host"),
        ("https://h.ex%61mple/d.mp4", "must not contain % in its host"),
        ("https://h.example\uff052Fq/d.mp4", "must not contain % in its host"),
        ("https://[fe80::1%25eth0]/d.mp4", "must not contain % in its host"),
        ("https://videos.example/" + "a" * 8192, "must have at most 8,192 characters"),
    ],
)
def test_invalid_url_is_rejected_with_its_rule(field: str, url: str, rule: str) -> None:
    [(actual_field, problem)] = problems_of(**{field: url})
    assert actual_field == field
    assert problem.startswith(f"{rule}; it is '")
    assert "secret" not in problem


@pytest.mark.parametrize(
    "extras",
    [{}, {str(n): "" for n in range(MAX_EXTRAS)}, {"k" * 256: "v" * 256}],
)
def test_extras_within_the_limits_are_accepted(extras: dict[str, str]) -> None:
    assert parse_request({**FIELDS, "extras": extras}).extras == extras


@pytest.mark.parametrize(
    ("extras", "field", "rule"),
    [
        ({str(n): "" for n in range(MAX_EXTRAS + 1)}, "extras", "at most 9 entries"),
        ({"": "v"}, "extras..[key]", "is empty"),
        ({"k" * 257: "v"}, f"extras.{'k' * 257}.[key]", "at most 256 characters"),
        ({"k": "v" * 257}, "extras.k", "at most 256 characters"),
        ({"k": 5}, "extras.k", "must be text; it is 5"),
        ({"k": None}, "extras.k", "must be text; it is None"),
        ({"k\x00": "v"}, "extras.k\x00.[key]", "must not contain U+0000 NULL"),
        ({"k": "v\x00"}, "extras.k", "must not contain U+0000 NULL"),
        ({"k": "a\nb"}, "extras.k", "must not contain U+000A LINE FEED"),
        ({"k\t": "v"}, "extras.k\t.[key]", "must not contain U+0009 TAB"),
        ({"k": "\udcff"}, "extras.k", "must not contain U+DCFF a lone surrogate"),
        ({"k": "a\u202eb"}, "extras.k", "must not contain U+202E RIGHT-TO-LEFT OVERRIDE"),
        ({"k": "a\u200bb"}, "extras.k", "must not contain U+200B ZERO WIDTH SPACE"),
        ({"t\u2066m": "v"}, "extras.t\u2066m.[key]", "must not contain U+2066 LEFT-TO-RIGHT ISOLATE"),
        ({"t\U000e0041m": "v"}, "extras.t\U000e0041m.[key]", "must not contain U+E0041 TAG LATIN CAPITAL LETTER A"),
        ({"submission_id": "mine"}, "extras", "must not contain 'submission_id': the service sets this key itself"),
        ({"submission_id\u200b": "mine"}, "extras", "must not contain 'submission_id': the service sets this key"),
        ({"k": "v", "k ": "w"}, "extras", "must not repeat the key 'k'"),
        ({"\u00e9": "v", "e\u0301": "v"}, "extras", "must not repeat the key 'é'"),
        ({" \u200b": "v"}, "extras. \u200b.[key]", "is empty"),
        ("k=v", "extras", "must be pairs of a key and a text; it is 'k=v'"),
    ],
)
def test_extras_beyond_the_limits_are_rejected(extras: object, field: str, rule: str) -> None:
    [(actual_field, problem)] = problems_of(extras=extras)
    assert actual_field == field
    assert rule in problem


@pytest.mark.parametrize(
    ("reference", "expected"), [("", None), (" \u200b", None), (None, None), ("r", "r"), ("r" * 256, "r" * 256)]
)
def test_a_blank_reference_is_none(reference: str | None, expected: str | None) -> None:
    assert parse_request({**FIELDS, "reference": reference}).reference == expected


@pytest.mark.parametrize("reference", ["r" * 257, "r\x00r", "\udcff", "a\u200bb", 7])
def test_unstorable_reference_is_rejected(reference: object) -> None:
    assert [field for field, _ in problems_of(reference=reference)] == ["reference"]


def test_all_problems_are_reported_with_their_field() -> None:
    actual_problems = problems_of(
        name="", dataset_video="ftp://a", consent_video="https://", extras={"submission_id": ""}, nmae="Ada"
    )
    assert [field for field, _ in actual_problems] == ["name", "dataset_video", "consent_video", "extras", "nmae"]


def test_all_missing_fields_are_reported() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_request({})
    assert caught.value.problems == [(field, "is required") for field in FIELDS]
    assert "`avatars provision --help`" in caught.value.hint


def test_unknown_field_is_rejected_by_name() -> None:
    assert problems_of(datasetVideo="x") == [("datasetVideo", "is not a field of this request; it is 'x'")]


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
def test_problems_never_show_url_query_or_password(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_request({**FIELDS, "dataset_video": url})
    with pytest.raises(InvalidRequest) as caught_alone:
        validate_recording(url)
    with pytest.raises(ValidationError) as caught_by_pydantic:
        ProvisioningRequest(**{**FIELDS, "dataset_video": url})
    for error in (caught.value, caught_alone.value, caught_by_pydantic.value):
        assert "canary" not in f"{error} {error!r}"
    assert [field for field, _ in caught_alone.value.problems] == ["recording"]


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
def test_url_in_another_field_is_redacted(changes: dict[str, Any]) -> None:
    assert "canary" not in str(problems_of(**changes))


def test_recording_url_is_validated_as_in_a_request() -> None:
    validate_recording("https://videos.example/a.mp4?x=1")


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset_video": FIELDS["dataset_video"] + "?X-Amz-Signature=1"},
        {"consent_video": FIELDS["consent_video"] + "?X-Amz-Signature=1"},
        {"dataset_video": "https://videos.example:443/x/../ada/%64ataset.mp4"},
        {"name": "Ada\u00a0"},
        {"dataset_video": "https://VIDEOS.example/ada/dataset.mp4"},
        {"reference": "ada-1"},
    ],
)
def test_fingerprint_ignores_signature_spelling_and_reference(changes: dict[str, str]) -> None:
    assert fingerprint(**changes) == fingerprint()


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "ada"},
        {"dataset_video": "https://videos.example/ada/Dataset.mp4"},
        {"dataset_video": "https://other.example/ada/dataset.mp4"},
        {"dataset_video": "https://videos.example:8443/ada/dataset.mp4"},
        {"consent_video": "https://videos.example/eve/consent.mp4"},
        {"dataset_video": FIELDS["consent_video"], "consent_video": FIELDS["dataset_video"]},
        {"dataset_video": FIELDS["dataset_video"] + "?id=2"},
        {"extras": {"team": "blue"}},
    ],
)
def test_fingerprint_differs_for_other_requests(changes: dict[str, Any]) -> None:
    assert fingerprint(**changes) != fingerprint()


def test_fingerprint_ignores_the_order_of_extras() -> None:
    assert fingerprint(extras={"a": "1", "b": "2"}) == fingerprint(extras={"b": "2", "a": "1"})
    assert fingerprint(extras={"a": "1", "b": "2"}) != fingerprint(extras={"a": "2", "b": "1"})


@pytest.mark.parametrize("reference", ["creator-9", "creator-9 ", "\u00a0creator-9", "creator-9\u200b", "1e5 "])
def test_reference_is_trimmed(reference: str) -> None:
    assert parse_request({**FIELDS, "reference": reference}).reference in {"creator-9", "1e5"}


def test_extras_are_trimmed_and_composed() -> None:
    extras = {" k\u200b": "v\u00a0", "e\u0301": "e\u0301 👩\u200d🔬 ❤\ufe0f"}
    assert parse_request({**FIELDS, "extras": extras}).extras == {"k": "v", "é": "é 👩\u200d🔬 ❤\ufe0f"}


def test_lengths_are_those_of_the_normal_form() -> None:
    request = parse_request({**FIELDS, "name": "e\u0301" * 256 + "\u200b", "reference": f"{'r' * 256} "})
    assert (request.name, request.reference) == ("é" * 256, "r" * 256)


def test_ui_form_describes_every_field() -> None:
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
        ("dataset_video", {"format": "uri", "pattern": "^(https|s3|gs|az)://", "maxLength": 8192}),
        ("consent_video", {"format": "uri", "pattern": "^(https|s3|gs|az)://", "maxLength": 8192}),
        ("extras", {"maxProperties": 9, "propertyNames": {"minLength": 1, "maxLength": 256}}),
    ],
)
def test_ui_form_states_the_limits(field: str, rules: dict[str, Any]) -> None:
    schema = ProvisioningRequest.model_json_schema()["properties"][field]
    assert {name: schema[name] for name in rules} == rules


def test_examples_of_the_ui_form_are_valid() -> None:
    properties = ProvisioningRequest.model_json_schema()["properties"]
    parse_request({name: field["examples"][0] for name, field in properties.items()})


@pytest.mark.parametrize("field", ["name", "reference"])
def test_name_and_reference_reject_signed_urls(field: str) -> None:
    [(actual_field, problem)] = problems_of(**{field: f"https://videos.example/a.mp4?sig={CANARY}"})
    assert actual_field == field
    assert "must not contain a secret" in problem
    assert CANARY not in problem


def test_huge_integer_is_reported_by_its_length() -> None:
    with pytest.raises(InvalidRequest, match="it is a number of 40,001 bits"):
        parse_request({"name": 2**40_000})


@pytest.mark.parametrize("text", CONTROL_TEXTS.values(), ids=CONTROL_TEXTS)
@pytest.mark.parametrize("field", ["name", "dataset_video", "consent_video", "extras", "reference"])
def test_no_field_accepts_a_hidden_character(field: str, text: str) -> None:
    hostile: Any = {"k": f"x{text}x"} if field == "extras" else f"{FIELDS.get(field, '')}{text}x"
    with pytest.raises(InvalidRequest):
        parse_request({**FIELDS, field: hostile})


@pytest.mark.parametrize(
    "text", ["reviewed by Grace", "  two\nlines\t ", "x" * MAX_REASON_CHARACTERS, "می\u200cخواهم"]
)
def test_reason_is_one_line(text: str) -> None:
    assert parse_reason(text) == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must have 1 to 1000 characters; it is ''"),
        (" \n", "must have 1 to 1000 characters"),
        ("x" * (MAX_REASON_CHARACTERS + 1), r"must have 1 to 1000 characters; it is 'x{60}… \(1001 characters\)'"),
        ("a\x1b[2Jb", r"must not contain U\+001B a control character"),
        ("a\u202eb", r"must not contain U\+202E RIGHT-TO-LEFT OVERRIDE"),
        ("a\ud800", r"must not contain U\+D800 a lone surrogate"),
    ],
)
def test_unreadable_reason_is_rejected(text: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        parse_reason(text)
