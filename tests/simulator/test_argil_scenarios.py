"""Each fault on demand: what the caller sees, and what really happened."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import httpx
import pytest

from simulator.clock import HandClock
from simulator.scenarios import SCENARIOS
from simulator.server import ArgilSimulator, running_argil

CUT = "cut"


def body(scenario: str, *, name: str = "Ada", query: str = "", **extras: str) -> dict[str, Any]:
    return {
        "name": name,
        "datasetVideo": {"url": f"https://example.com/dataset.mp4{query}"},
        "consentVideo": {"url": f"https://example.com/consent.mp4{query}"},
        "extras": {"simulator": scenario, **extras},
    }


def statuses(caller: httpx.Client, scenario: str, posts: int) -> list[int | str]:
    """Post as often, with another submission id and other signatures each time, as a careful caller would."""
    seen: list[int | str] = []
    for turn in range(posts):
        try:
            answer = caller.post("/avatars", json=body(scenario, query=f"?sig={turn}", submission_id=str(turn)))
            seen.append(answer.status_code)
        except httpx.RemoteProtocolError:
            seen.append(CUT)
    return seen


def create(caller: httpx.Client, scenario: str) -> str:
    answer = caller.post("/avatars", json=body(scenario))
    assert answer.status_code == 201
    avatar_id: str = answer.json()["id"]
    return avatar_id


def status(caller: httpx.Client, avatar_id: str) -> str:
    answer = caller.get(f"/avatars/{avatar_id}")
    assert answer.status_code == 200
    seen: str = answer.json()["status"]
    return seen


def sent(argil: ArgilSimulator, content: dict[str, Any]) -> socket.socket:
    """Return a line by which a POST has gone out whole; its answer is the test's to read."""
    url = httpx.URL(f"{argil.api_url}/avatars")
    raw = json.dumps(content).encode()
    head = (
        f"POST {url.path} HTTP/1.1\r\nhost: {url.host}\r\nx-api-key: {argil.api_key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n"
    )
    line = socket.create_connection((url.host, url.port or 0))
    line.sendall(head.encode() + raw)
    return line


def assert_error(answer: httpx.Response, expected: int) -> None:
    assert answer.status_code == expected
    assert {name: type(value) for name, value in answer.json().items()} == {"code": int, "message": str}


@pytest.mark.parametrize(
    ("scenario", "seen", "created"),
    [
        ("", [201], 1),
        (" , ", [201], 1),
        ("rate-limited", [429, 429, 201, 201], 2),
        ("unavailable", [503, 503, 201], 1),
        ("unavailable-bare", [503, 503, 201], 1),
        ("error-after-create", [500, 500], 2),
        ("cut-after-create", [CUT, 201], 2),
        ("cut-before-create", [CUT, 201], 1),
        ("invalid", [422, 422], 0),
        ("payment-required", [402, 402], 0),
        ("garbled", [201, 201], 2),
        ("rate-limited,cut-before-create", [429, 429, CUT, 201], 1),
        ("unavailable, refuse", [503, 503, 201], 1),
    ],
)
def test_posts_meet_the_scenarios_steps(
    argil: ArgilSimulator, caller: httpx.Client, scenario: str, seen: list[int | str], created: int
) -> None:
    assert statuses(caller, scenario, len(seen)) == seen
    assert len(argil.world.avatars) == created
    assert [post.status or CUT for post in argil.world.received] == seen


def test_another_request_meets_the_steps_from_the_first_on(caller: httpx.Client) -> None:
    assert statuses(caller, "unavailable", 3) == [503, 503, 201]
    assert caller.post("/avatars", json=body("unavailable", name="Bob")).status_code == 503


@pytest.mark.parametrize(
    ("scenario", "expected"), [("rate-limited", "7"), ("unavailable", "7"), ("unavailable-bare", None)]
)
def test_retry_after_is_as_set_or_absent(scenario: str, expected: str | None) -> None:
    with running_argil(retry_after_seconds=7) as argil:
        answer = httpx.post(f"{argil.api_url}/avatars", json=body(scenario), headers={"x-api-key": argil.api_key})
    assert answer.headers.get("retry-after") == expected


@pytest.mark.parametrize("name", ["rate-limited", "unavailable", "error-after-create", "invalid"])
def test_a_refused_post_has_the_documents_error_shape(caller: httpx.Client, name: str) -> None:
    answer = caller.post("/avatars", json=body(name))
    assert_error(answer, answer.status_code)


@pytest.mark.parametrize("scenario", ["other", "fail,other", "FAIL"])
def test_an_unknown_scenario_is_refused_with_those_that_are_known(
    argil: ArgilSimulator, caller: httpx.Client, scenario: str
) -> None:
    answer = caller.post("/avatars", json=body(scenario))
    assert_error(answer, 400)
    assert all(name in answer.json()["message"] for name in SCENARIOS)
    assert argil.world.avatars == []


@pytest.mark.parametrize(
    ("scenario", "early", "end"),
    [
        ("fail", "TRAINING", "TRAINING_FAILED"),
        ("refuse", "TRAINING", "REFUSED"),
        ("never", "TRAINING", "TRAINING"),
        ("unknown-status", "QUEUED_FOR_REVIEW", "IDLE"),
        ("unknown-status,fail", "QUEUED_FOR_REVIEW", "TRAINING_FAILED"),
        ("fail,refuse", "TRAINING", "TRAINING_FAILED"),
    ],
)
def test_a_training_goes_the_scenarios_way(
    caller: httpx.Client, clock: HandClock, scenario: str, early: str, end: str
) -> None:
    avatar_id = create(caller, scenario)
    clock.advance(99)
    assert status(caller, avatar_id) == early
    clock.advance(1)
    assert status(caller, avatar_id) == end


def test_an_unknown_status_is_told_from_the_create_on(caller: httpx.Client) -> None:
    assert caller.post("/avatars", json=body("unknown-status")).json()["status"] == "QUEUED_FOR_REVIEW"


def test_what_vanishes_is_denied_from_half_of_the_training_on(
    argil: ArgilSimulator, caller: httpx.Client, clock: HandClock
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
    assert [avatar["id"] for avatar in argil.world.avatars] == [avatar_id]


def test_a_late_get_knows_the_avatar_only_after_a_while(caller: httpx.Client, clock: HandClock) -> None:
    avatar_id = create(caller, "late-get")
    assert_error(caller.get(f"/avatars/{avatar_id}"), 404)
    assert len(caller.get("/avatars").json()) == 1
    clock.advance(1)
    assert status(caller, avatar_id) == "NOT_TRAINED"


def test_a_lagging_list_shows_the_avatar_only_after_a_while(caller: httpx.Client, clock: HandClock) -> None:
    avatar_id = create(caller, "list-lag")
    assert caller.get("/avatars").json() == []
    assert status(caller, avatar_id) == "NOT_TRAINED"
    clock.advance(2)
    assert [avatar["id"] for avatar in caller.get("/avatars").json()] == [avatar_id]


def test_every_second_look_at_a_flaky_avatar_fails(caller: httpx.Client) -> None:
    first, second = (create(caller, "flaky-polls") for _ in range(2))
    assert [caller.get(f"/avatars/{first}").status_code for _ in range(4)] == [200, 500, 200, 500]
    assert caller.get(f"/avatars/{second}").status_code == 200


def test_a_garbled_answer_claims_to_be_json_and_is_none(caller: httpx.Client) -> None:
    answer = caller.post("/avatars", json=body("garbled"))
    assert answer.headers["content-type"] == "application/json"
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_slow_create_answers_in_the_end() -> None:
    with running_argil(slow_seconds=0.01) as argil:
        answer = httpx.post(f"{argil.api_url}/avatars", json=body("slow"), headers={"x-api-key": argil.api_key})
        assert answer.status_code == 201
        assert answer.json()["id"] == argil.world.avatars[0]["id"]


def test_a_slow_create_is_done_before_its_answer_and_gives_up_with_its_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running_argil(slow_seconds=3600) as argil, sent(argil, body("slow")) as line:
        while not argil.world.avatars:
            time.sleep(0.001)
        line.setblocking(False)
        with pytest.raises(BlockingIOError):
            line.recv(1)
    # The server had nothing to stop by force.
    assert not caplog.records


@pytest.mark.parametrize("scenario", ["cut-before-create", "cut-after-create"])
def test_a_cut_line_carries_not_one_byte_of_an_answer(
    argil: ArgilSimulator, scenario: str, caplog: pytest.LogCaptureFixture
) -> None:
    with sent(argil, body(scenario)) as line:
        assert line.recv(1) == b""
    httpx.get(argil.api_url)
    # The server took the cut for the app's will and not for its failure.
    assert not caplog.records


def test_a_cut_leaves_the_callers_other_requests_alone(argil: ArgilSimulator, caller: httpx.Client) -> None:
    assert statuses(caller, "cut-after-create", 1) == [CUT]
    assert caller.get("/avatars").json() == argil.world.avatars


def test_each_scenario_says_what_it_does() -> None:
    assert all(scenario.does for scenario in SCENARIOS.values())


def test_echo_repeats_what_it_was_sent_key_and_all(caller: httpx.Client) -> None:
    answer = caller.post("/avatars", json=body("echo", query="?sig=1"))
    assert answer.status_code == 400
    message = answer.json()["message"]
    assert "https://example.com/dataset.mp4?sig=1" in message
    assert caller.headers["x-api-key"] in message
