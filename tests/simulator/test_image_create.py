"""POST /avatars of Argil's current reference, beside the one with videos, and the removal of the latter."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from simulator.clock import ManualClock
from simulator.server import ArgilSimulator

IMAGE: dict[str, Any] = {"type": "IMAGE", "name": "Ada", "datasetImage": {"url": "https://videos.example/i.png"}}
VIDEO: dict[str, Any] = {
    "name": "Ada",
    "datasetVideo": {"url": "https://videos.example/d.mp4"},
    "consentVideo": {"url": "https://videos.example/c.mp4"},
}
VOICE = "3f2b8c1e-5d47-4a90-9b6e-0c1d2e3f4a5b"
BASE64 = "data:image/png;base64,AAAA"


def post(argil: ArgilSimulator, body: Any) -> httpx.Response:
    return httpx.post(f"{argil.api_url}/avatars", json=body, headers={"x-api-key": argil.api_key})


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"datasetImage": {"base64": BASE64}},
        {"voiceId": VOICE},
        {"callbackUrl": "https://avatars.example/1"},
        {"extras": {"a": "b"}},
    ],
)
def test_image_create_is_accepted(argil: ArgilSimulator, change: dict[str, Any]) -> None:
    response = post(argil, {**IMAGE, **change})
    assert (response.status_code, response.json()["status"]) == (201, "TRAINING")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "VIDEO"}, "type"),
        ({"type": None}, "type"),
        ({"name": ""}, "name"),
        ({"datasetImage": {}}, "exactly one"),
        ({"datasetImage": {"url": "https://a.example/i.png", "base64": BASE64}}, "exactly one"),
        ({"datasetImage": {"url": "http://a.example/i.png"}}, "https://"),
        ({"datasetImage": {"base64": "data:image/gif;base64,AAAA"}}, "base64"),
        ({"datasetImage": "https://a.example/i.png"}, "datasetImage"),
        ({"voiceId": "ada"}, "voiceId"),
        ({"voiceId": None}, "voiceId"),
        ({"callbackUrl": "http://a.example"}, "callbackUrl"),
        ({"consentVideo": {"url": "https://a.example/c.mp4"}}, "consentVideo"),
        ({"datasetVideo": {"url": "https://a.example/d.mp4"}}, "datasetVideo"),
        ({"extras": {str(number): "" for number in range(11)}}, "10"),
    ],
)
def test_image_create_that_breaks_a_rule_gets_400(
    argil: ArgilSimulator, change: dict[str, Any], words: str
) -> None:
    response = post(argil, {**IMAGE, **change})
    assert response.status_code == 400
    assert words in response.json()["message"]


def test_image_avatar_is_trained_in_seconds(argil: ArgilSimulator, clock: ManualClock) -> None:
    image, video = post(argil, IMAGE).json()["id"], post(argil, VIDEO).json()["id"]
    clock.advance(argil.account.timing.image_training_seconds)
    statuses = {avatar["id"]: avatar["status"] for avatar in argil.account.avatars}
    assert statuses[image] == "IDLE"
    assert statuses[video] != "IDLE"


def test_video_create_can_be_switched_off_and_on(argil: ArgilSimulator) -> None:
    switch = argil.api_url.replace("/v1", "/_simulator/video-create")
    assert post(argil, VIDEO).status_code == 201
    assert httpx.put(switch, json=False).json() is False
    refused = post(argil, VIDEO)
    assert (refused.status_code, refused.json()["code"]) == (410, 410)
    assert "datasetImage" in refused.json()["message"]
    assert post(argil, IMAGE).status_code == 201
    httpx.put(switch, json=True)
    assert post(argil, VIDEO).status_code == 201
