"""The inspection interface of the simulator, which tests and the demo use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from simulator.server import ArgilSimulator, run_argil


def body(**extras: str) -> dict[str, Any]:
    return {
        "name": "Ada",
        "datasetVideo": {"url": "https://example.com/dataset.mp4"},
        "consentVideo": {"url": "https://example.com/consent.mp4"},
        "extras": extras,
    }


def inspect(argil: ArgilSimulator, resource: str) -> Any:
    """GET an inspection resource over HTTP, without the key."""
    return httpx.get(httpx.URL(argil.api_url).join(f"/_simulator/{resource}")).raise_for_status().json()


def test_api_url_is_a_loopback_url_ending_in_v1(argil: ArgilSimulator) -> None:
    url = httpx.URL(argil.api_url)
    assert (url.scheme, url.host, url.path) == ("http", "127.0.0.1", "/v1")


def test_requests_are_counted_by_route(argil: ArgilSimulator, caller: httpx.Client) -> None:
    avatar_id = caller.post("/avatars", json=body()).json()["id"]
    caller.get(f"/avatars/{avatar_id}")
    caller.get("/avatars/unknown")
    caller.get("/avatars", headers={"x-api-key": "wrong"})
    counts = {"POST /avatars": 1, "GET /avatars/{id}": 2, "GET /avatars": 1}
    assert inspect(argil, "requests")["counts"] == counts
    assert {route: argil.account.count(route) for route in counts} == counts
    assert argil.account.count("GET /videos") == 0


def test_posts_are_recorded_with_their_status(argil: ArgilSimulator, caller: httpx.Client) -> None:
    sent = [body(submission_id="s-1"), body(simulator="invalid"), {"name": ""}]
    for sent_body in sent:
        caller.post("/avatars", json=sent_body)
    caller.post("/avatars", content=b"{")
    with pytest.raises(httpx.RemoteProtocolError):
        caller.post("/avatars", json=body(simulator="cut-before-create"))
    bodies = [*sent, "{", body(simulator="cut-before-create")]
    response_statuses = [201, 422, 400, 400, None]
    assert argil.account.posts == bodies
    assert inspect(argil, "requests")["posts"] == [
        {"body": sent_body, "status": status} for sent_body, status in zip(bodies, response_statuses, strict=True)
    ]


def test_inspection_lists_hidden_avatars_too(argil: ArgilSimulator, caller: httpx.Client) -> None:
    created = caller.post("/avatars", json=body(simulator="late-get,list-lag")).json()
    assert caller.get("/avatars").json() == []
    assert inspect(argil, "avatars") == argil.account.avatars == [created]


def test_avatars_are_found_by_their_extras(argil: ArgilSimulator, caller: httpx.Client) -> None:
    created = [caller.post("/avatars", json=body(submission_id=key)).json() for key in ("a", "b", "b")]
    assert argil.avatars_with_extra("submission_id", "b") == created[1:]
    assert argil.avatars_with_extra("submission_id", "c") == []
    assert argil.avatars_with_extra("other", "b") == []


def test_account_can_be_read_concurrently(argil: ArgilSimulator, caller: httpx.Client) -> None:
    with ThreadPoolExecutor(4) as threads:
        posts = [threads.submit(caller.post, "/avatars", json=body()) for _ in range(50)]
        while not all(post.done() for post in posts):
            assert len(argil.account.avatars) <= argil.account.count("POST /avatars") <= 50
    assert len(argil.account.avatars) == len(argil.account.posts) == 50


def test_api_key_can_be_chosen() -> None:
    with run_argil(api_key="chosen-key") as argil:
        assert httpx.get(f"{argil.api_url}/avatars", headers={"x-api-key": "chosen-key"}).status_code == 200


def test_port_in_use_is_an_error(argil: ArgilSimulator) -> None:
    port = httpx.URL(argil.api_url).port
    assert port
    with pytest.raises(OSError, match="in use"), run_argil(port=port):
        pass


def test_unknown_timing_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="minutes"), run_argil(minutes=1):
        pass
