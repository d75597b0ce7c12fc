"""An avatar is ours if its submission id has our form; messages name avatars without personal data."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.argil.unknown_avatars import (
    UnknownAvatar,
    is_our_submission_id,
    read_unknown_avatar,
    unknown_avatars_error,
)
from models.errors import UnknownAvatars
from tests.fakes import FakeClock

OURS = "3f2b8c1e-5d47-4a90-9b6e-0c1d2e3f4a5b"
NOW = FakeClock().now()


@given(st.uuids(version=4))
def test_each_id_of_a_submission_has_our_form(submission_id: uuid.UUID) -> None:
    assert is_our_submission_id(str(submission_id))


@given(st.text())
def test_only_random_uuids_have_our_form(text: str) -> None:
    assert not is_our_submission_id(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "creator-4711", OURS.upper(), OURS.replace("-", ""), f"{{{OURS}}}", f"urn:uuid:{OURS}"),
        *(f"{OURS}\n", f" {OURS}", OURS[:-1], f"{OURS}0", OURS.replace("3f2b", "３f2b")),
        *(
            "00000000-0000-0000-0000-000000000000",
            "d21c70b8-ea87-11f1-9c9d-02fc00000001",
            str(uuid.uuid5(uuid.NAMESPACE_URL, "x")),
        ),
        "3f2b8c1e-5d47-4a90-cb6e-0c1d2e3f4a5b",  # the variant of another specification
    ],
)
def test_similar_ids_of_other_programs_are_not_ours(text: str) -> None:
    assert not is_our_submission_id(text)


@pytest.mark.parametrize(
    ("item", "avatar_id", "name"),
    [
        ({"id": "a-1", "name": "Ada", "status": "IDLE"}, "a-1", "Ada"),
        ({"id": "a-1", "name": None, "status": None}, "a-1", ""),
        ({"id": 7, "name": ["Ada"]}, None, ""),
        ({"id": "a\x00", "name": "A\x00\ud800"}, None, "A??"),
        ({"id": "a-1", "name": 300 * "x"}, "a-1", 256 * "x"),
    ],
)
def test_malformed_fields_of_an_avatar_are_storable(item: dict[str, Any], avatar_id: str | None, name: str) -> None:
    avatar = read_unknown_avatar(OURS, item, NOW)
    assert (avatar.submission_id, avatar.avatar_id, avatar.name) == (OURS, avatar_id, name)


def test_error_names_ids_and_no_persons() -> None:
    avatars = [UnknownAvatar(OURS, avatar_id, "Ada", NOW) for avatar_id in ("a-1", None)]
    error = unknown_avatars_error(avatars, 62)
    assert isinstance(error, UnknownAvatars)
    assert error.code == "account.unknown-avatars"
    assert error.message == (
        "nothing more is submitted: this ledger does not know the submissions of 62 avatars at Argil: "
        f"a-1, the avatar of submission {OURS}, and 60 more"
    )
    assert "--ignore-unknown" in error.hint
    assert "AVATARS_IGNORE_UNKNOWN=true" in error.hint
    assert "of 1 avatar at Argil: a-1" in unknown_avatars_error(avatars[:1], 1).message
