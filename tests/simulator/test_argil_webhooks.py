"""The webhooks of the simulated account, and the deliveries of finished trainings."""

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

from simulator.clock import ManualClock
from simulator.server import ArgilSimulator, run_argil
from simulator.uvicorn_thread import serve_in_thread

TRAINING_SECONDS = 100.0
DELIVERY_TIMEOUT_SECONDS = 20.0
BOTH = ["AVATAR_TRAINING_SUCCESS", "AVATAR_TRAINING_FAILED"]
URL = "https://avatars.example/webhooks/argil/token"


class Listener:
    """Receives deliveries, and answers with the status in the path."""

    def __init__(self, base_url: str, deliveries: queue.Queue[Any]) -> None:
        self.base_url = base_url
        self.deliveries = deliveries

    def url(self, status: int = 200) -> str:
        return f"{self.base_url}/{status}"

    def next(self) -> Any:
        return self.deliveries.get(timeout=DELIVERY_TIMEOUT_SECONDS)


@pytest.fixture
def listener() -> Iterator[Listener]:
    deliveries: queue.Queue[Any] = queue.Queue()

    async def receive(request: Request) -> Response:
        deliveries.put(await request.json())
        return Response(status_code=request.path_params["status"])

    with serve_in_thread(Starlette(routes=[Route("/{status:int}", receive, methods=["POST"])])) as base_url:
        yield Listener(base_url, deliveries)


def register(caller: httpx.Client, url: str = URL, events: list[str] | None = None) -> dict[str, Any]:
    response = caller.post("/webhooks", json={"callbackUrl": url, "events": events or BOTH})
    assert response.status_code == 201
    webhook: dict[str, Any] = response.json()
    return webhook


def create(caller: httpx.Client, name: str, scenario: str = "") -> str:
    body = {
        "name": name,
        "datasetVideo": {"url": "https://videos.example/d.mp4"},
        "consentVideo": {"url": "https://videos.example/c.mp4"},
        "extras": {"simulator": scenario, "submission_id": name},
    }
    avatar_id: str = caller.post("/avatars", json=body).json()["id"]
    return avatar_id


# The account's webhooks


def test_webhook_is_created_listed_changed_and_removed(caller: httpx.Client) -> None:
    assert caller.get("/webhooks").json() == []
    first, second = register(caller), register(caller)
    assert first == {"id": first["id"], "callbackUrl": URL, "events": BOTH}
    assert caller.get("/webhooks").json() == [first, second]
    changed = caller.put(f"/webhooks/{first['id']}", json={"callbackUrl": URL, "events": BOTH[:1]})
    assert changed.json() == first | {"events": BOTH[:1]}
    assert caller.delete(f"/webhooks/{second['id']}").status_code == 204
    assert caller.get("/webhooks").json() == [changed.json()]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_unknown_webhook_is_not_found(caller: httpx.Client, method: str) -> None:
    response = caller.request(method, "/webhooks/none", json={"callbackUrl": URL, "events": BOTH})
    assert (response.status_code, response.json()) == (404, {"code": 404, "message": "no such webhook"})


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
def test_invalid_webhook_is_rejected(caller: httpx.Client, body: str) -> None:
    existing = register(caller)
    assert caller.post("/webhooks", content=body).status_code == 400
    assert caller.put(f"/webhooks/{existing['id']}", content=body).status_code == 400
    assert caller.get("/webhooks").json() == [existing]


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("GET", ""), ("PUT", "/x"), ("DELETE", "/x")])
def test_webhook_routes_require_the_key(argil: ArgilSimulator, method: str, path: str) -> None:
    assert httpx.request(method, f"{argil.api_url}/webhooks{path}").status_code == 401


# Deliveries


def test_finished_training_is_delivered_once(caller: httpx.Client, clock: ManualClock, listener: Listener) -> None:
    register(caller, listener.url())
    succeeded, failed = create(caller, "Ada"), create(caller, "Bob", "fail")
    clock.advance(TRAINING_SECONDS)
    deliveries = {delivery["data"]["avatarId"]: delivery for delivery in (listener.next(), listener.next())}
    assert deliveries[succeeded] == {
        "event": "AVATAR_TRAINING_SUCCESS",
        "data": {
            "avatarId": succeeded,
            "avatarName": "Ada",
            "extras": {"simulator": "", "submission_id": "Ada"},
            "voiceId": deliveries[succeeded]["data"]["voiceId"],
        },
    }
    assert deliveries[failed] == {
        "event": "AVATAR_TRAINING_FAILED",
        "data": {
            "avatarId": failed,
            "avatarName": "Bob",
            "extras": {"simulator": "fail", "submission_id": "Bob"},
        },
    }
    last = create(caller, "Eve")
    clock.advance(TRAINING_SECONDS)
    assert listener.next()["data"]["avatarId"] == last


@pytest.mark.parametrize("scenario", ["refuse", "never", "vanish"])
def test_status_without_an_event_is_not_delivered(
    caller: httpx.Client, clock: ManualClock, listener: Listener, scenario: str
) -> None:
    register(caller, listener.url())
    create(caller, "Ada", scenario)
    clock.advance(TRAINING_SECONDS)
    last = create(caller, "Eve")
    clock.advance(TRAINING_SECONDS)
    assert listener.next()["data"]["avatarId"] == last


def test_webhook_receives_only_its_events(caller: httpx.Client, clock: ManualClock, listener: Listener) -> None:
    register(caller, listener.url(), ["AVATAR_TRAINING_FAILED"])
    register(caller, listener.url(), ["VIDEO_GENERATION_SUCCESS"])
    removed = register(caller, listener.url())
    caller.delete(f"/webhooks/{removed['id']}")
    create(caller, "Ada")
    failed = create(caller, "Bob", "fail")
    clock.advance(TRAINING_SECONDS)
    assert listener.next()["data"]["avatarId"] == failed
    replacement = register(caller, listener.url())
    last = create(caller, "Eve", "fail")
    clock.advance(TRAINING_SECONDS)
    assert [listener.next()["data"]["avatarId"] for _ in range(2)] == [last, last]
    assert replacement["id"] != removed["id"]


def test_failed_delivery_is_not_retried_and_blocks_nothing(
    caller: httpx.Client, clock: ManualClock, listener: Listener
) -> None:
    for url in ("http://127.0.0.1:9", "http://127.0.0.1:99999", "https://no-such-host.invalid", listener.url(500)):
        register(caller, url)
    for name in ("Ada", "Bob"):
        avatar_id = create(caller, name)
        clock.advance(TRAINING_SECONDS)
        assert listener.next()["data"]["avatarId"] == avatar_id


def test_new_webhook_receives_no_past_events(
    caller: httpx.Client, argil: ArgilSimulator, clock: ManualClock, listener: Listener
) -> None:
    create(caller, "Ada")
    clock.advance(TRAINING_SECONDS)
    argil.account.pop_finished()  # as the server does on every tick
    register(caller, listener.url())
    last = create(caller, "Eve")
    clock.advance(TRAINING_SECONDS)
    assert listener.next()["data"]["avatarId"] == last


def test_hanging_delivery_does_not_block_shutdown(clock: ManualClock) -> None:
    requests: queue.Queue[None] = queue.Queue()

    async def hang(request: Request) -> Response:
        requests.put(None)
        await request.is_disconnected()
        return Response()

    with (
        serve_in_thread(Starlette(routes=[Route("/", hang, methods=["POST"])])) as url,
        run_argil(clock=clock, training_seconds=TRAINING_SECONDS) as argil,
        httpx.Client(base_url=argil.api_url, headers={"x-api-key": argil.api_key}) as caller,
    ):
        register(caller, url)
        create(caller, "Ada")
        clock.advance(TRAINING_SECONDS)
        requests.get(timeout=DELIVERY_TIMEOUT_SECONDS)
