"""What tests and the demo can ask of the simulator itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from simulator.server import ArgilSimulator, running_argil


def body(**extras: str) -> dict[str, Any]:
    return {
        "name": "Ada",
        "datasetVideo": {"url": "https://example.com/dataset.mp4"},
        "consentVideo": {"url": "https://example.com/consent.mp4"},
        "extras": extras,
    }


def inspect(argil: ArgilSimulator, what: str) -> Any:
    """Ask over HTTP, without the key."""
    return httpx.get(httpx.URL(argil.api_url).join(f"/_simulator/{what}")).raise_for_status().json()


def test_the_api_url_is_a_loopback_address_below_v1(argil: ArgilSimulator) -> None:
    url = httpx.URL(argil.api_url)
    assert (url.scheme, url.host, url.path) == ("http", "127.0.0.1", "/v1")


def test_every_request_is_counted_by_its_route(argil: ArgilSimulator, caller: httpx.Client) -> None:
    avatar_id = caller.post("/avatars", json=body()).json()["id"]
    caller.get(f"/avatars/{avatar_id}")
    caller.get("/avatars/unknown")
    caller.get("/avatars", headers={"x-api-key": "wrong"})
    counts = {"POST /avatars": 1, "GET /avatars/{id}": 2, "GET /avatars": 1}
    assert inspect(argil, "requests")["counts"] == counts
    assert {route: argil.world.count(route) for route in counts} == counts
    assert argil.world.count("GET /videos") == 0


def test_every_post_is_kept_with_what_it_was_answered(argil: ArgilSimulator, caller: httpx.Client) -> None:
    sent = [body(submission_id="s-1"), body(simulator="invalid"), {"name": ""}]
    for each in sent:
        caller.post("/avatars", json=each)
    caller.post("/avatars", content=b"{")
    with pytest.raises(httpx.RemoteProtocolError):
        caller.post("/avatars", json=body(simulator="cut-before-create"))
    bodies = [*sent, "{", body(simulator="cut-before-create")]
    answered = [201, 422, 400, 400, None]
    assert argil.world.posts == bodies
    assert inspect(argil, "requests")["posts"] == [
        {"body": each, "status": status} for each, status in zip(bodies, answered, strict=True)
    ]


def test_all_avatars_are_told_whatever_is_hidden(argil: ArgilSimulator, caller: httpx.Client) -> None:
    created = caller.post("/avatars", json=body(simulator="late-get,list-lag")).json()
    assert caller.get("/avatars").json() == []
    assert inspect(argil, "avatars") == argil.world.avatars == [created]


def test_avatars_are_found_by_their_extras(argil: ArgilSimulator, caller: httpx.Client) -> None:
    created = [caller.post("/avatars", json=body(submission_id=key)).json() for key in ("a", "b", "b")]
    assert argil.avatars_with_extra("submission_id", "b") == created[1:]
    assert argil.avatars_with_extra("submission_id", "c") == []
    assert argil.avatars_with_extra("other", "b") == []


def test_the_world_may_be_read_while_it_is_worked_on(argil: ArgilSimulator, caller: httpx.Client) -> None:
    with ThreadPoolExecutor(4) as threads:
        posts = [threads.submit(caller.post, "/avatars", json=body()) for _ in range(50)]
        while not all(post.done() for post in posts):
            assert len(argil.world.avatars) <= argil.world.count("POST /avatars") <= 50
    assert len(argil.world.avatars) == len(argil.world.posts) == 50


def test_the_key_is_the_callers_choice() -> None:
    with running_argil(api_key="mine") as argil:
        assert httpx.get(f"{argil.api_url}/avatars", headers={"x-api-key": "mine"}).status_code == 200


def test_a_taken_port_is_an_error(argil: ArgilSimulator) -> None:
    port = httpx.URL(argil.api_url).port
    assert port
    with pytest.raises(OSError, match="in use"), running_argil(port=port):
        pass


def test_a_timing_that_does_not_exist_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="minutes"), running_argil(minutes=1):
        pass
