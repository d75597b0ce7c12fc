"""The rules by which a voice belongs to an avatar."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.adopted_request import AdoptedRequest
from models.argil.response import ArgilResponse
from models.argil.voice import (
    LOOKUP_PERIOD,
    TrainingPeriod,
    Voice,
    VoiceList,
    earliest_creation,
    match_voice,
    next_lookup_at,
    parse_voice_id,
)
from models.errors import InvalidRequest
from tests.models.reports.test_markdown_reports import provisioning

START = datetime(2026, 11, 23, 9, 0, 0, 500_000, tzinfo=UTC)
PERIOD = TrainingPeriod(START, START + timedelta(hours=2))


def voice(
    key: str = "v-1", name: object = "Ada", created_at: object = "2026-11-23T10:00:00.000Z"
) -> dict[str, Any]:
    return {"id": key, "name": name, "createdAt": created_at}


def listed(*items: object, headers: dict[str, str] | None = None) -> VoiceList:
    return VoiceList(ArgilResponse(200, headers or {}, json.dumps(items).encode(), is_list=True))


def match(*items: object, known: set[str] | None = None, headers: dict[str, str] | None = None) -> str | None:
    found = match_voice(listed(*items, headers=headers), "Ada", PERIOD, known or set())
    return found.id if found else None


def test_only_voice_of_the_name_and_the_training_matches() -> None:
    assert match(voice(), voice("v-2", "Bob"), voice("v-3", created_at="2026-11-22T10:00:00Z")) == "v-1"


@pytest.mark.parametrize(
    "items",
    [
        [],
        [voice(name="ada")],
        [voice(name="Ada ")],
        [voice(name=None)],
        [voice(created_at="2026-11-23T08:59:59Z")],
        [voice(created_at="2026-11-23T11:00:01Z")],
        [voice(created_at=None)],
        [voice(created_at="yesterday")],
        [voice(), voice("v-2")],
        [voice(), voice("v-2", created_at=None)],
        [{"name": "Ada", "createdAt": "2026-11-23T10:00:00Z"}, "text", None],
    ],
)
def test_uncertain_voice_does_not_match(items: list[object]) -> None:
    assert match(*items) is None


def test_voice_of_another_avatar_is_left_out() -> None:
    assert match(voice(), known={"v-1"}) is None
    assert match(voice(), voice("v-2"), known={"v-2"}) == "v-1"


def test_incomplete_list_matches_nothing() -> None:
    assert match(voice(), headers={"x-total-count": "1000"}) is None


@pytest.mark.parametrize(
    ("created_at", "is_older"),
    [
        ("2026-11-23T08:59:59Z", True),
        ("2026-11-23T09:00:00Z", False),
        ("2026-11-23T10:00:00", False),
        ("2026-11-23T10:30:00+02:00", True),
        (None, False),
        (7, False),
    ],
)
def test_voice_is_compared_with_the_submission(created_at: object, is_older: bool) -> None:
    parsed = Voice.parse(voice(created_at=created_at))
    assert parsed is not None
    assert parsed.is_older_than(START) is is_older
    assert not parsed.is_older_than(None)


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        ({"createdAt": "2026-11-23T08:00:00Z"}, datetime(2026, 11, 23, 8, tzinfo=UTC)),
        ({"createAt": "2026-11-23T08:00:00"}, datetime(2026, 11, 23, 8, tzinfo=UTC)),
        ({"createdAt": 7}, None),
        ({}, None),
    ],
)
def test_voice_of_an_adopted_avatar_is_compared_with_the_avatar(
    snapshot: dict[str, object], expected: datetime | None
) -> None:
    request = AdoptedRequest(name="Mary", reference="mary-1")
    raw = {"id": "a-1", "status": "IDLE", **snapshot}
    assert earliest_creation(provisioning(request=request, avatar_snapshot=raw), None) == expected
    assert earliest_creation(provisioning(request=request), None) is None


def test_lookups_double_their_interval_and_end_after_a_day() -> None:
    now, times = START, 0
    while (due := next_lookup_at(START, now)) is not None:
        assert due >= now + timedelta(minutes=1)
        now, times = due, times + 1
    assert now - START >= LOOKUP_PERIOD
    assert times < 15


@pytest.mark.parametrize("text", ["", " ", "v 1", "v\n1", "é", "x" * 257, "https://h.example/v?token=1"])
def test_text_that_cannot_be_an_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="voice_id"):
        parse_voice_id(text)


def test_id_is_trimmed() -> None:
    assert parse_voice_id(" 1b2c \n") == "1b2c"
