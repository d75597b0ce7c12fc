"""An account list is indexed by avatar id and by submission id, whatever its items are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from models.argil.avatar_list import AvatarList

TRAINING: dict[str, Any] = {"id": "a-1", "status": "TRAINING", "extras": {"submission_id": "s-1", "team": "blue"}}
AS_TEXT: dict[str, Any] = {"id": "a-2", "status": "IDLE", "extras": json.dumps({"submission_id": "s-2"})}
MALFORMED: list[object] = [
    *(None, 7, "x", [], {}, {"id": 7, "status": "IDLE"}, {"extras": None}, {"extras": []}, {"extras": "{"}),
    *({"extras": {"submission_id": None}}, {"extras": {"submission_id": 7}}, {"extras": {"submission_id": []}}),
]


def test_items_are_found_among_malformed_ones() -> None:
    avatars = AvatarList([*MALFORMED, TRAINING, {"id": "a-3", "status": 7}, AS_TEXT])
    assert list(avatars.submission_ids) == ["s-1", "s-2"]
    assert [avatars.ids_of(key) for key in ("s-1", "s-2", "s-3")] == [["a-1"], ["a-2"], []]
    assert (avatars.first_item("s-1"), avatars.first_item("s-2")) == (TRAINING, AS_TEXT)
    assert avatars.has_status("a-1", "TRAINING")
    assert not any(avatars.has_status("a-1", status) for status in ("IDLE", None))
    assert not avatars.has_status("a-4", None)
    assert (found := avatars.get("a-1")) is not None
    assert found.raw == TRAINING
    assert [avatars.get(avatar_id) for avatar_id in ("a-3", "a-4", None)] == [None, None, None]


def test_each_avatar_with_a_submission_id_is_named() -> None:
    duplicate = {**TRAINING, "id": "a-9"}
    without_id = {"extras": {"submission_id": "s-1"}}
    avatars = AvatarList([without_id, TRAINING, duplicate])
    assert avatars.ids_of("s-1") == ["a-1", "a-9"]
    assert avatars.first_item("s-1") == without_id


def test_last_item_with_an_id_counts() -> None:
    avatars = AvatarList([TRAINING, {**TRAINING, "status": "IDLE"}])
    assert avatars.has_status("a-1", "IDLE")
    assert avatars.ids_of("s-1") == ["a-1"]


@pytest.mark.parametrize(
    ("status", "unfinished"),
    [
        *((status, True) for status in ("NOT_TRAINED", "TRAINING")),
        *((status, False) for status in ("IDLE", "TRAINING_FAILED", "REFUSED", "training", "PAUSED", "", None, 7)),
        *(([], False), ({}, False), (["TRAINING"], False)),
    ],
)
def test_only_documented_statuses_count_as_unfinished(status: object, unfinished: bool) -> None:
    avatars = AvatarList([{**TRAINING, "status": status}])
    assert avatars.is_unfinished("a-1") is unfinished
    assert avatars.is_unfinished("a-2") is False
