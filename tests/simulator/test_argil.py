"""The simulated API where nothing goes wrong, and where the caller does."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Any

import httpx
import pytest

from simulator.clock import HandClock
from simulator.server import ArgilSimulator, running_argil

# The example of Argil's own document, word for word.
EXAMPLE = {
    "name": "My Avatar",
    "datasetVideo": {"url": "https://example.com/source-video.mp4"},
    "consentVideo": {"url": "https://example.com/consent-video.mp4"},
}
FRESH = {"id", "name", "actorName", "createAt", "updatedAt", "status", "extras"}
TRAINED = {"gestures", "width", "height", "thumbnailUrl", "coverImageUrl", "orientation", "model"}


def create(caller: httpx.Client, **changes: Any) -> dict[str, Any]:
    # httpx writes strings as UTF-8, which has no lone surrogates; json writes them as JSON does.
    answer = caller.post("/avatars", content=json.dumps(EXAMPLE | changes))
    assert answer.status_code == 201
    avatar: dict[str, Any] = answer.json()
    return avatar


def look(caller: httpx.Client, avatar: dict[str, Any]) -> dict[str, Any]:
    answer = caller.get(f"/avatars/{avatar['id']}")
    assert answer.status_code == 200
    shown: dict[str, Any] = answer.json()
    return shown


def assert_error(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status
    body = answer.json()
    assert body.keys() == {"code", "message"}
    assert type(body["code"]) is int
    assert type(body["message"]) is str


def test_the_documents_example_is_created_in_not_trained(caller: httpx.Client) -> None:
    avatar = create(caller)
    assert avatar.keys() == FRESH
    assert str(uuid.UUID(avatar["id"])) == avatar["id"]
    assert avatar["name"] == avatar["actorName"] == "My Avatar"
    assert avatar["status"] == "NOT_TRAINED"
    assert avatar["extras"] == {}
    assert avatar["updatedAt"] == avatar["createAt"]
    assert datetime.fromisoformat(avatar["createAt"]).tzinfo is not None


def test_the_extras_come_back_in_every_answer(caller: httpx.Client) -> None:
    extras = {"submission_id": "s-1", "lone surrogate": "\ud800"}
    avatar = create(caller, extras=extras)
    assert avatar["extras"] == extras
    assert look(caller, avatar)["extras"] == extras
    assert caller.get("/avatars").json()[0]["extras"] == extras


def test_what_is_sent_twice_is_created_twice(caller: httpx.Client) -> None:
    assert create(caller)["id"] != create(caller)["id"]


def test_an_avatar_trains_and_is_ready_as_time_passes(caller: httpx.Client, clock: HandClock) -> None:
    avatar = create(caller)
    assert look(caller, avatar) == avatar
    clock.advance(10)
    training = look(caller, avatar)
    assert training["status"] == "TRAINING"
    assert training.keys() == FRESH
    clock.advance(89)
    assert look(caller, avatar) == training
    clock.advance(1)
    ready = look(caller, avatar)
    assert ready["status"] == "IDLE"
    assert ready.keys() == FRESH | TRAINED
    age = datetime.fromisoformat(ready["updatedAt"]) - datetime.fromisoformat(ready["createAt"])
    assert age.total_seconds() == 100


def test_what_a_training_yields_has_the_documents_types(caller: httpx.Client, clock: HandClock) -> None:
    avatar = create(caller)
    clock.advance(100)
    ready = look(caller, avatar)
    assert type(ready["width"]) is int
    assert type(ready["height"]) is int
    assert ready["orientation"] in {"ASPECT_RATIO_16_9", "ASPECT_RATIO_9_16"}
    assert ready["model"] in {"ARGIL_V1", "ARGIL_ATOM"}
    assert all(gesture.keys() == {"label", "slug", "startFrame"} for gesture in ready["gestures"])
    assert ready["thumbnailUrl"].startswith("https://")
    assert ready["coverImageUrl"].startswith("https://")


def test_a_create_answers_not_trained_even_where_training_takes_no_time() -> None:
    with running_argil(training_seconds=0) as argil:
        headers = {"x-api-key": argil.api_key}
        created = httpx.post(f"{argil.api_url}/avatars", json=EXAMPLE, headers=headers).json()
        shown = httpx.get(f"{argil.api_url}/avatars/{created['id']}", headers=headers).json()
    assert created["status"] == "NOT_TRAINED"
    assert shown["status"] == "IDLE"


def test_an_empty_account_lists_nothing(caller: httpx.Client) -> None:
    assert caller.get("/avatars").json() == []


def test_the_list_is_an_array_of_what_a_look_shows(caller: httpx.Client, clock: HandClock) -> None:
    first = create(caller)
    clock.advance(100)
    second = create(caller)
    assert caller.get("/avatars").json() == [look(caller, first), look(caller, second)]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"visibility": "private"}, 1),
        ({"visibility": "public"}, 0),
        ({"orientation": "ASPECT_RATIO_16_9"}, 1),
        ({"orientation": "ASPECT_RATIO_9_16"}, 0),
        ({"model": "ARGIL_V1"}, 1),
        ({"model": "ARGIL_ATOM"}, 0),
        ({"visibility": "private", "orientation": "ASPECT_RATIO_16_9", "model": "ARGIL_V1"}, 1),
        ({"visibility": "private", "orientation": "ASPECT_RATIO_16_9", "model": "ARGIL_ATOM"}, 0),
    ],
)
def test_the_list_is_filtered(caller: httpx.Client, clock: HandClock, filters: dict[str, str], found: int) -> None:
    create(caller)
    clock.advance(100)
    assert len(caller.get("/avatars", params=filters).json()) == found


def test_what_is_not_trained_yet_has_no_model_to_be_found_by(caller: httpx.Client) -> None:
    create(caller)
    assert caller.get("/avatars", params={"model": "ARGIL_V1"}).json() == []


@pytest.mark.parametrize("name", ["visibility", "orientation", "model"])
@pytest.mark.parametrize("value", ["", "PRIVATE", "other"])
def test_a_filter_value_that_is_not_documented_is_an_error(
    shared_caller: httpx.Client, name: str, value: str
) -> None:
    assert_error(shared_caller.get("/avatars", params={name: value}), 400)


@pytest.mark.parametrize("avatar_id", [str(uuid.UUID(int=0)), "not-a-uuid"])
def test_an_id_nobody_knows_is_not_found(shared_caller: httpx.Client, avatar_id: str) -> None:
    assert_error(shared_caller.get(f"/avatars/{avatar_id}"), 404)


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "another"}, {"authorization": "Bearer simulator-key"}])
def test_without_the_key_nothing_is_told_or_done(argil: ArgilSimulator, headers: dict[str, str]) -> None:
    with httpx.Client(base_url=argil.api_url, headers=headers) as stranger:
        assert_error(stranger.post("/avatars", json=EXAMPLE), 401)
        assert_error(stranger.get("/avatars"), 401)
        assert_error(stranger.get("/avatars/1"), 401)
    assert argil.world.avatars == argil.world.posts == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("DELETE", "/avatars", 405), ("DELETE", "/avatars/1", 405), ("GET", "/videos", 404)],
)
def test_what_is_not_documented_is_refused(
    shared_caller: httpx.Client, method: str, path: str, status: int
) -> None:
    assert_error(shared_caller.request(method, path), status)
