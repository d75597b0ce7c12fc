"""Manifests with images: rows of both kinds, headers, and the rule about consent."""

from __future__ import annotations

import json

import pytest

from models.errors import InvalidManifest
from models.image_request import ImageRequest
from models.manifest.manifest import ManifestOptions, parse_manifest
from models.manifest.validation import ManifestRow, reject_without_consent
from models.request import ProvisioningRequest

D, C, I = "https://v.example/d.mp4", "https://v.example/c.mp4", "https://v.example/i.png"  # noqa: E741
S = "https://v.example/s.mp3"
VOICE = "3f2b8c1e-5d47-4a90-9b6e-0c1d2e3f4a5b"


def rows_of(text: str, format_name: str = "csv") -> list[ManifestRow]:
    return list(parse_manifest(text.encode(), format_name, ManifestOptions()).rows)


def test_one_manifest_holds_both_kinds() -> None:
    rows = rows_of(
        f"name,dataset_video,image,consent_video,voice_id\nAda,{D},,{C},\nEve,,{I},{C},{VOICE}\nBob,,{I}?x=1,{C},\n"
    )
    assert [type(row.request) for row in rows] == [ProvisioningRequest, ImageRequest, ImageRequest]
    eve = rows[1].request
    assert isinstance(eve, ImageRequest)
    assert (eve.image, eve.consent_video, eve.voice_id) == (I, C, VOICE)


def test_jsonl_rows_hold_both_kinds() -> None:
    lines = [
        {"name": "Ada", "dataset_video": D, "consent_video": C},
        {"name": "Eve", "image": I, "consent_video": C, "reference": "eve"},
        {"name": "Bob", "image": I, "dataset_video": "", "consent_video": C},
    ]
    rows = rows_of("\n".join(map(json.dumps, lines)), "jsonl")
    assert [type(row.request) for row in rows] == [ProvisioningRequest, ImageRequest, ImageRequest]


def test_row_with_image_and_dataset_video_says_so() -> None:
    good, bad = rows_of(f"name,dataset_video,image,consent_video\nAda,{D},,{C}\nEve,{D},{I},{C}\n")
    assert good.request is not None
    [problem] = bad.problems
    assert (problem.code, bad.request) == ("row.image", None)
    assert "dataset_video" in problem.message


def test_row_with_neither_is_a_problem() -> None:
    [_, bad] = rows_of(f"name,dataset_video,image,consent_video\nAda,{D},,{C}\nEve,,,{C}\n")
    assert [problem.code for problem in bad.problems] == ["row.dataset_video"]


@pytest.mark.parametrize(("column", "value"), [("voice_id", VOICE), ("voice_sample", S)])
def test_voice_of_a_video_row_is_a_problem(column: str, value: str) -> None:
    [bad] = rows_of(f"name,dataset_video,consent_video,{column}\nAda,{D},{C},{value}\n")
    assert [problem.code for problem in bad.problems] == [f"row.{column}"]


@pytest.mark.parametrize(
    ("voice", "code"),
    [
        (f"{VOICE},{S}", "row.voice_sample"),
        (f"Ada,{S}", "row.voice_id"),
        (",http://v.example/s.mp3", "row.voice_sample"),
        (",Ada", "row.voice_sample"),
    ],
)
def test_wrong_voice_of_an_image_row_is_named(voice: str, code: str) -> None:
    [bad] = rows_of(f"name,image,consent_video,voice_id,voice_sample\nAda,{I},{C},{voice}\n")
    [problem] = bad.problems
    assert problem.code == code
    assert "voice_id" in problem.hint


def test_sample_without_consent_is_named() -> None:
    [bad] = rows_of(f"name,image,consent_video,voice_sample\nAda,{I},,{S}\n")
    [problem] = bad.problems
    assert (problem.code, "consent_video" in problem.message) == ("row.voice_sample", True)


@pytest.mark.parametrize("header", ["name,image,consent_video", "Name,Portrait,Consent", "name,photo,consent"])
def test_table_of_images_needs_no_dataset_video(header: str) -> None:
    [row] = rows_of(f"{header}\nAda,{I},{C}\n")
    assert isinstance(row.request, ImageRequest)


def test_photo_beside_a_dataset_video_is_another_column() -> None:
    [row] = rows_of(f"name,dataset_video,consent_video,photo\nAda,{D},{C},{I}\n")
    assert isinstance(row.request, ProvisioningRequest)


def test_table_without_videos_and_images_is_an_error() -> None:
    with pytest.raises(InvalidManifest, match="dataset_video"):
        rows_of(f"name,consent_video\nAda,{C}\n")


def test_image_row_without_consent_is_rejected_if_required() -> None:
    rows = rows_of(f"name,image\nAda,{I}\n")
    assert reject_without_consent(rows, "optional") == rows
    [rejected] = reject_without_consent(rows, "required")
    assert rejected.request is None
    [problem] = rejected.problems
    assert problem.code == "row.consent_video"
    assert "line 2" in problem.message
    assert "AVATARS_IMAGE_CONSENT" in problem.message
