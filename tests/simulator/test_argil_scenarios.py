"""Each scenario: the response that the caller gets, and its effect on the account."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import httpx
import pytest

from simulator.clock import ManualClock
from simulator.responses import OTHER_AVATAR_ID
from simulator.scenarios import SCENARIOS
from simulator.server import ArgilSimulator, run_argil

DROPPED = "dropped"


def body(scenario: str, *, name: str = "Ada", query: str = "", **extras: str) -> dict[str, Any]:
    return {
        "name": name,
        "datasetVideo": {"url": f"https://example.com/dataset.mp4{query}"},
        "consentVideo": {"url": f"https://example.com/consent.mp4{query}"},
        "extras": {"simulator": scenario, **extras},
    }


def statuses(caller: httpx.Client, scenario: str, posts: int) -> list[int | str]:
    """Send one request several times, each with a new submission id and new URL signatures."""
    results: list[int | str] = []
    for number in range(posts):
        try:
            response = caller.post(
                "/avatars", json=body(scenario, query=f"?sig={number}", submission_id=str(number))
            )
            results.append(response.status_code)
        except httpx.RemoteProtocolError:
            results.append(DROPPED)
    return results


def create(caller: httpx.Client, scenario: str) -> str:
    response = caller.post("/avatars", json=body(scenario))
    assert response.status_code == 201
    avatar_id: str = response.json()["id"]
    return avatar_id


def status(caller: httpx.Client, avatar_id: str) -> str:
    response = caller.get(f"/avatars/{avatar_id}")
    assert response.status_code == 200
    current_status: str = response.json()["status"]
    return current_status


def send_post(argil: ArgilSimulator, content: dict[str, Any]) -> socket.socket:
    """Send a complete POST and return the socket, so that the test can read the response."""
    url = httpx.URL(f"{argil.api_url}/avatars")
    raw = json.dumps(content).encode()
    head = (
        f"POST {url.path} HTTP/1.1\r\nhost: {url.host}\r\nx-api-key: {argil.api_key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n"
    )
    connection = socket.create_connection((url.host, url.port or 0))
    connection.sendall(head.encode() + raw)
    return connection


def assert_error(response: httpx.Response, expected: int) -> None:
    assert response.status_code == expected
    assert {name: type(value) for name, value in response.json().items()} == {"code": int, "message": str}


@pytest.mark.parametrize(
    ("scenario", "expected", "created"),
    [
        ("", [201], 1),
        (" , ", [201], 1),
        ("rate-limited", [429, 429, 201, 201], 2),
        ("unavailable", [503, 503, 201], 1),
        ("unavailable-bare", [503, 503, 201], 1),
        ("error-after-create", [500, 500], 2),
        ("cut-after-create", [DROPPED, 201], 2),
        ("cut-before-create", [DROPPED, 201], 1),
        ("invalid", [422, 422], 0),
        ("payment-required", [402, 402], 0),
        ("garbled", [201, 201], 2),
        ("gateway-page", [502, 201], 1),
        ("gateway-page-after-create", [504, 201], 2),
        ("cache-page-after-create", [503, 201], 2),
        ("too-large-page", [413, 201], 1),
        ("no-path", [404, 201], 1),
        ("challenge", [403, 201], 1),
        ("challenge-success", [200, 201], 1),
        ("redirect", [307, 201], 1),
        ("error-in-success", [200, 200], 0),
        ("error-in-success-after-create", [200, 201], 2),
        ("empty-success", [202, 201], 2),
        ("truncated", [201, 201], 2),
        ("repeated-key", [201, 201], 2),
        ("other-avatar", [201, 201], 2),
        ("rate-limited,cut-before-create", [429, 429, DROPPED, 201], 1),
        ("unavailable, refuse", [503, 503, 201], 1),
    ],
)
def test_posts_get_the_responses_of_the_scenario(
    argil: ArgilSimulator, caller: httpx.Client, scenario: str, expected: list[int | str], created: int
) -> None:
    assert statuses(caller, scenario, len(expected)) == expected
    assert len(argil.account.avatars) == created
    assert [post.status or DROPPED for post in argil.account.received] == expected


def test_scenario_restarts_for_another_request(caller: httpx.Client) -> None:
    assert statuses(caller, "unavailable", 3) == [503, 503, 201]
    assert caller.post("/avatars", json=body("unavailable", name="Bob")).status_code == 503


@pytest.mark.parametrize(
    ("scenario", "expected"), [("rate-limited", "7"), ("unavailable", "7"), ("unavailable-bare", None)]
)
def test_retry_after_header_matches_the_scenario(scenario: str, expected: str | None) -> None:
    with run_argil(retry_after_seconds=7) as argil:
        response = httpx.post(f"{argil.api_url}/avatars", json=body(scenario), headers={"x-api-key": argil.api_key})
    assert response.headers.get("retry-after") == expected


@pytest.mark.parametrize("name", ["rate-limited", "unavailable", "error-after-create", "invalid"])
def test_failed_post_has_the_documented_error_format(caller: httpx.Client, name: str) -> None:
    response = caller.post("/avatars", json=body(name))
    assert_error(response, response.status_code)


@pytest.mark.parametrize("scenario", ["other", "fail,other", "FAIL"])
def test_unknown_scenario_error_lists_the_known_ones(
    argil: ArgilSimulator, caller: httpx.Client, scenario: str
) -> None:
    response = caller.post("/avatars", json=body(scenario))
    assert_error(response, 400)
    assert all(name in response.json()["message"] for name in SCENARIOS)
    assert argil.account.avatars == []


@pytest.mark.parametrize(
    ("scenario", "initial", "final"),
    [
        ("fail", "TRAINING", "TRAINING_FAILED"),
        ("refuse", "TRAINING", "REFUSED"),
        ("never", "TRAINING", "TRAINING"),
        ("unknown-status", "QUEUED_FOR_REVIEW", "IDLE"),
        ("unknown-status,fail", "QUEUED_FOR_REVIEW", "TRAINING_FAILED"),
        ("fail,refuse", "TRAINING", "TRAINING_FAILED"),
    ],
)
def test_training_follows_the_scenario(
    caller: httpx.Client, clock: ManualClock, scenario: str, initial: str, final: str
) -> None:
    avatar_id = create(caller, scenario)
    clock.advance(99)
    assert status(caller, avatar_id) == initial
    clock.advance(1)
    assert status(caller, avatar_id) == final


@pytest.mark.parametrize(("scenario", "first"), [("fail-once", "TRAINING_FAILED"), ("refuse-once", "REFUSED")])
def test_only_the_first_training_with_a_name_follows_the_scenario(
    caller: httpx.Client, clock: ManualClock, scenario: str, first: str
) -> None:
    bodies = [body(scenario), body(scenario, query="?take=2"), body(scenario, name="Grace")]
    ids = [caller.post("/avatars", json=content).json()["id"] for content in bodies]
    clock.advance(100)
    assert [status(caller, avatar_id) for avatar_id in ids] == [first, "IDLE", first]


def test_unknown_status_is_returned_by_the_create(caller: httpx.Client) -> None:
    assert caller.post("/avatars", json=body("unknown-status")).json()["status"] == "QUEUED_FOR_REVIEW"


def test_vanished_avatar_is_404_after_half_the_training(
    argil: ArgilSimulator, caller: httpx.Client, clock: ManualClock
) -> None:
    avatar_id = create(caller, "vanish")
    clock.advance(49)
    assert status(caller, avatar_id) == "TRAINING"
    assert len(caller.get("/avatars").json()) == 1
    clock.advance(1)
    for _ in range(2):
        assert_error(caller.get(f"/avatars/{avatar_id}"), 404)
        assert caller.get("/avatars").json() == []
        clock.advance(1000)
    assert [avatar["id"] for avatar in argil.account.avatars] == [avatar_id]


def test_late_get_is_404_for_a_while(caller: httpx.Client, clock: ManualClock) -> None:
    avatar_id = create(caller, "late-get")
    assert_error(caller.get(f"/avatars/{avatar_id}"), 404)
    assert len(caller.get("/avatars").json()) == 1
    clock.advance(1)
    assert status(caller, avatar_id) == "NOT_TRAINED"


def test_lagging_list_omits_the_avatar_for_a_while(caller: httpx.Client, clock: ManualClock) -> None:
    avatar_id = create(caller, "list-lag")
    assert caller.get("/avatars").json() == []
    assert status(caller, avatar_id) == "NOT_TRAINED"
    clock.advance(2)
    assert [avatar["id"] for avatar in caller.get("/avatars").json()] == [avatar_id]


def test_flaky_avatar_fails_every_second_poll(caller: httpx.Client) -> None:
    first, second = (create(caller, "flaky-polls") for _ in range(2))
    assert [caller.get(f"/avatars/{first}").status_code for _ in range(4)] == [200, 500, 200, 500]
    assert caller.get(f"/avatars/{second}").status_code == 200


def test_garbled_response_claims_to_be_json(caller: httpx.Client) -> None:
    response = caller.post("/avatars", json=body("garbled"))
    assert response.headers["content-type"] == "application/json"
    with pytest.raises(json.JSONDecodeError):
        response.json()


def test_slow_create_responds_eventually() -> None:
    with run_argil(slow_seconds=0.01) as argil:
        response = httpx.post(f"{argil.api_url}/avatars", json=body("slow"), headers={"x-api-key": argil.api_key})
        assert response.status_code == 201
        assert response.json()["id"] == argil.account.avatars[0]["id"]


def test_slow_create_stops_waiting_on_disconnect(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with run_argil(slow_seconds=3600) as argil, send_post(argil, body("slow")) as connection:
        while not argil.account.avatars:
            time.sleep(0.001)
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)
    # uvicorn logs if it must cancel a running request at shutdown.
    assert not caplog.records


@pytest.mark.parametrize("scenario", ["cut-before-create", "cut-after-create"])
def test_dropped_connection_sends_no_byte(
    argil: ArgilSimulator, scenario: str, caplog: pytest.LogCaptureFixture
) -> None:
    with send_post(argil, body(scenario)) as connection:
        assert connection.recv(1) == b""
    httpx.get(argil.api_url)
    # uvicorn logs an error if it treats the drop as a failure of the app.
    assert not caplog.records


def test_dropped_connection_affects_no_other_request(argil: ArgilSimulator, caller: httpx.Client) -> None:
    assert statuses(caller, "cut-after-create", 1) == [DROPPED]
    assert caller.get("/avatars").json() == argil.account.avatars


def test_every_scenario_has_a_description() -> None:
    assert all(scenario.description for scenario in SCENARIOS.values())


def test_echo_repeats_the_request_and_the_key(caller: httpx.Client) -> None:
    response = caller.post("/avatars", json=body("echo", query="?sig=1"))
    assert response.status_code == 400
    message = response.json()["message"]
    assert "https://example.com/dataset.mp4?sig=1" in message
    assert caller.headers["x-api-key"] in message


# Responses that are not as documented


@pytest.mark.parametrize(
    ("scenario", "content_type", "text"),
    [
        ("gateway-page", "text/html", "502 Bad Gateway"),
        ("challenge", "text/html", "Just a moment"),
        ("error-in-success", "application/json", "datasetVideo could not be read"),
        ("not-finite", "application/json", "NaN"),
        ("repeated-key", "application/json", OTHER_AVATAR_ID),
        ("other-avatar", "application/json", OTHER_AVATAR_ID),
    ],
)
def test_first_post_gets_the_body_of_the_scenario(
    caller: httpx.Client, scenario: str, content_type: str, text: str
) -> None:
    response = caller.post("/avatars", json=body(scenario))
    assert response.headers["content-type"].startswith(content_type)
    assert text in response.text


def test_body_is_damaged_truncated_or_encoded(caller: httpx.Client) -> None:
    with pytest.raises(httpx.DecodingError):
        caller.post("/avatars", json=body("damaged-gzip"))
    with pytest.raises(json.JSONDecodeError):
        caller.post("/avatars", json=body("truncated")).json()
    assert json.loads(caller.post("/avatars", json=body("utf-16")).content.decode("utf-16"))["status"]
    redirect = caller.post("/avatars", json=body("redirect"))
    assert redirect.headers["location"].startswith("https://elsewhere.invalid/")
    cache = caller.post("/avatars", json=body("cache-page-after-create"))
    assert (cache.status_code, cache.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize(
    ("scenario", "field", "kind"), [("null-status", "status", type(None)), ("numeric-id", "id", int)]
)
def test_field_is_wrong_shortly_after_the_create(scenario: str, field: str, kind: type) -> None:
    clock = ManualClock()
    with run_argil(clock=clock, list_lag_seconds=2) as argil:
        headers = {"x-api-key": argil.api_key}
        with httpx.Client(base_url=argil.api_url, headers=headers, trust_env=False) as caller:
            assert type(caller.post("/avatars", json=body(scenario)).json()[field]) is kind
            assert type(caller.get("/avatars").json()[0][field]) is kind
            clock.advance(2)
            assert type(caller.get("/avatars").json()[0][field]) is str


def test_paged_list_omits_the_avatar_and_says_so() -> None:
    clock = ManualClock()
    with run_argil(clock=clock, list_lag_seconds=2) as argil:
        headers = {"x-api-key": argil.api_key}
        with httpx.Client(base_url=argil.api_url, headers=headers, trust_env=False) as caller:
            create(caller, "paged-list")
            page = caller.get("/avatars")
            assert (page.json(), page.headers["x-total-count"]) == ([], "1000")
            clock.advance(2)
            complete = caller.get("/avatars")
            assert len(complete.json()) == 1
            assert "x-total-count" not in complete.headers


def test_every_second_poll_is_about_another_avatar(caller: httpx.Client) -> None:
    avatar_id = create(caller, "other-polls")
    ids = [caller.get(f"/avatars/{avatar_id}").json()["id"] for _ in range(4)]
    assert ids == [avatar_id, OTHER_AVATAR_ID] * 2


def test_every_second_poll_gets_a_page(caller: httpx.Client) -> None:
    avatar_id = create(caller, "gateway-polls")
    assert [caller.get(f"/avatars/{avatar_id}").status_code for _ in range(4)] == [200, 404] * 2
