"""The kinds of requests: which one a caller's fields are, the recordings of each, and the fingerprints."""

from __future__ import annotations

from typing import Any

import pytest

from models.errors import InvalidRequest
from models.image_request import ImageRequest
from models.media.rules import MediaRole
from models.request import ProvisioningRequest, RequestKind
from models.request_kinds import REQUEST_CLASSES, parse_fields

D, C = "https://videos.example/ada/dataset.mp4", "https://videos.example/ada/consent.mp4"
IMAGE = "https://videos.example/ada/portrait.png"
VOICE = "3f2b8c1e-5d47-4a90-9b6e-0c1d2e3f4a5b"
VIDEO_FIELDS: dict[str, Any] = {"name": "Ada", "dataset_video": D, "consent_video": C}
IMAGE_FIELDS: dict[str, Any] = {"name": "Ada", "image": IMAGE, "consent_video": C}


def problems_of(fields: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        parse_fields(fields)
    return caught.value.problems


def test_every_kind_has_a_class() -> None:
    assert set(REQUEST_CLASSES) == set(RequestKind)


@pytest.mark.parametrize("empty", [{}, {"image": ""}, {"image": None}, {"image": None, "voice_id": ""}])
def test_fields_without_an_image_are_a_video_request(empty: dict[str, Any]) -> None:
    request = parse_fields({**VIDEO_FIELDS, **empty})
    assert isinstance(request, ProvisioningRequest)
    assert request.recordings == {MediaRole.DATASET: D, MediaRole.CONSENT: C}


@pytest.mark.parametrize("empty", [{}, {"dataset_video": ""}, {"dataset_video": None}])
def test_fields_with_an_image_are_an_image_request(empty: dict[str, Any]) -> None:
    request = parse_fields({**IMAGE_FIELDS, **empty})
    assert isinstance(request, ImageRequest)
    assert request.recordings == {MediaRole.IMAGE: IMAGE, MediaRole.CONSENT: C}


def test_image_beside_a_dataset_video_is_a_problem() -> None:
    [(field, problem)] = problems_of({**IMAGE_FIELDS, "dataset_video": D})
    assert field == "image"
    assert "dataset_video" in problem


def test_image_request_without_a_consent_video_has_one_recording() -> None:
    assert parse_fields({**IMAGE_FIELDS, "consent_video": ""}).recordings == {MediaRole.IMAGE: IMAGE}


@pytest.mark.parametrize("voice_id", [VOICE, VOICE.upper(), VOICE.replace("-", ""), f"urn:uuid:{VOICE}"])
def test_voice_id_is_stored_in_one_form(voice_id: str) -> None:
    request = parse_fields({**IMAGE_FIELDS, "voice_id": voice_id})
    assert isinstance(request, ImageRequest)
    assert request.voice_id == VOICE


@pytest.mark.parametrize("voice_id", ["ada", VOICE[:-1], 7])
def test_voice_id_must_be_a_uuid(voice_id: object) -> None:
    assert [field for field, _ in problems_of({**IMAGE_FIELDS, "voice_id": voice_id})] == ["voice_id"]


def test_problem_with_an_image_hides_its_signature() -> None:
    [(field, problem)] = problems_of({**IMAGE_FIELDS, "image": "http://videos.example/i.png?sig=canary"})
    assert field == "image"
    assert "canary" not in problem


def test_fingerprint_of_a_video_request_stays_the_same() -> None:
    request = parse_fields({**VIDEO_FIELDS, "extras": {"b": "1", "a": "2"}, "reference": "c"})
    assert request.fingerprint == "52ea7583de11d12950c53bd38963590331725b06fd8e466e31941d229ee6d1de"


@pytest.mark.parametrize(
    "change", [{"name": "Eve"}, {"image": D}, {"consent_video": None}, {"voice_id": VOICE}, {"extras": {"a": "1"}}]
)
def test_each_field_of_an_image_request_changes_its_fingerprint(change: dict[str, Any]) -> None:
    assert parse_fields({**IMAGE_FIELDS, **change}).fingerprint != parse_fields(IMAGE_FIELDS).fingerprint


def test_signature_of_an_image_does_not_change_the_fingerprint() -> None:
    signed = parse_fields({**IMAGE_FIELDS, "image": f"{IMAGE}?X-Amz-Signature=1"})
    assert signed.fingerprint == parse_fields(IMAGE_FIELDS).fingerprint
