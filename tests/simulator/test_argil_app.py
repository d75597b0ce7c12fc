"""The simulated API without faults, and its responses to invalid requests."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from typing import Any

import httpx
import pytest

from simulator.clock import ManualClock
from simulator.server import ArgilSimulator, run_argil

# The literal example of Argil's documentation.
EXAMPLE = {
    "name": "My Avatar",
    "datasetVideo": {"url": "https://example.com/source-video.mp4"},
    "consentVideo": {"url": "https://example.com/consent-video.mp4"},
}
CREATED_FIELDS = {"id", "name", "actorName", "createAt", "updatedAt", "status", "extras"}
TRAINED_FIELDS = {"gestures", "width", "height", "thumbnailUrl", "coverImageUrl", "orientation", "model"}


def create(caller: httpx.Client, **changes: Any) -> dict[str, Any]:
    # httpx writes strings as UTF-8, which has no lone surrogates; json writes them as JSON does.
    response = caller.post("/avatars", content=json.dumps(EXAMPLE | changes))
    assert response.status_code == 201
    avatar: dict[str, Any] = response.json()
    return avatar


def get_avatar(caller: httpx.Client, avatar: dict[str, Any]) -> dict[str, Any]:
    response = caller.get(f"/avatars/{avatar['id']}")
    assert response.status_code == 200
    avatar_body: dict[str, Any] = response.json()
    return avatar_body


def assert_error(response: httpx.Response, status: int) -> None:
    assert response.status_code == status
    body = response.json()
    assert body.keys() == {"code", "message"}
    assert type(body["code"]) is int
    assert type(body["message"]) is str


def test_documented_example_is_created_as_not_trained(caller: httpx.Client) -> None:
    avatar = create(caller)
    assert avatar.keys() == CREATED_FIELDS
    assert str(uuid.UUID(avatar["id"])) == avatar["id"]
    assert avatar["name"] == avatar["actorName"] == "My Avatar"
    assert avatar["status"] == "NOT_TRAINED"
    assert avatar["extras"] == {}
    assert avatar["updatedAt"] == avatar["createAt"]
    assert datetime.fromisoformat(avatar["createAt"]).tzinfo is not None


def test_extras_are_returned_in_every_response(caller: httpx.Client) -> None:
    extras = {"submission_id": "s-1", "lone surrogate": "\ud800"}
    avatar = create(caller, extras=extras)
    assert avatar["extras"] == extras
    assert get_avatar(caller, avatar)["extras"] == extras
    assert caller.get("/avatars").json()[0]["extras"] == extras


def test_create_sent_twice_creates_two_avatars(caller: httpx.Client) -> None:
    assert create(caller)["id"] != create(caller)["id"]


def test_avatar_status_follows_the_clock(caller: httpx.Client, clock: ManualClock) -> None:
    avatar = create(caller)
    assert get_avatar(caller, avatar) == avatar
    clock.advance(10)
    training = get_avatar(caller, avatar)
    assert training["status"] == "TRAINING"
    assert training.keys() == CREATED_FIELDS
    clock.advance(89)
    assert get_avatar(caller, avatar) == training
    clock.advance(1)
    ready = get_avatar(caller, avatar)
    assert ready["status"] == "IDLE"
    assert ready.keys() == CREATED_FIELDS | TRAINED_FIELDS
    age = datetime.fromisoformat(ready["updatedAt"]) - datetime.fromisoformat(ready["createAt"])
    assert age.total_seconds() == 100


def test_trained_fields_have_the_documented_types(caller: httpx.Client, clock: ManualClock) -> None:
    avatar = create(caller)
    clock.advance(100)
    ready = get_avatar(caller, avatar)
    assert type(ready["width"]) is int
    assert type(ready["height"]) is int
    assert ready["orientation"] in {"ASPECT_RATIO_16_9", "ASPECT_RATIO_9_16"}
    assert ready["model"] in {"ARGIL_V1", "ARGIL_ATOM"}
    assert all(gesture.keys() == {"label", "slug", "startFrame"} for gesture in ready["gestures"])
    assert ready["thumbnailUrl"].startswith("https://")
    assert ready["coverImageUrl"].startswith("https://")


def test_create_returns_not_trained_with_zero_training_time() -> None:
    with run_argil(training_seconds=0) as argil:
        headers = {"x-api-key": argil.api_key}
        created = httpx.post(f"{argil.api_url}/avatars", json=EXAMPLE, headers=headers).json()
        polled = httpx.get(f"{argil.api_url}/avatars/{created['id']}", headers=headers).json()
    assert created["status"] == "NOT_TRAINED"
    assert polled["status"] == "IDLE"


def test_empty_account_has_an_empty_list(caller: httpx.Client) -> None:
    assert caller.get("/avatars").json() == []


def test_list_items_equal_the_single_get(caller: httpx.Client, clock: ManualClock) -> None:
    first = create(caller)
    clock.advance(100)
    second = create(caller)
    assert caller.get("/avatars").json() == [get_avatar(caller, first), get_avatar(caller, second)]


@pytest.mark.parametrize(
    ("filters", "count"),
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
def test_the_list_is_filtered(
    caller: httpx.Client, clock: ManualClock, filters: dict[str, str], count: int
) -> None:
    create(caller)
    clock.advance(100)
    assert len(caller.get("/avatars", params=filters).json()) == count


def test_untrained_avatar_is_excluded_by_model_filter(caller: httpx.Client) -> None:
    create(caller)
    assert caller.get("/avatars", params={"model": "ARGIL_V1"}).json() == []


@pytest.mark.parametrize("name", ["visibility", "orientation", "model"])
@pytest.mark.parametrize("value", ["", "PRIVATE", "other"])
def test_undocumented_filter_value_is_an_error(shared_caller: httpx.Client, name: str, value: str) -> None:
    assert_error(shared_caller.get("/avatars", params={name: value}), 400)


@pytest.mark.parametrize("avatar_id", [str(uuid.UUID(int=0)), "not-a-uuid"])
def test_unknown_avatar_id_is_not_found(shared_caller: httpx.Client, avatar_id: str) -> None:
    assert_error(shared_caller.get(f"/avatars/{avatar_id}"), 404)


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "another"}, {"authorization": "Bearer simulator-key"}])
def test_requests_without_the_key_are_rejected(argil: ArgilSimulator, headers: dict[str, str]) -> None:
    with httpx.Client(base_url=argil.api_url, headers=headers) as unauthenticated:
        assert_error(unauthenticated.post("/avatars", json=EXAMPLE), 401)
        assert_error(unauthenticated.get("/avatars"), 401)
        assert_error(unauthenticated.get("/avatars/1"), 401)
    assert argil.account.avatars == argil.account.posts == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("DELETE", "/avatars", 405), ("DELETE", "/avatars/1", 405), ("GET", "/videos", 404)],
)
def test_undocumented_route_or_method_is_rejected(
    shared_caller: httpx.Client, method: str, path: str, status: int
) -> None:
    assert_error(shared_caller.request(method, path), status)
