"""Argil's wire format: the create request of Argil's original specification, and lenient parsing of avatars."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.argil.avatar import (
    MAX_STATUS_CHARACTERS,
    TERMINAL_STATUSES,
    Avatar,
    AvatarStatus,
    CreateAvatarRequest,
    CreateImageAvatarRequest,
    RecordingSource,
)
from models.tables import provisioning_table

# From Argil's original specification: POST /avatars, AvatarCreateArgs and its 201.
SEED_BODY = {"name", "datasetVideo", "consentVideo", "extras"}
SEED_STATUSES = {"NOT_TRAINED", "TRAINING", "TRAINING_FAILED", "IDLE", "REFUSED"}
SEED_RESPONSE: dict[str, Any] = {
    "id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
    "name": "<string>",
    "actorName": "<string>",
    "createAt": "2023-11-07T05:31:56Z",
    "updatedAt": "2023-11-07T05:31:56Z",
    "gestures": [{"label": "<string>", "slug": "<string>", "startFrame": 123}],
    "status": "NOT_TRAINED",
    "width": 123,
    "height": 456,
    "thumbnailUrl": "https://a.example/t.jpg",
    "coverImageUrl": "https://a.example/c.jpg",
    "extras": {"submission_id": "s-1"},
    "orientation": "ASPECT_RATIO_16_9",
    "model": "ARGIL_V1",
}

# A JSON string may contain a lone surrogate; Python's decoder keeps it.
STORABLE = st.characters(codec="utf-8", exclude_characters="\x00")
TEXT = st.text(st.characters(), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
DATES = st.sampled_from(["2023-11-07T05:31:56Z", "2023-11-07", "20231107T05", "soon"])


def parse_avatar(**fields: Any) -> Avatar:
    avatar = Avatar.parse({"id": "a-1", "status": "TRAINING", **fields})
    assert avatar is not None
    return avatar


def create_request() -> CreateAvatarRequest:
    return CreateAvatarRequest(
        name="Ada",
        dataset_video=RecordingSource(url="https://a.example/d.mp4?sig=1"),
        consent_video=RecordingSource(url="https://a.example/c.mp4"),
        extras={"submission_id": "s-1"},
    )


def test_create_has_exactly_the_seeds_properties() -> None:
    body = create_request().to_json()
    assert set(body) == SEED_BODY
    assert body == {
        "name": "Ada",
        "datasetVideo": {"url": "https://a.example/d.mp4?sig=1"},
        "consentVideo": {"url": "https://a.example/c.mp4"},
        "extras": {"submission_id": "s-1"},
    }


def test_image_create_body_has_only_the_given_fields() -> None:
    image = RecordingSource(url="https://a.example/i.png?sig=1")
    body = CreateImageAvatarRequest(name="Ada", dataset_image=image, extras={"submission_id": "s-1"})
    required = {
        "type": "IMAGE",
        "name": "Ada",
        "datasetImage": {"url": "https://a.example/i.png?sig=1"},
        "extras": {"submission_id": "s-1"},
    }
    assert body.to_json() == required
    assert body.model_copy(update={"voice_id": "v-1"}).to_json() == {**required, "voiceId": "v-1"}


def test_create_rejects_unknown_properties() -> None:
    with pytest.raises(ValidationError):
        CreateAvatarRequest.model_validate({**create_request().model_dump(), "type": "IMAGE"})
    with pytest.raises(ValidationError):
        RecordingSource.model_validate({"url": "https://a.example", "headers": {}})


def test_avatar_statuses_match_the_seed() -> None:
    assert set(AvatarStatus) == SEED_STATUSES


def test_the_seeds_response_is_parsed_completely() -> None:
    avatar = Avatar.parse(SEED_RESPONSE)
    assert avatar is not None
    assert avatar.model_dump() == {
        "id": SEED_RESPONSE["id"],
        "status": "NOT_TRAINED",
        "name": "<string>",
        "created_at": datetime(2023, 11, 7, 5, 31, 56, tzinfo=UTC),
        "gestures": SEED_RESPONSE["gestures"],
        "width": 123,
        "height": 456,
        "thumbnail_url": "https://a.example/t.jpg",
        "cover_image_url": "https://a.example/c.jpg",
        "extras": {"submission_id": "s-1"},
        "orientation": "ASPECT_RATIO_16_9",
        "model": "ARGIL_V1",
        "raw": SEED_RESPONSE,
    }
    assert avatar.submission_id == "s-1"


def test_only_id_and_status_are_required() -> None:
    avatar = Avatar.parse({"id": "a-1", "status": "IDLE"})
    assert avatar is not None
    assert avatar.model_dump(exclude={"id", "status", "raw"}) == {
        "name": None,
        "created_at": None,
        "gestures": [],
        "width": None,
        "height": None,
        "thumbnail_url": None,
        "cover_image_url": None,
        "extras": {},
        "orientation": None,
        "model": None,
    }
    assert avatar.submission_id is None


@pytest.mark.parametrize("name", ["createAt", "createdAt"])
def test_creation_time_is_parsed_under_both_names(name: str) -> None:
    assert parse_avatar(**{name: "2026-01-02T03:04:05Z"}).created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "value", "attribute", "absent"),
    [
        ("name", 5, "name", None),
        ("createAt", "yesterday", "created_at", None),
        ("createAt", 1700000000, "created_at", None),
        ("gestures", {"label": "Wave"}, "gestures", []),
        ("gestures", None, "gestures", []),
        ("width", "1920", "width", None),
        ("width", 1920.5, "width", None),
        ("width", True, "width", None),
        ("height", [1080], "height", None),
        ("thumbnailUrl", {}, "thumbnail_url", None),
        ("coverImageUrl", 0, "cover_image_url", None),
        ("extras", "submission_id=s-1", "extras", {}),
        ("extras", None, "extras", {}),
        ("extras", {"a": "1", "b": 2, "c": None}, "extras", {"a": "1"}),
        ("orientation", 169, "orientation", None),
        ("model", ["ARGIL_V1"], "model", None),
    ],
)
def test_value_of_wrong_type_is_absent_but_kept_raw(
    field: str, value: object, attribute: str, absent: object
) -> None:
    avatar = parse_avatar(**{field: value})
    assert getattr(avatar, attribute) == absent
    assert avatar.raw[field] == value


@pytest.mark.parametrize("status", ["QUEUED_FOR_REVIEW", "idle", "", "IDLE "])
def test_unknown_status_is_kept_and_not_terminal(status: str) -> None:
    avatar = parse_avatar(status=status)
    assert avatar.status == status
    assert not avatar.is_terminal


@pytest.mark.parametrize("status", AvatarStatus)
def test_exactly_three_statuses_are_terminal(status: AvatarStatus) -> None:
    assert parse_avatar(status=status.value).is_terminal is (status in {"IDLE", "TRAINING_FAILED", "REFUSED"})
    assert (status in TERMINAL_STATUSES) is parse_avatar(status=status.value).is_terminal


@pytest.mark.parametrize(
    "response",
    [
        None,
        [],
        "IDLE",
        7,
        {},
        {"id": "a-1"},
        {"status": "IDLE"},
        {"id": "", "status": "IDLE"},
        {"id": "x" * 257, "status": "IDLE"},
        {"id": 7, "status": "IDLE"},
        {"id": None, "status": "IDLE"},
        {"id": "a-1", "status": None},
        {"id": "a-1", "status": 3},
        [{"id": "a-1", "status": "IDLE"}],
    ],
)
def test_response_without_id_and_status_is_not_an_avatar(response: object) -> None:
    assert Avatar.parse(response) is None


@settings(deadline=None)
@given(
    known=st.fixed_dictionaries(
        {"id": st.text(STORABLE, min_size=1, max_size=256), "status": st.text(STORABLE)},
        optional={
            field: JSON | DATES for field in [*SEED_RESPONSE, "createdAt", "raw"] if field not in {"id", "status"}
        },
    ),
    more=st.dictionaries(TEXT, JSON, max_size=3),
)
def test_any_object_with_id_and_status_is_an_avatar(known: dict[str, Any], more: dict[str, Any]) -> None:
    response = {**more, **known}
    avatar = Avatar.parse(response)
    assert avatar is not None
    assert avatar.raw is response or repr(avatar.raw) == repr(response)
    assert (avatar.id, avatar.status) == (known["id"], known["status"][:MAX_STATUS_CHARACTERS])


@settings(deadline=None)
@given(JSON)
def test_avatar_parse_never_raises(response: object) -> None:
    avatar = Avatar.parse(response)
    assert avatar is None or isinstance(response, dict)


@pytest.mark.parametrize("text", ["a\ud83d", "a\x00"])
def test_unstorable_text_is_rejected_or_replaced(text: str) -> None:
    assert Avatar.parse({"id": text, "status": "IDLE"}) is None
    avatar = Avatar.parse({"id": "a", "status": text, "name": text})
    assert avatar is not None
    assert avatar.status == "a?"


def test_long_status_fits_into_the_ledger() -> None:
    avatar = Avatar.parse({"id": "a", "status": "x" * 10_000})
    assert avatar is not None
    assert avatar.status == "x" * MAX_STATUS_CHARACTERS
    assert provisioning_table.c.raw_status.type.length == MAX_STATUS_CHARACTERS  # type: ignore[attr-defined]  # String
    assert avatar.raw["status"] == "x" * 10_000
