"""Submission ids: random, in the form of ours, and recognized by the request that they belong to."""

from __future__ import annotations

import uuid

import pytest

from models.argil.unknown_avatars import is_our_submission_id
from models.submission_ids import TAG_CHARACTERS, new_submission_id, request_tag, tag_of, tag_suffix

FINGERPRINT = "f" * 64


def test_ids_of_one_request_differ_and_have_its_tag() -> None:
    ids = {new_submission_id("creator-1", FINGERPRINT) for _ in range(1000)}
    assert len(ids) == 1000
    assert {tag_of(item) for item in ids} == {request_tag("creator-1", FINGERPRINT)}
    assert all(item.endswith(tag_suffix(request_tag("creator-1", FINGERPRINT))) for item in ids)


def test_id_has_the_form_of_a_random_uuid() -> None:
    for number in range(100):
        submission_id = new_submission_id(f"creator-{number}", FINGERPRINT)
        assert is_our_submission_id(submission_id)
        assert str(uuid.UUID(submission_id)) == submission_id
        assert uuid.UUID(submission_id).version == 4


@pytest.mark.parametrize(
    ("reference", "fingerprint"), [("creator-2", FINGERPRINT), ("creator-1", "e" * 64), ("creator-1f", "f" * 63)]
)
def test_other_request_has_another_tag(reference: str, fingerprint: str) -> None:
    assert request_tag(reference, fingerprint) != request_tag("creator-1", FINGERPRINT)


@pytest.mark.parametrize("reference", ["Zoë", "", "\ud800", "a" * 256, '"],["'])
def test_tag_of_any_reference_has_one_length(reference: str) -> None:
    assert len(request_tag(reference, FINGERPRINT)) == TAG_CHARACTERS
