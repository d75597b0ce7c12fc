"""The simulated account's webhooks, and what is delivered to them at the end of a training."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.clock import HandClock
from simulator.server import ArgilSimulator, running_argil
from simulator.serving import serving

TRAINING_SECONDS = 100.0
PATIENCE_SECONDS = 20.0
BOTH = ["AVATAR_TRAINING_SUCCESS", "AVATAR_TRAINING_FAILED"]
URL = "https://avatars.example/webhooks/argil/token"


class Listener:
    """Takes whatever is delivered, and answers as the path says."""

    def __init__(self, base_url: str, came: queue.Queue[Any]) -> None:
        self.base_url = base_url
        self.came = came

    def url(self, status: int = 200) -> str:
        return f"{self.base_url}/{status}"

    def next(self) -> Any:
        return self.came.get(timeout=PATIENCE_SECONDS)


@pytest.fixture
def listener() -> Iterator[Listener]:
    came: queue.Queue[Any] = queue.Queue()

    async def take(request: Request) -> Response:
        came.put(await request.json())
        return Response(status_code=request.path_params["status"])

    with serving(Starlette(routes=[Route("/{status:int}", take, methods=["POST"])])) as base_url:
        yield Listener(base_url, came)


def registered(caller: httpx.Client, url: str = URL, events: list[str] | None = None) -> dict[str, Any]:
    answer = caller.post("/webhooks", json={"callbackUrl": url, "events": events or BOTH})
    assert answer.status_code == 201
    webhook: dict[str, Any] = answer.json()
    return webhook


def created(caller: httpx.Client, name: str, scenario: str = "") -> str:
    body = {
        "name": name,
        "datasetVideo": {"url": "https://videos.example/d.mp4"},
        "consentVideo": {"url": "https://videos.example/c.mp4"},
        "extras": {"simulator": scenario, "submission_id": name},
    }
    avatar_id: str = caller.post("/avatars", json=body).json()["id"]
    return avatar_id


# The account's webhooks


def test_a_webhook_is_registered_listed_changed_and_removed(caller: httpx.Client) -> None:
    assert caller.get("/webhooks").json() == []
    first, second = registered(caller), registered(caller)
    assert first == {"id": first["id"], "callbackUrl": URL, "events": BOTH}
    assert caller.get("/webhooks").json() == [first, second]
    changed = caller.put(f"/webhooks/{first['id']}", json={"callbackUrl": URL, "events": BOTH[:1]})
    assert changed.json() == first | {"events": BOTH[:1]}
    assert caller.delete(f"/webhooks/{second['id']}").status_code == 204
    assert caller.get("/webhooks").json() == [changed.json()]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_webhook_that_is_not_there_is_not_found(caller: httpx.Client, method: str) -> None:
    answer = caller.request(method, "/webhooks/none", json={"callbackUrl": URL, "events": BOTH})
    assert (answer.status_code, answer.json()) == (404, {"code": 404, "message": "no such webhook"})


@pytest.mark.parametrize(
    "body",
    [
        *("", "null", "[]", "{}", '"x"'),
        *(
            json.dumps(body)
            for body in (
                {"callbackUrl": URL},
                {"events": BOTH},
                {"callbackUrl": "http://avatars.example", "events": BOTH},
                {"callbackUrl": 7, "events": BOTH},
                {"callbackUrl": URL, "events": []},
                {"callbackUrl": URL, "events": "AVATAR_TRAINING_SUCCESS"},
                {"callbackUrl": URL, "events": [7]},
                {"callbackUrl": URL, "events": BOTH, "secret": "x"},
            )
        ),
    ],
)
def test_what_is_no_webhook_is_refused(caller: httpx.Client, body: str) -> None:
    there = registered(caller)
    assert caller.post("/webhooks", content=body).status_code == 400
    assert caller.put(f"/webhooks/{there['id']}", content=body).status_code == 400
    assert caller.get("/webhooks").json() == [there]


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("GET", ""), ("PUT", "/x"), ("DELETE", "/x")])
def test_webhooks_need_the_key(argil: ArgilSimulator, method: str, path: str) -> None:
    assert httpx.request(method, f"{argil.api_url}/webhooks{path}").status_code == 401


# Deliveries


def test_the_end_of_a_training_is_delivered_once(
    caller: httpx.Client, clock: HandClock, listener: Listener
) -> None:
    registered(caller, listener.url())
    good, bad = created(caller, "Ada"), created(caller, "Bob", "fail")
    clock.advance(TRAINING_SECONDS)
    came = {one["data"]["avatarId"]: one for one in (listener.next(), listener.next())}
    assert came[good] == {
        "event": "AVATAR_TRAINING_SUCCESS",
        "data": {
            "avatarId": good,
            "avatarName": "Ada",
            "extras": {"simulator": "", "submission_id": "Ada"},
            "voiceId": came[good]["data"]["voiceId"],
        },
    }
    assert came[bad] == {
        "event": "AVATAR_TRAINING_FAILED",
        "data": {
            "avatarId": bad,
            "avatarName": "Bob",
            "extras": {"simulator": "fail", "submission_id": "Bob"},
        },
    }
    last = created(caller, "Eve")
    clock.advance(TRAINING_SECONDS)
    assert listener.next()["data"]["avatarId"] == last


@pytest.mark.parametrize("scenario", ["refuse", "never", "vanish"])
def test_an_end_without_an_event_is_not_delivered(
    caller: httpx.Client, clock: HandClock, listener: Listener, scenario: str
) -> None:
    registered(caller, listener.url())
    created(caller, "Ada", scenario)
    clock.advance(TRAINING_SECONDS)
    last = created(caller, "Eve")
    clock.advance(TRAINING_SECONDS)
    assert listener.next()["data"]["avatarId"] == last


def test_each_webhook_gets_what_it_asked_for(caller: httpx.Client, clock: HandClock, listener: Listener) -> None:
    registered(caller, listener.url(), ["AVATAR_TRAINING_FAILED"])
    registered(caller, listener.url(), ["VIDEO_GENERATION_SUCCESS"])
    removed = registered(caller, listener.url())
    caller.delete(f"/webhooks/{removed['id']}")
    created(caller, "Ada")
    bad = created(caller, "Bob", "fail")
    clock.advance(TRAINING_SECONDS)
    assert listener.next()["data"]["avatarId"] == bad
    twice = registered(caller, listener.url())
    last = created(caller, "Eve", "fail")
    clock.advance(TRAINING_SECONDS)
    assert [listener.next()["data"]["avatarId"] for _ in range(2)] == [last, last]
    assert twice["id"] != removed["id"]


def test_what_cannot_be_delivered_is_tried_once_and_stops_nothing(
    caller: httpx.Client, clock: HandClock, listener: Listener
) -> None:
    for url in ("http://127.0.0.1:9", "http://127.0.0.1:99999", "https://no-such-host.invalid", listener.url(500)):
        registered(caller, url)
    for name in ("Ada", "Bob"):
        avatar_id = created(caller, name)
        clock.advance(TRAINING_SECONDS)
        assert listener.next()["data"]["avatarId"] == avatar_id


def test_what_ended_before_a_webhook_was_there_is_not_delivered_to_it(
    caller: httpx.Client, argil: ArgilSimulator, clock: HandClock, listener: Listener
) -> None:
    created(caller, "Ada")
    clock.advance(TRAINING_SECONDS)
    argil.world.newly_ended()  # as the server does every moment
    registered(caller, listener.url())
    last = created(caller, "Eve")
    clock.advance(TRAINING_SECONDS)
    assert listener.next()["data"]["avatarId"] == last


def test_a_delivery_that_hangs_does_not_hold_up_the_end(clock: HandClock) -> None:
    came: queue.Queue[None] = queue.Queue()

    async def hang(request: Request) -> Response:
        came.put(None)
        await request.is_disconnected()
        return Response()

    with (
        serving(Starlette(routes=[Route("/", hang, methods=["POST"])])) as url,
        running_argil(clock=clock, training_seconds=TRAINING_SECONDS) as argil,
        httpx.Client(base_url=argil.api_url, headers={"x-api-key": argil.api_key}) as caller,
    ):
        registered(caller, url)
        created(caller, "Ada")
        clock.advance(TRAINING_SECONDS)
        came.get(timeout=PATIENCE_SECONDS)
